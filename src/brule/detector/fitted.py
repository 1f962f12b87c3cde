"""What a trained detector can do: predict, be measured and calibrated, be saved and loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from brule.data import BadFiles, Edges, Sample
from brule.detector.appearance import Appearance, FolderCheck
from brule.detector.boxes import BoxFitter
from brule.detector.edges import usual_edges
from brule.detector.finding import find_all
from brule.detector.items import Item, items_one_by_one
from brule.detector.landmarks import Landmarks, joined, nothing_found
from brule.detector.origin import Origin
from brule.detector.parameters import Parameters
from brule.detector.predicting import FOUND_PASSES, MAX_OBJECTS, Finder, Flagged, Objects, PredictOptions, options_of
from brule.detector.provenance import Figures, Provenance
from brule.detector.refinement import CropFrame
from brule.detector.storage import Stored, read_detector, write_detector
from brule.detector.training_images import TrainingImages
from brule.detector.types import AnnotatedInput, Boxes, Images, PointSets
from brule.detector.uncertainty import Calibration, Reader, joined_crops, one_tta
from brule.detector.whereabouts import Whereabouts
from brule.errors import BruleError, ConfigError, DataError
from brule.geometry import ShapeModel
from brule.model import BruleModel, CropLandmarks, Decoder
from brule.tensors import one_thread_after_fork, why_unusable
from brule.training.mirror import mirror_of
from brule.training.state import Progress, TrainingResult

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from brule.detector.calibrating import CalibrateKeywords, CalibrationReport
    from brule.detector.measuring import MeasureKeywords
    from brule.detector.model_card import ModelCard
    from brule.detector.predicting import PredictKeywords
    from brule.evaluation import Measurement
    from brule.training.config import TrainingConfig


class FittedDetector(Parameters):
    """A detector's settings, and all that works once it is trained; :class:`LandmarkDetector` adds the training."""

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
    whereabouts_: Whereabouts
    training_images_: TrainingImages
    origin_: Origin | None = None
    appearance_: Appearance | None
    provenance_: Provenance
    frame_: CropFrame | None
    _shape_model: ShapeModel | None

    def predict(
        self,
        images: Images,
        *,
        boxes: Boxes | None = None,
        objects: Objects = "best",
        most: int = MAX_OBJECTS,
        flagged: Flagged = "auto",
        refine: int | None = None,
        tta: int = 1,
        batch_size: int = 64,
        views: int | None = None,
        skip_bad: bool = False,
    ) -> Landmarks:
        """Find the landmarks of images.

        Args:
            images: one image or many, files or in memory. In memory: a Pillow image, an array ``(H, W)`` or ``(H, W, C)``, a
                tensor ``(C, H, W)`` or ``(H, W, C)``, the bytes of an image file, an open binary file. Many: a folder, a glob,
                a list (of different kinds, too), a batch ``(B, H, W, C)`` or ``(B, C, H, W)``, a generator. Values are
                integers, or floats from 0 to 1. An empty list gives an empty result.
            boxes: the object's box in each image, pixels, ``None`` where unknown; of a single image just its four numbers. By
                default that of the annotation beside a file. An image without a box is searched by the locator; a detector
                without one takes the place and size that its annotated images showed, else the whole image.
            objects: ``"best"``: one row per image, in input order (one per annotated box where a file has several); where
                nothing is found, it is NaN and flagged. ``"all"``: every object that is found, any number per image.
            most: of ``"all"``: the largest number of objects per image, the surest ones.
            flagged: predictions that are probably wrong: ``"keep"`` marks them, ``"drop"`` leaves them out (of ``"best"`` a row
                of NaN stays in their place); ``"auto"`` keeps them of ``"best"`` and drops them of ``"all"``.
            refine: refinement passes: how often to crop again by the prediction, at most; they end once it moves by less than
                1 % of the crop. By default 2 where the box was found, and 0 where it was given, or where the detector
                learnt from whole images.
            tta: test-time augmentation: how many views of each crop to average, 1 … 6: as it is, mirrored, turned a little,
                …. It takes as many times as long.
            batch_size: images at a time; memory grows with the predictions, but not with the images.
            views: another name of ``tta``.
            skip_bad: leave out files that can't be read.

        Returns:
            Landmarks in pixels of each image, see :class:`~brule.detector.Landmarks`. Once the detector is calibrated, their
            spread is the expected error.

        Raises:
            DataError: on bad images.
            ConfigError: another number of views, or more than the detector was calibrated with.
        """
        batches = self.iter_predict(
            images, boxes=boxes, objects=objects, most=most, flagged=flagged, refine=refine, tta=tta, batch_size=batch_size,
            views=views, skip_bad=skip_bad,
        )  # fmt: skip
        found = [landmarks for _, landmarks in batches]
        if not found and self.bad_files_:
            raise DataError("predict: expected at least one image, none could be read")
        return joined([self._named(nothing_found([], len(self.barycenter_))), *found])

    def iter_predict(
        self,
        images: Images,
        *,
        boxes: Boxes | None = None,
        skip_bad: bool = False,
        **options: Unpack[PredictKeywords],
    ) -> Iterator[tuple[list[Sample], Landmarks]]:
        """Like :meth:`predict`, a batch at a time: the sample of each row, and the landmarks; in constant memory.

        Args:
            images: as for :meth:`predict`.
            boxes: as for :meth:`predict`.
            skip_bad: leave out files that can't be read.
            **options: the others of :meth:`predict`.
        """
        how = options_of(options)
        finder = self.finder(how)
        self.bad_files_ = BadFiles(skip=skip_bad)
        check = FolderCheck(self.appearance_)
        fitter = self._box_fitter()
        found = items_one_by_one(images, boxes, self.bad_files_, factor=finder.decoding)
        items = (replace(item, sample=fitter.sample(item.sample)) for item in _checked(found, check))
        for rows, landmarks in find_all(finder, items, how):
            yield [item.sample for item in rows], self._named(landmarks)
        check.warn()

    def _named(self, landmarks: Landmarks) -> Landmarks:
        return replace(landmarks, edges=self.edges_, names=self.landmark_names_)

    def finder(self, options: PredictOptions | None = None) -> Finder:
        """The detector ready for whole images, on its device.

        Args:
            options: are checked here, before any image is read.

        Raises:
            BruleError: the detector isn't trained.
            ConfigError: the options make no sense for this detector.
        """
        reader = self.reader((options or PredictOptions()).batch_size)
        if options is not None:
            reader.check_views(options.tta)
        crop, known = self.config_.crop, self.whereabouts_
        passes = FOUND_PASSES if known.refines else 0
        upright = self.mean_shape().double().cpu().numpy() if known.turns else None
        return Finder(
            reader, crop.image_size, crop.scale, self.frame(), known.locator, known.scorer, known.framing, passes, upright
        )  # fmt: skip

    def evaluate(self, data: AnnotatedInput, **options: Unpack[MeasureKeywords]) -> Measurement:
        """Measure the detector on annotated images; see :func:`brule.detector.measure_detector` for the options.

        The detector isn't changed; :meth:`add_figures` adds the result to its model card.

        Args:
            data: a folder, files, globs, what :func:`brule.data.read_samples` returns, annotated as the detector's shapes were.
        """
        from brule.detector.measuring import measure_detector

        return measure_detector(self, data, **options)

    def add_figures(self, measured: Measurement, name: str) -> None:
        """Add a measurement to the detector's model card, which :meth:`save` writes.

        Args:
            measured: what :meth:`evaluate` returned.
            name: of the annotated images; earlier figures of the same name are replaced.
        """
        self.provenance_ = self.provenance_.measured(Figures.of(name, measured.to_dict()))

    def score(
        self, images: AnnotatedInput | Images, points: PointSets | None = None, *, normaliser: str | float = "auto"
    ) -> float:
        """Minus the mean NME in percent on whole images, so that more is better, as scikit-learn's selection tools expect.

        Args:
            images: annotated files as for :meth:`evaluate`; with ``points``, images in any form of :meth:`predict`.
            points: ``(B, N, 2)`` the true landmarks in pixels, NaN where one is missing.
            normaliser: the distance that errors are divided by, see :func:`brule.evaluation.normaliser`; or that many pixels.
        """
        from brule.detector.measuring import mean_error

        if points is None:
            return -self.evaluate(images, boxes="none", normaliser=normaliser).first.scores.nme  # type: ignore[arg-type]
        return -mean_error(self, images, points, normaliser=normaliser)  # type: ignore[arg-type]

    def calibrate(self, data: AnnotatedInput, **options: Unpack[CalibrateKeywords]) -> CalibrationReport:
        """Calibrate the detector on annotated images; see :func:`brule.detector.calibrate_detector` for the options.

        Args:
            data: as for :meth:`evaluate`; none of these images may have been trained on with its landmarks.
        """
        from brule.detector.calibrating import calibrate_detector
        from brule.detector.measuring import annotated_files

        return calibrate_detector(self, annotated_files(data, skip_bad=options.get("skip_bad", False)), **options)

    def predict_crops(
        self, crops: np.ndarray, *, batch_size: int = 64, tta: int = 1, views: int | None = None
    ) -> CropLandmarks:
        """Landmarks of ready crops ``(B, S, S, 3)`` uint8, in the unit square of each crop; ``tta`` as in :meth:`predict`."""
        reader, count = self.reader(batch_size), one_tta(tta, views)
        parts = range(0, len(crops), batch_size)
        if not parts:
            reader.check_views(count)
            none = torch.zeros(0, len(self.barycenter_))
            return CropLandmarks(torch.zeros(0, len(self.barycenter_), 2), none, none.mean(1))
        return joined_crops([reader.read(np.asarray(crops[start : start + batch_size]), views=count) for start in parts])

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

    def save(self, directory: Path | str, *, shapes: bool = True) -> None:
        """Write the detector, with a model card: a folder as model hubs take it.

        ``model.safetensors`` and ``detector.json``; ``README.md``, the card; ``calibration.json`` if it is calibrated.

        Args:
            directory: the folder; it is made if it doesn't exist.
            shapes: keep the annotated shapes, which are landmarks of single training images. Without them a calibration is
                left out, as it needs to know how usual a shape is, and predictions are flagged without looking at their shape.
        """
        trained = TrainingResult(self._fitted(), self.progress_, self.finished_, self.decoder_)
        self._write(Path(directory), trained, calibration=self.calibration_, shapes=shapes)

    def card(self, directory: Path | str = ".") -> ModelCard:
        """The detector's model card; what its folder reveals is looked up in ``directory``."""
        trained = TrainingResult(self._fitted(), self.progress_, self.finished_, self.decoder_)
        from brule.detector.model_card import ModelCard

        return ModelCard.of(self._stored(trained, self.calibration_), Path(directory))

    def _write(
        self, directory: Path, trained: TrainingResult, *, calibration: Calibration | None = None, shapes: bool = True
    ) -> None:
        stored = self._stored(trained, calibration)
        if not shapes and stored.shapes is not None:
            stored = replace(stored, shapes=None, calibration=None, frame=self.frame())
        write_detector(directory, stored)
        from brule.detector.model_card import ModelCard

        ModelCard.of(stored, directory).write(directory)

    def _stored(self, trained: TrainingResult, calibration: Calibration | None) -> Stored:
        known = (self.edges_, self.landmark_names_, self.whereabouts_, self.training_images_, self.origin_)
        return Stored(
            self.config_, trained, self.shapes_, calibration, *known,
            appearance=self.appearance_, provenance=self.provenance_, frame=self.frame_,
        )  # fmt: skip

    @classmethod
    def load(cls, directory: Path | str, *, device: str | None = None) -> Self:
        """Read a detector that :meth:`save` or a training run wrote.

        Raises:
            CheckpointError: if there is none, or it is damaged.
        """
        return cls.of(read_detector(Path(directory)), device=device)

    @classmethod
    def of(cls, stored: Stored, *, device: str | None = None) -> Self:
        """The detector of networks that are there already."""
        detector = cls(device=device, **_parameters(stored.config))
        detector.config_, detector.shapes_ = stored.config, stored.shapes
        detector.bad_files_ = BadFiles()
        detector.barycenter_ = stored.trained.model.barycenter.clone()
        detector.edges_ = usual_edges(detector.barycenter_) if stored.edges is None else stored.edges
        detector.landmark_names_ = stored.names
        detector._take(stored.trained)
        detector.calibration_ = stored.calibration
        detector.whereabouts_, detector.origin_ = stored.whereabouts, stored.origin
        detector.training_images_ = stored.training_images
        detector.appearance_, detector.provenance_, detector.frame_ = stored.appearance, stored.provenance, stored.frame
        return detector

    @property
    def seen_(self) -> TrainingImages:
        """The former name of ``training_images_``."""
        return self.training_images_

    def _take(self, trained: TrainingResult) -> None:
        self.model_, self.decoder_ = trained.model, trained.decoder
        self.progress_, self.finished_ = trained.progress, trained.finished
        self.calibration_ = self._shape_model = None  # other weights err elsewhere

    def _box_fitter(self) -> BoxFitter:
        """What makes boxes for other landmarks fit the detector's."""
        shapes = self.barycenter_[None] if self.shapes_ is None else self.shapes_
        return BoxFitter(self.config_.crop.fit_boxes, shapes.cpu())

    def mean_shape(self) -> Tensor:
        """The mean of the annotated shapes ``(N, 2)`` in the crop's unit square, or the barycenter without shapes."""
        return self.barycenter_ if self.shapes_ is None else self.shapes_.mean(0)

    def frame(self) -> CropFrame:
        """How crops are placed around the landmarks, learnt from the annotated shapes."""
        if self.frame_ is not None:
            return self.frame_
        return CropFrame.of(self.barycenter_[None] if self.shapes_ is None else self.shapes_)

    def _fitted(self) -> BruleModel:
        if not hasattr(self, "model_"):
            raise BruleError("this detector is not trained yet: call fit, or LandmarkDetector.load(directory)")
        return self.model_

    def _ready(self, batch_size: int) -> BruleModel:
        """The trained model where it is to predict, once the batch size is known to make sense."""
        one_thread_after_fork()
        model = self._fitted().to(self._device()).eval()
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {batch_size}")
        return model

    def _device(self) -> str:
        """Where to compute.

        Raises:
            ConfigError: the device that was asked for isn't there.
        """
        if self.device is not None and (reason := why_unusable(self.device)):
            raise ConfigError(f"device: {self.device!r} can't be used here ({reason}); device='cpu' always can")
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _checked(items: Iterable[Item], check: FolderCheck) -> Iterator[Item]:
    """The same items; each image is checked when it is read."""
    for item in items:
        check.add([item.picture.image])
        yield item


def _parameters(config: TrainingConfig) -> dict[str, Any]:
    """What an estimator with these settings is made with; the file that they started from may not be here any more."""
    from brule.training.config import changed_settings, preset_names

    if config.preset in preset_names():
        return {"preset": config.preset}
    preset, differing = changed_settings(config)
    return {"preset": preset, **differing}
