"""A trained detector on disk: weights in safetensors, everything else in one JSON file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from brule.data import Edges, checked_edges
from brule.data.names import checked_name
from brule.detector.appearance import Appearance
from brule.detector.origin import Origin, last_part
from brule.detector.provenance import Provenance
from brule.detector.refinement import CropFrame
from brule.detector.training_images import TrainingImages
from brule.detector.uncertainty import FEATURES, Calibration, read_calibration, write_calibration
from brule.detector.verification import check_decoder_sizes, check_model_sizes, check_values, has_final, read_json
from brule.detector.whereabouts import Whereabouts
from brule.errors import CheckpointError, ConfigError, DataError, OutputError
from brule.files import sync, temporary_folder, wrap_oserror, write_text
from brule.locating import DetectionScorer, Framing, Locator
from brule.model import BruleModel, Decoder
from brule.tensors import load_module, read_safetensors, write_safetensors
from brule.tracking.run_files import (
    APPEARANCE,
    CALIBRATION,
    CHECKPOINT,
    DECODER,
    DESCRIPTION,
    LOCATOR,
    TRAINING_IMAGES,
    WEIGHTS,
)  # fmt: skip
from brule.training.migration import current_settings
from brule.training.run import build_decoder, build_model
from brule.training.state import Progress, TrainingResult

if TYPE_CHECKING:
    from brule.training.config import TrainingConfig

FORMAT = "brule-detector-1"
_FILES = (DECODER, WEIGHTS, LOCATOR, TRAINING_IMAGES, APPEARANCE, DESCRIPTION, CALIBRATION)  # in the order of replacement


@dataclass(frozen=True)
class Stored:
    """What a folder holds.

    Attributes:
        config: the settings of the training.
        trained: the networks, and the progress of training.
        shapes: ``(K, N, 2)`` the annotated shapes in the unit square of the crop, if they had one number of points.
        calibration: of the detector, if it was calibrated.
        edges: which landmarks pictures join by lines; ``None`` where an older version wrote the detector.
        names: of the landmarks, where the annotations have them.
        whereabouts: where objects are in images without a box.
        training_images: their keys, see :func:`brule.detector.training_images.image_keys`.
        origin: of the first weights; ``None`` if they were drawn from the seed.
        appearance: what training images look like; ``None`` where that wasn't recorded.
        provenance: what it was trained on, in numbers, and how good it was found to be.
        frame: how a crop is placed around the landmarks, if the shapes that show it were left out.
    """

    config: TrainingConfig
    trained: TrainingResult
    shapes: Tensor | None
    calibration: Calibration | None = None
    edges: Edges | None = None
    names: tuple[str, ...] | None = None
    whereabouts: Whereabouts = field(default_factory=Whereabouts)
    training_images: TrainingImages = field(default_factory=TrainingImages)
    origin: Origin | None = None
    appearance: Appearance | None = None
    provenance: Provenance = field(default_factory=Provenance)
    frame: CropFrame | None = None


def check_vacant(directory: Path) -> None:
    """Stop before another run is overwritten.

    Raises:
        CheckpointError: the folder holds one; the message says whether it can be continued.
    """
    if (directory / CHECKPOINT).exists():
        raise CheckpointError(
            f"{directory}: holds a run already; continue it (--resume, resume=True), or choose another folder"
        )
    if (directory / DESCRIPTION).exists() and _read_description(directory)[1].iteration:
        raise CheckpointError(
            f"{directory}: holds a detector already, without a {CHECKPOINT} to continue from; choose another folder, or "
            "remove this one"
        )


def write_detector(directory: Path, stored: Stored) -> None:
    """Write a detector. Its files are written in full before any of them replaces one of a detector that is there already.

    Raises:
        OutputError: they can't be written; a detector that is there already is unchanged.
    """
    with temporary_folder(directory) as parts:
        try:
            _write_parts(parts, stored)
        except OutputError as error:
            raise OutputError(str(error).replace(str(parts), str(directory))) from error
        with wrap_oserror(directory, *(folder / name for folder in (parts, directory) for name in _FILES)):
            (directory / CALIBRATION).unlink(missing_ok=True)  # first: it must never be next to weights of another detector
            for name in _FILES:
                if (parts / name).exists():
                    os.replace(parts / name, directory / name)
                else:  # what another detector left in this folder
                    (directory / name).unlink(missing_ok=True)
            sync(directory)


def _write_parts(folder: Path, stored: Stored) -> None:
    trained, known = stored.trained, stored.whereabouts
    tensors = dict(trained.model.state_dict())
    if stored.shapes is not None:
        tensors["shapes"] = stored.shapes
    write_safetensors(folder / WEIGHTS, tensors, {"format": FORMAT})
    if trained.decoder is not None:
        write_safetensors(folder / DECODER, dict(trained.decoder.state_dict()), {"format": FORMAT})
    weights, locator = (None, None) if known.locator is None else known.locator.state()
    if weights is not None:
        write_safetensors(folder / LOCATOR, weights, {"format": FORMAT})
    stored.training_images.write(folder)
    if stored.appearance is not None:
        stored.appearance.write(folder)
    write_text(folder / DESCRIPTION, json.dumps(_description(stored, locator), indent=2) + "\n", flush=True)
    if stored.calibration is not None:
        write_calibration(folder, stored.calibration)


def _description(stored: Stored, locator: dict[str, Any] | None) -> dict[str, Any]:
    """The content of the JSON file; ``locator`` are the facts of the locator, if there is one."""
    trained, known = stored.trained, stored.whereabouts
    description: dict[str, Any] = {
        "format": FORMAT,
        "landmarks": len(trained.model.barycenter),
        "progress": {"iteration": trained.progress.iteration, "elapsed": trained.progress.elapsed},
        "finished": trained.finished,
        "trained_on": stored.provenance.to_dict(),
        "config": stored.config.model_dump() | {"preset": last_part(stored.config.preset)},
    }
    optional = {
        "edges": stored.edges,
        "names": stored.names,
        "started_from": None if stored.origin is None else stored.origin.facts(),
        "frame": None if stored.frame is None else asdict(stored.frame),
        "boxed": known.boxed or None,
        "framing": None if known.framing is None else known.framing.facts(),
        "locator": locator,
        "scorer": None if known.scorer is None else known.scorer.facts(),
    }
    return description | {key: value for key, value in optional.items() if value is not None}


def read_detector(folder: Path) -> Stored:
    """Read what :func:`write_detector` wrote.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    config, progress, finished, description = _read_description(folder)
    check_model_sizes(folder / WEIGHTS, config)
    tensors, _ = read_safetensors(folder / WEIGHTS)
    check_values(folder / WEIGHTS, tensors)
    shapes = tensors.pop("shapes", None)
    model: BruleModel = build_model(tensors["barycenter"], config, final=has_final(tensors)).eval()
    load_module(model, tensors, folder / WEIGHTS)
    features = tuple(name for name in FEATURES if name != "energy" or shapes is not None)
    calibration = read_calibration(folder, landmarks=len(model.barycenter), features=features)
    trained = TrainingResult(model, progress, finished, _read_decoder(folder, config))
    count, path = len(model.barycenter), folder / DESCRIPTION
    edges, names = _checked(description.get("edges"), count, path), _checked_names(description.get("names"), count, path)
    if names is not None:
        from brule.data.renaming import present_names  # it imports every format

        names = present_names(folder, names)
    known, origin = _read_whereabouts(folder, description), _read_origin(description.get("started_from"), path)
    return Stored(
        config, trained, shapes, calibration, edges, names, known, TrainingImages.read(folder), origin, Appearance.read(folder),
        Provenance.from_dict(description.get("trained_on"), path), _read_frame(description.get("frame"), path),
    )  # fmt: skip


