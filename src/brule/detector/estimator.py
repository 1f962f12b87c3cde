"""``LandmarkDetector``: the whole library in one class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brule.coordinates import unit_to_pixels
from brule.data import BadFiles, Box, CropCache, Edges, Sample, checked_edges
from brule.detector.edges import usual_edges
from brule.detector.exclusive import guarded
from brule.detector.inputs import (
    Annotated,
    as_annotated,
    as_shapes,
    crops_one_by_one,
    labelled_crops,
    ready_shapes,
    shapes_of,
    unlabelled_crops,
)
from brule.detector.storage import CONFIG, Stored, check_vacant, read_detector, write_detector
from brule.detector.uncertainty import Calibration, Reader
from brule.detector.uncertainty.predictor import in_other_frame, joined
from brule.errors import BruleError, CheckpointError, ConfigError, DataError
from brule.files import write_text
from brule.geometry import ShapeModel
from brule.model import BruleModel, Decoder, Landmarks
from brule.plots import preview_sheet, save_picture
from brule.training.batches import LabelledImages
from brule.training.checkpointing import TrainingResult
from brule.training.config import TrainingConfig, lengthened, load_config, with_batch_for
from brule.training.distributed import check_shares, join_distributed
from brule.training.loop import train
from brule.training.mirror import mirror_of
from brule.training.run import CHECKPOINT, build_shape_model, take_weights
from brule.training.state import Progress, TrainingState
from brule.transport import free_support_barycenter

_BARYCENTER_SETS = 100  # at most so many shapes make the barycenter: more move it less than the last pixel


class LandmarkDetector:
    """Learns landmarks from unlabelled images and about ten annotated shapes.

    Args:
        preset: ``cpu`` (two cores, 20 minutes), ``paper`` (the paper's setting), or a TOML file of one's own.
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
        finished_: whether training came to its end.
        bad_files_: files that ``skip_bad`` left out.
        calibration_: from uncertainty features to expected errors, see :func:`brule.detector.calibrate_detector`; ``None``
            until that was called.

    Example:
        >>> from brule.data.synthetic import synthetic_faces
        >>> faces = synthetic_faces(40, size=64)
        >>> detector = LandmarkDetector(iterations=2, batch_size=8, quiet=True)
        >>> detector.fit(faces.images, shapes=faces.points[:10]).predict(faces.images[:3]).points.shape
        torch.Size([3, 68, 2])
    """

    config_: TrainingConfig
    model_: BruleModel
    decoder_: Decoder | None
    barycenter_: Tensor
    shapes_: Tensor | None
    edges_: Edges
    landmark_names_: tuple[str, ...] | None
    progress_: Progress
    finished_: bool
    bad_files_: BadFiles
    calibration_: Calibration | None
    _shape_model: ShapeModel | None

    def __init__(self, preset: str = "cpu", *, quiet: bool = False, device: str | None = None, **overrides: Any) -> None:
        self.preset = preset
        self.quiet = quiet
        self.device = device
        self.overrides = {key.replace("__", "."): value for key, value in overrides.items()}

    @guarded
    def fit(
        self,
        images: Any = None,
        shapes: Any = None,
        labelled: Any = None,
        *,
        boxes: Sequence[Box | None] | np.ndarray | None = None,
        edges: Iterable[tuple[int, int]] | None = None,
        directory: Path | str | None = None,
        resume: bool = False,
        start_from: Path | str | None = None,
        skip_bad: bool = False,
        progress: Callable[[int, int], object] | None = None,
        on_checkpoint: Callable[[LandmarkDetector], object] | None = None,
    ) -> LandmarkDetector:
        """Train, on unlabelled images, on annotated ones, or on both.

        In a program that ``accelerate launch`` or ``torchrun`` started, all its processes train one detector together
        (``docs/cluster.md``). Each of them returns it; the first one alone writes and calls ``on_checkpoint``.

        Args:
            images: unlabelled images: a folder, files, globs, what :func:`brule.data.read_samples` returns, or a sequence
                of arrays or Pillow pictures. Annotations beside the files give the boxes for the crop and nothing else.
                ``None`` learns from ``labelled`` alone. Batches are no larger than their number.
            shapes: about ten annotated shapes: ``.pts`` files, a folder, a JSON file, or ``(N, 2)`` arrays in any frame
                whose y points down, NaN where a point is missing (it is completed from the others:
                :func:`brule.geometry.complete_shapes`). By default those of ``labelled``.
            labelled: annotated images to learn from directly: a folder, files, globs, what :func:`brule.data.read_samples`
                returns, or a pair ``(images, points)`` in memory, points ``(B, N, 2)`` in pixels, NaN where one is missing.
            boxes: the object's box in every one of ``images``, pixels, where these are in memory.
            edges: pairs of indices: the landmarks that pictures join by lines, see :func:`brule.data.read_edges`. By default
                those that the annotations state, else the contours of 68 facial points, else each point's two nearest.
            directory: where the run is kept: settings, log, checkpoints, previews, and the detector itself.
            resume: go on with the run in ``directory``, with its own settings and shapes.
            start_from: the folder of another run or detector of the same landmarks: training begins with its weights, with a
                new schedule, and on these images. By default ``shapes`` are those of that detector.
            skip_bad: leave bad files out (they are in ``bad_files_`` then) rather than stop at the first.
            progress: called as ``progress(done, total)`` while image files are decoded.
            on_checkpoint: called with the detector, as it stands then, every ``checkpoint_every`` iterations and at the end. It
                may predict; it must not change anything.

        Returns:
            The detector itself.

        Raises:
            DataError: on bad images or shapes.
            ConfigError: on settings that are unknown or contradict each other.
            CheckpointError: if there is nothing to resume, or ``directory`` holds another run.
        """
        if images is None and labelled is None:
            raise DataError("fit: expected unlabelled images, annotated ones (labelled), or both, got neither")
        processes = join_distributed(self._device())
        run = Path(directory) if directory is not None else None
        annotated = None if labelled is None else as_annotated(labelled, skip_bad)
        if resume and start_from is not None:
            raise ConfigError("fit: resume continues a run with its own weights; leave start_from out, or start a new run")
        start = None if start_from is None else read_detector(Path(start_from))
        if resume:
            self._take_up(run)
        else:
            self._begin(run, shapes, annotated, skip_bad, start)
        if annotated is not None:
            annotated = annotated.in_order(self.landmark_names_)
        if edges is not None:
            self.edges_ = checked_edges(edges, len(self.barycenter_))
        if annotated is not None:
            self.bad_files_.extend(annotated.bad)
        check_shares(self.config_, processes)
        crop, shown = self.config_.crop, progress if processes.main else None
        with processes.local_main_first():
            cache = None if images is None else unlabelled_crops(images, boxes, crop, skip_bad=skip_bad, progress=shown)
            examples = None if annotated is None else labelled_crops(annotated, crop, skip_bad=skip_bad, progress=shown)
        for store in (cache, examples):
            self.bad_files_.extend(store.bad if store is not None else [])
        if cache is not None and not resume:
            self.config_ = with_batch_for(self.config_, len(cache), processes=processes.count)
        if run is not None and processes.main:
            write_text(run / CONFIG, self.config_.to_json())
        trained = train(
            None if cache is None else cache.images,
            self.barycenter_,
            self.config_,
            labelled=None if examples is None else self._as_labels(examples),
            shapes=self.shapes_,
            directory=run,
            resume=resume,
            quiet=self.quiet,
            device=self._device(),
            start_from=None if start is None else partial(_take_weights, start.trained, Path(str(start_from))),
            on_checkpoint=lambda trained: self._at_checkpoint(run, trained, on_checkpoint),
            preview=partial(_save_preview, edges=self.edges_),
        )
        self._take(trained)
        return self

    def predict(
        self,
        images: Any,
        *,
        boxes: Sequence[Box | None] | np.ndarray | None = None,
        batch_size: int = 64,
        views: int = 1,
        skip_bad: bool = False,
    ) -> Landmarks:
        """Find the landmarks of images.

        Args:
            images: as for :meth:`fit`; also a generator of arrays, pictures, :class:`~brule.data.Sample` or paths.
            boxes: the object's box in each image, pixels; by default that of the annotation beside a file, else the whole
                image.
            batch_size: images at a time; memory grows with the answers, but not with the images.
            views: how often to look at each image, 1 … 6: as it is, mirrored, turned a little, …. The points are the mean
                of all answers, and how far these differ tells about the error. It takes as many times as long.
            skip_bad: leave out files that can't be read.

        Returns:
            Points ``(B, N, 2)`` and spread ``(B, N)`` in pixels of each image, and the uncertainty ``(B,)``. Once the detector
            is calibrated, the spread is the expected error.

        Raises:
            DataError: on bad images.
            ConfigError: another number of views, or more than the detector was calibrated with.
        """
        batches = self.iter_predict(images, boxes=boxes, batch_size=batch_size, views=views, skip_bad=skip_bad)
        found = [landmarks for _, landmarks in batches]
        if not found:
            raise DataError("predict: expected at least one image, none could be read")
        return joined(found)

    def iter_predict(
        self,
        images: Any,
        *,
        boxes: Sequence[Box | None] | np.ndarray | None = None,
        batch_size: int = 64,
        views: int = 1,
        skip_bad: bool = False,
    ) -> Iterator[tuple[list[Sample], Landmarks]]:
        """Like :meth:`predict`, a batch at a time: ``(samples, landmarks)``, for any number of images in constant memory."""
        reader = self.reader(batch_size)
        crop = self.config_.crop
        self.bad_files_ = BadFiles(skip=skip_bad)
        batch: list[tuple[Sample, np.ndarray, Box]] = []
        for item in crops_one_by_one(images, boxes, crop.image_size, crop.scale, self.bad_files_):
            batch.append(item)
            if len(batch) == batch_size:
                yield _predict_batch(reader, batch, views)
                batch = []
        if batch:
            yield _predict_batch(reader, batch, views)

    def predict_crops(self, crops: np.ndarray, *, batch_size: int = 64, views: int = 1) -> Landmarks:
        """Landmarks of ready crops ``(B, S, S, 3)`` uint8, in the unit square of each crop; ``views`` as in :meth:`predict`."""
        reader = self.reader(batch_size)
        parts = range(0, len(crops), batch_size)
        return joined([reader.read(np.asarray(crops[start : start + batch_size]), views=views) for start in parts])

    def reader(self, batch_size: int = 1) -> Reader:
        """What turns crops into landmarks and their uncertainty, on the detector's device.

        Args:
            batch_size: is checked here, before any image is read.

        Raises:
            BruleError: the detector isn't trained.
            ConfigError: the batch size isn't positive.
        """
        model = self._ready(batch_size)
        if self._shape_model is None:
            mirror = mirror_of(self.barycenter_, self.shapes_, self.config_)
            self._shape_model = ShapeModel.fit(self.barycenter_, self.shapes_, mirror=mirror)
        return Reader(model, self._shape_model, self.calibration_)

    def save(self, directory: Path | str) -> None:
        """Write the detector: ``model.safetensors`` and ``detector.json``; ``calibration.json`` if it is calibrated."""
        trained = TrainingResult(self._fitted(), self.progress_, self.finished_, self.decoder_)
        write_detector(
            Path(directory), Stored(self.config_, trained, self.shapes_, self.calibration_, self.edges_, self.landmark_names_)
        )

    @classmethod
    def load(cls, directory: Path | str, *, device: str | None = None) -> LandmarkDetector:
        """Read a detector that :meth:`save` or a training run wrote.

        Raises:
            CheckpointError: if there is none, or it is damaged.
        """
        return cls.of(read_detector(Path(directory)), device=device)

    @classmethod
    def of(cls, stored: Stored, *, device: str | None = None) -> LandmarkDetector:
        """The detector of networks that are there already."""
        detector = cls(stored.config.preset, device=device)
        detector.config_, detector.shapes_ = stored.config, stored.shapes
        detector.bad_files_ = BadFiles()
        detector.barycenter_ = stored.trained.model.barycenter.clone()
        detector.edges_ = usual_edges(detector.barycenter_) if stored.edges is None else stored.edges
        detector.landmark_names_ = stored.names
        detector._take(stored.trained)
        detector.calibration_ = stored.calibration
        return detector

    def _at_checkpoint(
        self, run: Path | None, trained: TrainingResult, then: Callable[[LandmarkDetector], object] | None
    ) -> None:
        if run is not None:
            self._write(run, trained)
        if then is not None and trained.progress.iteration:
            self._take(trained)
            then(self)

    def _take(self, trained: TrainingResult) -> None:
        self.model_, self.decoder_ = trained.model, trained.decoder
        self.progress_, self.finished_ = trained.progress, trained.finished
        self.calibration_ = self._shape_model = None  # other weights err elsewhere

    def _begin(
        self, run: Path | None, shapes: Any, annotated: Annotated | None, skip_bad: bool, start: Stored | None = None
    ) -> None:
        # A run that was killed before its first checkpoint holds nothing to go on with, so it may be started anew.
        if run is not None:
            check_vacant(run)
        self.config_ = load_config(self.preset, self.overrides)
        self.bad_files_ = BadFiles(skip=skip_bad)
        scale = self.config_.crop.scale
        if start is not None and start.shapes is not None and shapes is None and annotated is None:
            shapes = list(start.shapes.numpy())
        given = shapes_of(annotated, scale) if shapes is None and annotated is not None else as_shapes(shapes, scale, skip_bad)
        self.bad_files_.extend(given.bad)
        ready = ready_shapes(given, scale=scale)
        some = ready.sets[:: -(-len(ready.sets) // _BARYCENTER_SETS)]
        self.barycenter_ = free_support_barycenter(some, seed=self.config_.seed).points.float()
        self.shapes_ = None if ready.whole is None else ready.whole.float()
        stated = all(max(edge) < len(self.barycenter_) for edge in given.edges)
        self.edges_ = given.edges if given.edges and stated else usual_edges(self.barycenter_)
        names = given.landmarks or (None if annotated is None else annotated.names)
        self.landmark_names_ = names if names is not None and len(names) == len(self.barycenter_) else None
        if start is not None and start.names and self.landmark_names_ and start.names != self.landmark_names_:
            raise ConfigError("start_from: the landmarks of that detector have other names than those of the shapes")
        # This says now what can't be trained, not after decoding.
        build_shape_model(self.barycenter_, self.shapes_, self.config_, indexed=annotated is not None)

    def _take_up(self, run: Path | None) -> None:
        if run is None or not (run / CHECKPOINT).exists():
            raise CheckpointError(f"{run}: expected a run to go on with, found no {CHECKPOINT}; start it without resume")
        stored = LandmarkDetector.load(run)
        self.config_ = lengthened(stored.config_, self.overrides)
        self.shapes_, self.barycenter_, self.edges_ = stored.shapes_, stored.barycenter_, stored.edges_
        self.landmark_names_ = stored.landmark_names_
        self.bad_files_ = BadFiles()

    def _as_labels(self, cache: CropCache) -> LabelledImages:
        points = torch.from_numpy(np.asarray(cache.points)).float()
        if points.shape[1] != len(self.barycenter_):
            raise DataError(
                f"labelled: expected {len(self.barycenter_)} landmarks an image, as many as the shapes have, "
                f"got {points.shape[1]}"
            )
        return LabelledImages(cache.images, points)

    def _write(self, directory: Path, trained: TrainingResult) -> None:
        write_detector(directory, Stored(self.config_, trained, self.shapes_, edges=self.edges_, names=self.landmark_names_))

    def _fitted(self) -> BruleModel:
        if not hasattr(self, "model_"):
            raise BruleError("this detector is not trained yet: call fit, or LandmarkDetector.load(directory)")
        return self.model_

    def _ready(self, batch_size: int) -> BruleModel:
        """The trained model where it is to predict, once the batch size is known to make sense."""
        model = self._fitted().to(self._device()).eval()
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {batch_size}")
        return model

    def _device(self) -> str:
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _take_weights(trained: TrainingResult, source: Path, state: TrainingState) -> None:
    take_weights(state, trained.model, trained.decoder, source=source)


def _save_preview(path: Path, crops: np.ndarray, points: np.ndarray, redrawn: np.ndarray | None, *, edges: Edges) -> None:
    save_picture(preview_sheet(crops, points, redrawn=redrawn, columns=4, edges=edges), path)


def _predict_batch(reader: Reader, batch: list[tuple[Sample, np.ndarray, Box]], views: int) -> tuple[list[Sample], Landmarks]:
    found = reader.read(np.stack([crop for _, crop, _ in batch]), views=views)
    boxes = [box for _, _, box in batch]
    in_pixels = torch.stack([unit_to_pixels(own, box) for own, box in zip(found.points, boxes, strict=True)])
    sides = torch.tensor([box[2] - box[0] for box in boxes])
    return [sample for sample, _, _ in batch], in_other_frame(found, in_pixels, sides)
