"""``LandmarkDetector``: the whole library in one class."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brule.coordinates import unit_to_pixels
from brule.data import (
    BadFiles,
    Box,
    CropCache,
    Sample,
    SampleList,
    Shapes,
    build_cache,
    cache_from_arrays,
    read_folder,
    read_shapes,
)
from brule.data.images import as_image, crop_image, load_crop, whole_image_crop
from brule.data.shapes import to_crop
from brule.errors import BruleError, CheckpointError, ConfigError, DataError
from brule.files import write_text
from brule.model import BruleModel, Decoder, Landmarks
from brule.plots import preview_sheet, save_figure
from brule.training.checkpoint import Progress, load_module, read_safetensors, write_safetensors
from brule.training.config import TrainingConfig, config_from_dict, lengthened, load_config
from brule.training.loop import train
from brule.training.run import CHECKPOINT, build_decoder, build_guide, build_model
from brule.training.saving import Hooks, Trained
from brule.training.views import to_input
from brule.transport import free_support_barycenter

__all__ = ["LandmarkDetector", "Landmarks"]

FORMAT = "brule-detector-1"
WEIGHTS, DECODER, DESCRIPTION, CONFIG = "model.safetensors", "decoder.safetensors", "detector.json", "config.json"


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
        shapes_: ``(K, N, 2)``, the annotated shapes in the same frame; ``None`` if their numbers of points differ.
        progress_: iterations done and seconds spent.
        finished_: whether training came to its end.
        bad_files_: files that ``skip_bad`` left out.

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
    progress_: Progress
    finished_: bool
    bad_files_: BadFiles

    def __init__(self, preset: str = "cpu", *, quiet: bool = False, device: str | None = None, **overrides: Any) -> None:
        self.preset = preset
        self.quiet = quiet
        self.device = device
        self.overrides = {key.replace("__", "."): value for key, value in overrides.items()}

    def fit(
        self,
        images: Any,
        shapes: Any = None,
        labelled: Any = None,
        *,
        boxes: Sequence[Box | None] | np.ndarray | None = None,
        directory: Path | str | None = None,
        resume: bool = False,
        skip_bad: bool = False,
        progress: Callable[[int, int], object] | None = None,
    ) -> LandmarkDetector:
        """Train.

        Args:
            images: unlabelled images: a folder, files, globs, what :func:`brule.data.read_folder` returns, or a sequence
                of arrays or Pillow pictures. Annotations beside the files give the boxes for the crop and nothing else.
            shapes: about ten annotated shapes: ``.pts`` files, a folder, a JSON file, or ``(N, 2)`` arrays in any frame
                whose y points down.
            labelled: annotated images to learn from directly; not built yet.
            boxes: the object's box in every image, pixels, where ``images`` are in memory.
            directory: where the run is kept: settings, log, checkpoints, previews, and the detector itself.
            resume: go on with the run in ``directory``, with its own settings and shapes.
            skip_bad: leave bad files out (they are in ``bad_files_`` then) rather than stop at the first.
            progress: called as ``progress(done, total)`` while image files are decoded.

        Returns:
            The detector itself.

        Raises:
            DataError: on bad images or shapes.
            ConfigError: on settings that are unknown or contradict each other.
            CheckpointError: if there is nothing to resume, or ``directory`` holds another run.
        """
        if labelled is not None:
            raise ConfigError("labelled: training on labelled images is not built yet; give their annotations as shapes")
        run = Path(directory) if directory is not None else None
        if resume:
            self._take_up(run)
        else:
            self._begin(run, shapes, skip_bad)
        cache = self._crops(images, boxes, skip_bad, progress)
        self.bad_files_.extend(cache.bad)
        if run is not None:
            write_text(run / CONFIG, self.config_.to_json())
        trained = train(
            cache.images,
            self.barycenter_,
            self.config_,
            shapes=self.shapes_,
            directory=run,
            resume=resume,
            quiet=self.quiet,
            device=self._device(),
            hooks=Hooks((lambda trained: self._write(run, trained)) if run else None, _save_preview),
        )
        self.model_, self.decoder_ = trained.model, trained.decoder
        self.progress_, self.finished_ = trained.progress, trained.finished
        return self

    def predict(
        self,
        images: Any,
        *,
        boxes: Sequence[Box | None] | np.ndarray | None = None,
        batch_size: int = 64,
        skip_bad: bool = False,
    ) -> Landmarks:
        """Find the landmarks of images.

        Args:
            images: as for :meth:`fit`.
            boxes: the object's box in each image, pixels; by default that of the annotation beside a file, else the whole
                image.
            batch_size: images at a time; memory doesn't grow with the number of images.
            skip_bad: leave out files that can't be read.

        Returns:
            Points ``(B, N, 2)`` and spread ``(B, N)``, in pixels of each image.
        """
        found = [landmarks for _, landmarks in self.iter_predict(images, boxes=boxes, batch_size=batch_size, skip_bad=skip_bad)]
        if not found:
            raise DataError("predict: expected at least one image, none could be read")
        return Landmarks(torch.cat([one.points for one in found]), torch.cat([one.spread for one in found]))

    def iter_predict(
        self,
        images: Any,
        *,
        boxes: Sequence[Box | None] | np.ndarray | None = None,
        batch_size: int = 64,
        skip_bad: bool = False,
    ) -> Iterator[tuple[list[Sample], Landmarks]]:
        """Like :meth:`predict`, a batch at a time: ``(samples, landmarks)``, for more images than memory holds."""
        model = self._ready(batch_size)
        crop = self.config_.crop
        self.bad_files_ = BadFiles(skip=skip_bad)
        batch: list[tuple[Sample, np.ndarray, Box]] = []
        for item in _crops_one_by_one(images, boxes, crop.image_size, crop.scale, self.bad_files_):
            batch.append(item)
            if len(batch) == batch_size:
                yield _predict_batch(model, batch)
                batch = []
        if batch:
            yield _predict_batch(model, batch)

    def predict_crops(self, crops: np.ndarray, *, batch_size: int = 64) -> Landmarks:
        """Landmarks of ready crops ``(B, S, S, 3)`` uint8, in the unit square of each crop."""
        model = self._ready(batch_size)
        parts = [
            model.encode(to_input(torch.from_numpy(np.asarray(crops[start : start + batch_size]))).to(self._device()))
            for start in range(0, len(crops), batch_size)
        ]
        return Landmarks(torch.cat([part.points.cpu() for part in parts]), torch.cat([part.spread.cpu() for part in parts]))

    def save(self, directory: Path | str) -> None:
        """Write the detector: ``model.safetensors`` and ``detector.json``."""
        self._write(Path(directory), Trained(self._fitted(), self.progress_, self.finished_, self.decoder_))

    @classmethod
    def load(cls, directory: Path | str, *, device: str | None = None) -> LandmarkDetector:
        """Read a detector that :meth:`save` or a training run wrote.

        Raises:
            CheckpointError: if there is none, or it is damaged.
        """
        folder = Path(directory)
        config, progress, finished = _read_description(folder)
        detector = cls(config.preset, device=device)
        detector.config_, detector.progress_, detector.finished_ = config, progress, finished
        detector.bad_files_ = BadFiles()
        tensors, _ = read_safetensors(folder / WEIGHTS)
        detector.shapes_ = tensors.pop("shapes", None)
        if "barycenter" not in tensors:
            raise CheckpointError(f"{folder / WEIGHTS}: expected the weights of a detector, found no barycenter")
        detector.barycenter_ = tensors["barycenter"]
        detector.model_ = build_model(detector.barycenter_, config).eval()
        load_module(detector.model_, tensors, folder / WEIGHTS)
        detector.decoder_ = _read_decoder(folder, config)
        return detector

    def _begin(self, run: Path | None, shapes: Any, skip_bad: bool) -> None:
        # A run that was killed before its first checkpoint holds nothing to go on with, so it may be started anew.
        if run is not None and ((run / CHECKPOINT).exists() or (run / DESCRIPTION).exists()):
            raise CheckpointError(f"{run}: holds a run already; go on with it (resume), or choose another directory")
        self.config_ = load_config(self.preset, self.overrides)
        self.bad_files_ = BadFiles(skip=skip_bad)
        given = _as_shapes(shapes, self.config_.crop.scale, skip_bad)
        self.bad_files_.extend(given.bad)
        tensors = [torch.from_numpy(points) for points in given.points]
        self.barycenter_ = free_support_barycenter(tensors, seed=self.config_.seed).points.float()
        self.shapes_ = torch.stack(tensors).float() if given.n_points else None
        build_guide(self.barycenter_, self.shapes_, self.config_)  # says now what can't be trained, not after decoding

    def _take_up(self, run: Path | None) -> None:
        if run is None or not (run / CHECKPOINT).exists():
            raise CheckpointError(f"{run}: expected a run to go on with, found no {CHECKPOINT}; start it without resume")
        stored = LandmarkDetector.load(run)
        self.config_ = lengthened(stored.config_, self.overrides)
        self.shapes_, self.barycenter_ = stored.shapes_, stored.barycenter_
        self.bad_files_ = BadFiles()

    def _crops(self, images: Any, boxes: Any, skip_bad: bool, progress: Callable[[int, int], object] | None) -> CropCache:
        crop = self.config_.crop
        size = round(crop.image_size * crop.context)
        context = size / crop.image_size  # a whole number of pixels, and the same number everywhere
        if _in_memory(images):
            return cache_from_arrays(images, boxes, size=size, scale=crop.scale, context=context)
        if boxes is not None:
            raise ConfigError("boxes: only for images in memory; beside files, annotations give the boxes")
        samples = images if isinstance(images, SampleList) else read_folder(images, skip_bad=skip_bad)
        self.bad_files_.extend(samples.bad)
        # Labels give the box for the crop and are dropped here: nothing behind this line can see them.
        return build_cache(samples.unlabelled(), size, scale=crop.scale, context=context, skip_bad=skip_bad, progress=progress)

    def _write(self, directory: Path, trained: Trained) -> None:
        tensors = dict(trained.model.state_dict())
        if self.shapes_ is not None:
            tensors["shapes"] = self.shapes_
        if trained.decoder is not None:
            write_safetensors(directory / DECODER, dict(trained.decoder.state_dict()), {"format": FORMAT})
        write_safetensors(directory / WEIGHTS, tensors, {"format": FORMAT})
        description = {
            "format": FORMAT,
            "landmarks": len(self.barycenter_),
            "progress": asdict(trained.progress),
            "finished": trained.finished,
            "config": self.config_.model_dump(),
        }
        write_text(directory / DESCRIPTION, json.dumps(description, indent=2) + "\n")

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


def _save_preview(path: Path, crops: np.ndarray, points: np.ndarray, redrawn: np.ndarray | None) -> None:
    save_figure(preview_sheet(crops, points, redrawn=redrawn, columns=4), path)


def _read_decoder(folder: Path, config: TrainingConfig) -> Decoder | None:
    if not (folder / DECODER).exists():
        return None
    tensors, _ = read_safetensors(folder / DECODER)
    decoder = build_decoder(config).eval()
    load_module(decoder, tensors, folder / DECODER)
    return decoder


def _predict_batch(model: BruleModel, batch: list[tuple[Sample, np.ndarray, Box]]) -> tuple[list[Sample], Landmarks]:
    device = model.barycenter.device
    found = model.encode(to_input(torch.from_numpy(np.stack([crop for _, crop, _ in batch]))).to(device))
    points, spread = found.points.cpu(), found.spread.cpu()
    boxes = [box for _, _, box in batch]
    in_pixels = torch.stack([unit_to_pixels(own, box) for own, box in zip(points, boxes, strict=True)])
    sides = torch.tensor([box[2] - box[0] for box in boxes])
    return [sample for sample, _, _ in batch], Landmarks(in_pixels, spread * sides[:, None])


def _crops_one_by_one(
    images: Any, boxes: Any, size: int, scale: float, bad: BadFiles
) -> Iterator[tuple[Sample, np.ndarray, Box]]:
    if boxes is not None and (not _in_memory(images) or len(boxes) != len(images)):
        raise ConfigError(
            "boxes: expected one for each image in memory (None where unknown); beside files, annotations give the boxes"
        )
    if _in_memory(images):
        for index, image in enumerate(images):
            picture = as_image(image, f"image {index}")
            sample = Sample(Path(f"image {index}"), box=None if boxes is None else boxes[index])
            place = sample.crop(scale) or whole_image_crop(*picture.size)
            yield sample, crop_image(picture, place, size), place
        return
    samples = images if isinstance(images, SampleList) else read_folder(images, skip_bad=bad.skip)
    bad.extend(samples.bad)
    for sample in samples:
        try:
            crop, place = load_crop(sample, size, scale)
        except DataError as error:
            bad.reject_error(sample.path, error)
            continue
        yield sample, crop, place


def _in_memory(images: Any) -> bool:
    """Whether images are arrays or pictures rather than paths.

    Raises:
        DataError: if they are neither, or just one.
    """
    if isinstance(images, (str, Path, SampleList)):
        return False
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return True
    if not isinstance(images, (list, tuple)) or not images:
        what = f"an array of shape {images.shape}" if isinstance(images, np.ndarray) else repr(type(images).__name__)
        raise DataError(
            f"images: expected a folder, files, globs, an array (B, H, W, C), or a list of arrays or pictures, got {what}; "
            "put a single image in a list"
        )
    return not isinstance(images[0], (str, Path))


def _as_shapes(shapes: Any, scale: float, skip_bad: bool) -> Shapes:
    known = isinstance(shapes, (str, Path, Shapes, np.ndarray, Tensor, list, tuple))
    if not known or (not isinstance(shapes, (str, Path)) and len(shapes) == 0):
        raise DataError(
            "shapes: expected about ten annotated shapes (.pts files, a folder, a JSON file, or a list of (N, 2) arrays), got "
            f"{'none' if shapes is None or known else type(shapes).__name__}"
        )
    if isinstance(shapes, Shapes):
        return shapes
    if isinstance(shapes, (str, Path)) or isinstance(shapes[0], (str, Path)):
        return read_shapes(shapes, scale=scale, skip_bad=skip_bad)
    arrays = [np.asarray(points, dtype=np.float64) for points in shapes]
    for index, points in enumerate(arrays):
        if points.ndim != 2 or points.shape[1] != 2:
            raise DataError(f"shapes: expected (N, 2) points each, shape {index} is {points.shape}; put a single one in a list")
    return Shapes([to_crop(points, scale=scale) for points in arrays], [f"shape {i}" for i in range(len(arrays))])


def _read_description(folder: Path) -> tuple[TrainingConfig, Progress, bool]:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise CheckpointError(f"{folder}: expected a trained detector or a run, found no {DESCRIPTION}")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected format {FORMAT}; it was written by another version of brule")
    try:
        progress = Progress(**description["progress"])
        return config_from_dict(description["config"]), progress, bool(description["finished"])
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"{path}: can't be understood ({error}); it was changed, or written by another version") from None
