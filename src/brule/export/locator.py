"""The file of the locator: with that of the landmarks it finds landmarks in whole images, without brule and PyTorch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brule import __version__
from brule.data.synthetic import synthetic_scenes
from brule.detector import LandmarkDetector
from brule.errors import ExportError
from brule.export.locator_graph import CANDIDATES, LocatorGraph
from brule.export.program import save_program
from brule.export.running import check_packages, open_session
from brule.export.writing import check_description
from brule.files import temporary_folder, wrap_oserror, write_text
from brule.locating import Locator

FORMAT = "brule-onnx-locator-1"
_BOXES, _SCORES = 1e-3, 0.02  # largest differences from PyTorch: of the image's longer side, and of a score


@dataclass(frozen=True)
class ExportedLocator:
    """What was written.

    Attributes:
        path: the ``.onnx`` file.
        description: the JSON file beside it.
        difference: largest difference between onnxruntime and PyTorch in the surest box, over the image's longer side.
        from_brule: distance of the surest box from the nearest of the five that ``predict`` would look at, over the image's
            longer side: brule rounds grey values and sizes in other places.
    """

    path: Path
    description: Path
    difference: float
    from_brule: float


def locator_path(path: Path) -> Path:
    """The locator's file beside that of the landmarks: ``model.onnx`` → ``model-locator.onnx``."""
    return path.with_name(f"{path.stem}-locator{path.suffix}")


def export_locator(detector: LandmarkDetector, path: Path | str) -> ExportedLocator:
    """Write a detector's locator as an ONNX file with a JSON file beside it, and see that it finds the same places.

    Args:
        detector: a trained one that has a locator.
        path: ends in ``.onnx``; an existing file is replaced.

    Raises:
        ExportError: there is no locator, or one of turned objects; a package is missing; or the file finds other places.
    """
    path, locator = Path(path), detector.whereabouts_.locator
    if locator is None:
        raise ExportError("this detector has no locator: train it on images without boxes, beside annotated ones")
    if locator.turns:
        raise ExportError("this detector finds objects at any angle, and exported crops are upright; export the crops alone")
    check_description(path)
    check_packages()
    with temporary_folder(path.parent) as folder, wrap_oserror(path, folder / "locator.onnx"), torch.no_grad():
        written = folder / "locator.onnx"
        graph, facts = LocatorGraph(locator).eval(), _facts(detector, locator)
        save_program(
            graph,
            [np.ascontiguousarray(synthetic_scenes(1, size=160).images[0][:120])],
            written,
            inputs={"image": {0: "height", 1: "width"}},
            outputs=("boxes", "angles", "scores"),
            facts={name: str(value) for name, value in facts.items()},
            what="this locator",
        )
        boxes, scores, from_brule = _differences(written, graph, locator)
        if not (boxes <= _BOXES and scores <= _SCORES):
            raise ExportError(
                f"{path}: not written: onnxruntime's boxes differ from PyTorch's by {boxes:.2g} of the image's longer side "
                f"(expected at most {_BOXES:g}), its scores by {scores:.2g} ({_SCORES:g}); try other versions of onnxruntime "
                "and torch"
            )
        description = path.with_suffix(".json")
        checked = {"difference_to_pytorch": boxes, "difference_to_predict": from_brule}
        write_text(description, json.dumps({**facts, **checked}, indent=1) + "\n")  # first, since a rename hardly fails
        os.replace(written, path)
    return ExportedLocator(path=path, description=description, difference=boxes, from_brule=from_brule)


def _facts(detector: LandmarkDetector, locator: Locator) -> dict[str, Any]:
    frame, scale = detector.finder().frame, detector.config_.crop.scale
    return {
        "format": FORMAT,
        "brule_version": __version__,
        "takes": "image: bytes (H, W, 3), RGB, any size",
        "gives": f"boxes ({CANDIDATES}, 4), angles ({CANDIDATES},), scores ({CANDIDATES},); the likeliest first",
        "frame": "left, top, right, bottom of the landmarks in pixels of the image, the centre of the first one at (0, 0)",
        "box_rule": "the landmarks' file takes the square whose centre is that of the box moved by box_shift, and whose side "
        "is box_scale, both times the box's longer side",
        "box_scale": frame.scale / scale,
        "box_shift": list(frame.shift),
        "searched_at": f"{locator.longest} px along the longer side",
    }


def _differences(path: Path, graph: LocatorGraph, locator: Locator) -> tuple[float, float, float]:
    """How far the likeliest box of drawn scenes and its score are from PyTorch's, and the box from brule's nearest, at most."""
    session, scenes = open_session(path, threads=1), synthetic_scenes(3, size=320, seed=5).images
    rows = []
    for image in (scenes[0], scenes[1][:200], scenes[2][:, 40:260]):
        image = np.ascontiguousarray(image)
        boxes, _, scores = session.run(None, {"image": image})
        mine, _, own = graph(torch.from_numpy(image))
        brule, side = locator.locate([image], most=CANDIDATES).boxes, max(image.shape)
        rows.append(
            [
                np.abs(boxes[0] - mine[0].numpy()).max() / side,
                abs(scores[0] - own[0]),
                np.abs(boxes[0] - brule).max(axis=1).min() / side,
            ]
        )
    return tuple(np.max(rows, axis=0).tolist())