def _read_origin(facts: object, path: Path) -> Origin | None:
    try:
        return None if facts is None else Origin.from_facts(facts)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _read_frame(facts: Any, path: Path) -> CropFrame | None:
    if facts is None:
        return None
    try:
        x, y = (float(value) for value in facts["shift"])
        return CropFrame(float(facts["scale"]), (x, y))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: frame: damaged ({error}); train again, or use another copy") from None


def _read_whereabouts(folder: Path, description: dict[str, Any]) -> Whereabouts:
    try:
        framing = Framing(**description["framing"]) if "framing" in description else None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / DESCRIPTION}: framing: damaged ({error}); train again") from None
    boxed = bool(description.get("boxed", False))
    if "locator" not in description:
        return Whereabouts(framing, boxed=boxed)
    facts = description.get("scorer")
    tensors, _ = read_safetensors(folder / LOCATOR)
    try:
        scorer = None if facts is None else DetectionScorer.from_facts(facts)
        return Whereabouts(framing, Locator.from_state(tensors, description["locator"]), scorer, boxed)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / LOCATOR}: {error}") from None


def _checked_names(names: object, landmarks: int, path: Path) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or len(set(map(str, names))) != landmarks or len(names) != landmarks:
        raise CheckpointError(f"{path}: names: expected one name for each of the {landmarks} landmarks, all different")
    try:
        return tuple(checked_name(name, f"{path}: names") for name in names)
    except DataError as error:
        raise CheckpointError(str(error)) from None


def _checked(edges: object, landmarks: int, path: Path) -> Edges | None:
    if edges is None:
        return None
    try:
        return checked_edges(edges if isinstance(edges, list) else [edges], landmarks, f"{path}: edges")  # type: ignore[list-item]
    except DataError as error:
        raise CheckpointError(str(error)) from None


def _read_decoder(folder: Path, config: TrainingConfig) -> Decoder | None:
    if not (folder / DECODER).exists():
        return None
    check_decoder_sizes(folder / DECODER, config)
    tensors, _ = read_safetensors(folder / DECODER)
    check_values(folder / DECODER, tensors)
    decoder = build_decoder(config).eval()
    load_module(decoder, tensors, folder / DECODER)
    return decoder


def _read_description(folder: Path) -> tuple[TrainingConfig, Progress, bool, dict[str, Any]]:
    from brule.training.config import config_from_dict

    path = folder / DESCRIPTION
    if not path.is_file():
        raise CheckpointError(f"{folder}: expected a trained detector or a run, found no {DESCRIPTION}")
    description = read_json(path)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected format {FORMAT}; it was written by another version of brule")
    try:
        progress = Progress(int(description["progress"]["iteration"]), float(description["progress"]["elapsed"]))
        config = config_from_dict(current_settings(description["config"], stored=True))
        return config, progress, bool(description["finished"]), description
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
        raise CheckpointError(f"{path}: can't be understood ({error}); it was changed, or written by another version") from None
