"""``LandmarkDetector``: the whole library in one class."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from brule import __version__
from brule.data import BadFiles, CropCache, Edges, checked_edges
from brule.detector.appearance import Appearance
from brule.detector.continuing import Continuation
from brule.detector.edges import usual_edges
from brule.detector.exclusive import guarded
from brule.detector.fitted import FittedDetector
from brule.detector.inputs import (
    Annotated,
    Unlabelled,
    as_annotated,
    as_labels,
    as_shapes,
    labelled_crops,
    ready_shapes,
    shapes_of,
    unlabelled_crops,
)
from brule.detector.predicting import PredictOptions
from brule.detector.progress import in_stages
from brule.detector.provenance import Provenance
from brule.detector.starting import Earlier
from brule.detector.storage import Stored, check_vacant
from brule.detector.training_images import TrainingImages, image_keys
from brule.detector.types import AnnotatedInput, Boxes, Images, ShapesInput
from brule.detector.upright import are_turned, upright_annotated, upright_shapes
from brule.detector.whereabouts import Whereabouts, learn_whereabouts, plan_whereabouts, with_boxes, with_scorer
from brule.errors import CheckpointError, ConfigError, DataError
from brule.files import write_text
from brule.tracking.callbacks import Callback, checked_callbacks
from brule.tracking.run_files import CHECKPOINT, SETTINGS
from brule.training.distributed import check_shares, join_distributed
from brule.training.run import build_shape_model
from brule.training.stages import run_stage
from brule.transport import free_support_barycenter

if TYPE_CHECKING:
    from brule.detector.validation import Validation
    from brule.training.state import TrainingResult

_log = logging.getLogger("brule")  # the command line prints it
Reporting = Callable[[int, int], object]
_BARYCENTER_SETS = 100  # shapes that make the barycenter: more of them move it by less than a pixel


class LandmarkDetector(FittedDetector):
    """Learns landmarks from unlabelled images and about ten annotated shapes.

    Args:
        preset: ``cpu`` (two cores, 20 minutes), ``gpu`` (one GPU, an hour), ``paper-small`` (the paper's terms on two cores,
            half an hour), ``paper`` (the paper's terms at its sizes, days on a GPU), or the path of your own TOML file.
        **overrides: settings that differ from the preset. Sections are reached with two underscores or a dot:
            ``encoder__width=32``, ``**{"encoder.width": 32}``.

    Attributes:
        config_: the resolved settings.
        model_: the trained :class:`brule.model.BruleModel`.
        decoder_: the trained :class:`brule.model.Decoder`, which redraws images from landmarks; ``None`` without the GAN.
        barycenter_: ``(N, 2)`` in the unit square of the crop.
        shapes_: ``(K, N, 2)``, the annotated shapes in the same frame, missing points completed; ``None`` if their numbers
            of points differ.
        edges_: pairs of indices: the landmarks that pictures join by lines.
        landmark_names_: the names of the landmarks, where the annotations have them; annotated images are matched by them.
        progress_: iterations done and seconds spent.
        finished_: whether training has finished.
        bad_files_: files that ``skip_bad`` left out.
        calibration_: from uncertainty features to expected errors, see :func:`brule.detector.calibrate_detector`; ``None``
            until that was called.
        whereabouts_: how large objects are in whole images, and the locator that finds them; empty without annotated images.
        training_images_: keys of the images that it was trained on.
        origin_: the detector whose weights training started from, if there was one.
        appearance_: what training images look like; ``predict`` warns of images of another kind.
        provenance_: what the detector was trained on, in numbers, and how good it was found to be, for its model card.

    Example:
        >>> from brule.data.synthetic import synthetic_faces
        >>> faces = synthetic_faces(40, size=64)
        >>> detector = LandmarkDetector(iterations=2, batch_size=8, quiet=True)
        >>> detector.fit(faces.images, shapes=faces.points[:10]).predict(faces.images[:3]).points.shape
        torch.Size([3, 68, 2])
    """

    _turned = False  # whether crops show turned objects upright

    @guarded
    def fit(
        self,
        images: Images | None = None,
        shapes: ShapesInput | None = None,
        labelled: AnnotatedInput | None = None,
        *,
        examples: AnnotatedInput | None = None,
        boxes: Boxes | None = None,
        edges: Iterable[tuple[int, int]] | None = None,
        directory: Path | str | None = None,
        resume: bool = False,
        start_from: Path | str | None = None,
        validation: AnnotatedInput | None = None,
        measure_every: int | None = None,
        skip_bad: bool = False,
        progress: Callable[[int, int], object] | None = None,
        on_checkpoint: Callable[[LandmarkDetector], object] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> LandmarkDetector:
        """Train, on unlabelled images, on annotated ones, or on both.

        In a program that ``accelerate launch`` or ``torchrun`` started, all its processes train one detector together
        (``docs/cluster.md``). Each of them returns it; the first one alone writes and calls ``on_checkpoint``.

        Args:
            images: unlabelled images: a folder, files, globs, what :func:`brule.data.read_samples` returns, or a sequence
                of arrays or Pillow pictures. Annotations beside the files give the boxes for the crop and nothing else. In
                images without a box the object is found by a locator, which learns from the annotated images; those
                where it isn't sure are left out. ``None`` learns from ``labelled`` alone. Batches are no larger than their
                number.
            shapes: about ten annotated shapes: ``.pts`` files, a folder, a JSON file, or ``(N, 2)`` arrays in any frame
                whose y points down, NaN where a point is missing (it is completed from the others:
                :func:`brule.geometry.complete_shapes`). By default those of ``labelled``.
            labelled: annotated images to learn from directly: a folder, files, globs, what :func:`brule.data.read_samples`
                returns, or a pair ``(images, points)`` in memory, points ``(B, N, 2)`` in pixels, NaN where one is missing.
            examples: annotated images that show where the object is in whole images, in any form of ``labelled``: the
                locator learns from them, the landmarks don't. By default ``labelled``.
            boxes: the object's box in each of ``images``, pixels, where these are in memory or files one by one; ``None`` for
                the locator to find it.
            edges: pairs of indices: the landmarks that pictures join by lines, see :func:`brule.data.read_edges`. By default
                those that the annotations state, else the contours of 68 facial points, else each point's two nearest.
            directory: where the run is kept: settings, log, checkpoints, previews, and the detector itself.
            resume: continue the run in ``directory``, with its own settings and shapes. Give the images that it began with; a
                warning says if they are others.
            start_from: the folder of another run or detector of the same landmarks: training begins with its weights, with a
                new schedule, and on these images. Without ``shapes`` and ``labelled``, its shapes are taken; without annotated
                images, its locator.
            validation: annotated images that aren't learnt from, in any form of ``labelled``: NME and W₁ on them, given boxes,
                are logged during training, and change nothing in it.
            measure_every: iterations between two of these measurements; by default those between checkpoints.
            skip_bad: leave bad files out (they are in ``bad_files_`` then) rather than stop at the first.
            progress: called as ``progress(done, total)`` while image files are decoded.
            on_checkpoint: called with the detector in its current state, every ``checkpoint_every`` iterations and at the end.
                It may predict; it must not change anything.
            callbacks: are called after every iteration, for trackers or to stop early: :mod:`brule.tracking.callbacks`.

        Returns:
            The detector itself.

        Raises:
            DataError: on bad images or shapes.
            ConfigError: on settings that are unknown or contradict each other.
            CheckpointError: if there is nothing to resume, or ``directory`` holds another run.
        """
        from brule.training.config import with_batch_for  # late: prediction needs neither pydantic nor the loop
        from brule.training.loop import train

        callbacks = checked_callbacks(callbacks)
        if images is None and labelled is None:
            raise DataError("fit: expected unlabelled images, annotated ones (labelled), or both, got neither")
        processes = join_distributed(self._device())
        run = Path(directory) if directory is not None else None
        annotated = None if labelled is None else as_annotated(labelled, skip_bad)
        earlier = None if start_from is None else Earlier.read(Path(start_from))
        own = annotated if examples is None else as_annotated(examples, skip_bad)
        given = None if images is None else Unlabelled.of(images, boxes, skip_bad=skip_bad)
        annotated = self._prepare(
            run, shapes, annotated, where=(own, given), resume=resume, skip_bad=skip_bad, earlier=earlier
        )  # fmt: skip
        own = own if examples is not None else annotated
        self.edges_ = self.edges_ if edges is None else checked_edges(edges, len(self.barycenter_))
        check_shares(self.config_, processes)
        measure = self._validation(validation, measure_every) if processes.main else None
        kept = run if processes.main else None
        with processes.local_main_first():
            with run_stage("looking for the objects in the images", kept):
                unlabelled = self._unlabelled(given, own, learn=not resume, earlier=earlier)
            cache, taught = self._crops(unlabelled, annotated, skip_bad, progress=progress if processes.main else None)
        if cache is not None and not resume:
            self.config_ = with_batch_for(self.config_, len(cache), processes=processes.count)
        if kept is not None:
            write_text(kept / SETTINGS, self.config_.to_json())
        trained = train(
            None if cache is None else cache.images, self.barycenter_, self.config_,
            labelled=None if taught is None else as_labels(taught, len(self.barycenter_)), shapes=self.shapes_,
            directory=run, resume=resume, quiet=self.quiet, device=self._device(),
            start_from=None if earlier is None else earlier.take_weights,
            on_checkpoint=lambda trained: self._at_checkpoint(run, trained, on_checkpoint),
            preview=partial(_preview, edges=self.edges_),
            measure=measure, measure_every=measure_every, callbacks=callbacks, run=self.provenance_.run,
        )  # fmt: skip
        self._take(trained)
        self._learn_scorer(own, unlabelled, trained, run=kept)
        return self

    def _at_checkpoint(
        self, run: Path | None, trained: TrainingResult, then: Callable[[LandmarkDetector], object] | None
    ) -> None:
        if run is not None:
            self._write(run, trained)
        if then is not None and trained.progress.iteration:
            self._take(trained)
            then(self)

    def _prepare(
        self,
        run: Path | None,
        shapes: ShapesInput | None,
        annotated: Annotated | None,
        *,
        where: tuple[Annotated | None, Unlabelled | None],
        resume: bool,
        skip_bad: bool,
        earlier: Earlier | None,
    ) -> Annotated | None:
        """Settings, shapes and barycenter: those of the run that is resumed, or of a new one.

        Returns:
            The annotated images with their landmarks in the detector's order, and with angles where objects are turned.
        """
        if not resume:
            self._turned = self._set_up(run, *where)
            if annotated is not None and self._turned:
                annotated = upright_annotated(annotated, self.config_.locator)
            self._begin(shapes, annotated, skip_bad=skip_bad, earlier=earlier)
        elif earlier is None and shapes is None:
            self._take_up(run)
            self._turned = self.whereabouts_.turns
            if annotated is not None and self._turned:
                annotated = upright_annotated(annotated, self.config_.locator)
        else:
            wrong = "shapes" if earlier is None else "start_from"
            raise ConfigError(f"fit: resume continues a run with its own weights and shapes; leave {wrong} out")
        if annotated is None:
            return None
        self.bad_files_.extend(annotated.bad)
        return annotated.in_order(self.landmark_names_)

    def _set_up(self, run: Path | None, examples: Annotated | None, unlabelled: Unlabelled | None) -> bool:
        """Resolve the settings of a new run; whether its objects may be turned."""
        from brule.training.config import load_config

        # A run that was killed before its first checkpoint holds nothing to continue from, so it may be started again.
        if run is not None:
            check_vacant(run)
        self.config_ = load_config(self.preset, self.overrides)
        settings = self.config_.locator
        return plan_whereabouts(examples, unlabelled, settings).locator and are_turned(examples, settings)

    def _begin(
        self,
        shapes: ShapesInput | None,
        annotated: Annotated | None,
        *,
        skip_bad: bool,
        earlier: Earlier | None,
    ) -> None:
        self.bad_files_ = BadFiles(skip=skip_bad)
        scale, start = self.config_.crop.scale, None if earlier is None else earlier.stored
        if earlier is not None and shapes is None and annotated is None:
            shapes = earlier.shapes(scale=scale)
        given = shapes_of(annotated, scale) if shapes is None and annotated is not None else as_shapes(shapes, scale, skip_bad)
        self.bad_files_.extend(given.bad)
        given = upright_shapes(given, self.config_.locator, scale=scale) if self._turned and shapes is not None else given
        ready = ready_shapes(given, scale=scale)
        some = ready.sets[:: -(-len(ready.sets) // _BARYCENTER_SETS)]
        self.barycenter_ = free_support_barycenter(some, seed=self.config_.seed).points.float()
        self.shapes_ = None if ready.whole is None else ready.whole.float()
        stated = all(max(edge) < len(self.barycenter_) for edge in given.edges)
        self.edges_ = given.edges if given.edges and stated else usual_edges(self.barycenter_)
        self.whereabouts_, self.training_images_ = Whereabouts(), TrainingImages()
        self.origin_ = None if earlier is None else earlier.origin
        self.appearance_, self.provenance_, self.frame_ = None, Provenance(), None
        names = given.landmarks or (None if annotated is None else annotated.names)
        self.landmark_names_ = names if names is not None and len(names) == len(self.barycenter_) else None
        if start is not None and start.names and self.landmark_names_ and start.names != self.landmark_names_:
            raise ConfigError("start_from: the landmarks of that detector have other names than those of the shapes")
        # This says now what can't be trained, not after decoding.
        build_shape_model(self.barycenter_, self.shapes_, self.config_, indexed=annotated is not None)

    def _take_up(self, run: Path | None) -> None:
        from brule.training.config import lengthened

        if run is None or not (run / CHECKPOINT).exists():
            raise CheckpointError(
                f"{run}: expected a run to continue, found no {CHECKPOINT}: none was started here, or it ended before its "
                "first checkpoint; start it anew, without resume"
            )
        stored = LandmarkDetector.load(run)
        self.config_ = lengthened(stored.config_, self.overrides)
        self.shapes_, self.barycenter_, self.edges_ = stored.shapes_, stored.barycenter_, stored.edges_
        self.whereabouts_, self.training_images_ = replace(stored.whereabouts_, scorer=None), stored.training_images_
        self.appearance_, self.provenance_, self.frame_ = stored.appearance_, stored.provenance_, stored.frame_
        self.landmark_names_, self.origin_ = stored.landmark_names_, stored.origin_
        self.bad_files_ = BadFiles()

    def _crops(
        self, unlabelled: Unlabelled | None, annotated: Annotated | None, skip_bad: bool, *, progress: Reporting | None
    ) -> tuple[CropCache | None, CropCache | None]:
        """The crops of unlabelled and of annotated images, as far as there are any."""
        crop = self.config_.crop
        sizes = (0 if some is None else len(some.images) for some in (unlabelled, annotated))
        first, second = in_stages(progress, *sizes)
        cache = None if unlabelled is None else unlabelled_crops(unlabelled, crop, skip_bad=skip_bad, progress=first)
        taught = None if annotated is None else labelled_crops(annotated, crop, skip_bad=skip_bad, progress=second)
        self.bad_files_.extend(bad for store in (cache, taught) if store is not None for bad in store.bad)
        return cache, taught

    def _learn_scorer(
        self, examples: Annotated | None, unlabelled: Unlabelled | None, trained: TrainingResult, *, run: Path | None
    ) -> None:
        """Learn from training images which detections are right, if there is a locator to do so with."""
        if not self.finished_ or self.whereabouts_.locator is None or examples is None:
            return
        options = PredictOptions()
        finder = self.finder()
        with run_stage("learning which detections are right", run, say=self._report):
            self.whereabouts_ = with_scorer(
                self.whereabouts_, examples, unlabelled, detect=lambda images: finder.detections(images, options),
                seed=self.config_.seed, report=self._report,
            )  # fmt: skip
        if run is not None:
            self._write(run, trained)

    def _unlabelled(
        self, given: Unlabelled | None, examples: Annotated | None, *, learn: bool, earlier: Earlier | None
    ) -> Unlabelled | None:
        """Unlabelled images with the boxes that are known or can be found; the locator is learnt before, on a new run."""
        if learn:
            self._learn_where(examples, given, None if earlier is None else earlier.stored)
        else:
            self._continue_with(examples, given)
        if given is None:
            return None
        fitter = self._box_fitter()
        given, fitted = fitter.unlabelled(given)
        if fitted and fitter.fit is not None:
            self._report(f"{fitted} boxes are for other landmarks; each is made {fitter.fit.describe()}")
        scale, report = self.config_.crop.scale, self._report
        framed = with_boxes(given, self.whereabouts_, self.frame(), scale=scale, device=self._device(), report=report)
        self.whereabouts_ = replace(self.whereabouts_, boxed=not len(framed.boxless))
        return framed

    def _continue_with(self, examples: Annotated | None, unlabelled: Unlabelled | None) -> None:
        others, annotated = ([] if some is None else some.sources for some in (unlabelled, examples))
        found = Continuation.of(self.training_images_, self.provenance_, unlabelled=others, annotated=annotated)
        self.training_images_, self.provenance_ = found.images, found.provenance
        if found.remark:
            _log.warning(found.remark)

    def _learn_where(self, examples: Annotated | None, unlabelled: Unlabelled | None, start: Stored | None) -> None:
        settings, seed = self.config_.locator, self.config_.seed
        if examples is None and start is not None:
            self.whereabouts_ = replace(start.whereabouts, scorer=None)  # other predictions need another scorer
        else:
            self.whereabouts_ = learn_whereabouts(
                examples, unlabelled, settings, seed=seed, device=self._device(), report=self._report
            )  # fmt: skip
        annotated = [] if examples is None else examples.sources
        others = [] if unlabelled is None else unlabelled.sources
        own = TrainingImages(frozenset(image_keys(others)), frozenset(image_keys(annotated)), recorded=True)
        self.training_images_ = own if start is None else own | start.training_images
        self.appearance_ = Appearance.of([*others, *annotated], seed=seed)
        shapes = None if self.shapes_ is None else len(self.shapes_)
        self.provenance_ = Provenance(
            __version__, len(others), len(annotated), shapes, self._device(), run=secrets.token_hex(8)
        )

    def _validation(self, data: AnnotatedInput | None, every: int | None) -> Validation | None:
        """The measurement on annotated images during training; ``None`` without such images."""
        if every is not None and every < 1:
            raise ConfigError(f"measure_every: expected at least 1, got {every}")
        if data is None:
            return None
        from brule.detector.validation import Validation

        mean = self.mean_shape() if self._turned else None
        return Validation.of(data, self.config_, names=self.landmark_names_, landmarks=len(self.barycenter_), mean=mean)

    def _report(self, text: str) -> None:
        if not self.quiet:
            _log.warning(text)


def _preview(crops: np.ndarray, points: np.ndarray, redrawn: np.ndarray | None, *, edges: Edges) -> Image.Image:
    from brule.plots import preview_sheet

    return preview_sheet(crops, points, 4, redrawn=redrawn, edges=edges)
