"""From a detector to an ONNX file that is checked to compute the same."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from brule import __version__
from brule.detector import LandmarkDetector
from brule.errors import ConfigError, DataError, ExportError
from brule.export.checking import Inputs, difference_to_predict, example_inputs, largest_difference
from brule.export.graph import CropDetector, Finder, ImageDetector
from brule.export.int8 import Int8Report, check_calibration, quantise
from brule.export.program import save_program
from brule.export.running import check_packages
from brule.files import read_json, temporary_folder, wrap_oserror, write_text
from brule.model import BruleModel

FORMAT = "brule-onnx-1"
TOLERANCE = 1e-4  # of the crop's side
_MIN_OPSET = 18  # what torch's exporter writes

_CROP_RULE = "the square about the centre of the object's box, its side crop_scale times the box's longer side"
_FRAMES = {
    "crops": "unit square of the crop: 0 at its left or upper edge, 1 at the opposite one",
    "image": "pixels of the image, the centre of the first one at (0, 0)",
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the ``.onnx`` file.
        description: the JSON file beside it.
        difference: the largest difference between onnxruntime and PyTorch that was found in float32, in crops' sides.
        int8: how far the quantised file is from PyTorch, where one was asked for.
        to_predict: the largest difference from ``predict`` inside the same boxes, of a file that takes whole images.
    """

    path: Path
    description: Path
    difference: float
    int8: Int8Report | None = None
    to_predict: float | None = None


def export_detector(
    detector: LandmarkDetector,
    path: Path | str,
    *,
    whole_image: bool = False,
    opset: int | None = None,
    calibration: np.ndarray | None = None,
) -> Exported:
    """Write a detector as an ONNX file with a JSON file beside it, and see that onnxruntime computes the same.

    Args:
        detector: a trained one.
        path: ends in ``.onnx``; an existing file is replaced.
        whole_image: take an image and a box (:class:`brule.export.graph.ImageDetector`) rather than a batch of crops
            (:class:`brule.export.graph.CropDetector`).
        opset: of ONNX; by default that of torch's exporter.
        calibration: ``(K, S, S, 3)`` bytes, crops to find the ranges of int8 with; the file is then quantised.

    Returns:
        What was written, and how far it is from PyTorch.

    Raises:
        ExportError: a package is missing, torch can't export it, or the file differs from PyTorch by more than
            ``TOLERANCE`` (int8: by more than its own limit); nothing is left behind, and an older file stays.
        DataError: too few calibration images, or of another size.
        ConfigError: on a name that doesn't end in ``.onnx``, an unknown opset, or int8 with ``whole_image``.
    """
    path = Path(path)
    size, scale = detector.config_.crop.image_size, detector.config_.crop.scale
    _check(path, opset, whole_image, calibration=calibration)
    if calibration is not None:
        check_calibration(calibration, size)
    check_packages()
    model = copy.deepcopy(detector.model_).cpu().float().eval()
    facts = _facts(detector, "image" if whole_image else "crops")
    with (
        temporary_folder(path.parent) as folder,
        wrap_oserror(path, folder / "float32.onnx", folder / "int8.onnx"),
        torch.no_grad(),
    ):
        written = folder / "float32.onnx"
        examples = example_inputs(size, whole_image)
        wanted = _graph(lambda images: _found(model, images), size, scale, whole_image=whole_image)
        _write(_graph(Finder(model), size, scale, whole_image=whole_image), examples[0], written, facts=facts, opset=opset)
        difference = largest_difference(written, wanted, examples)
        if not difference <= TOLERANCE:  # NaN isn't, either
            raise ExportError(
                f"{path}: not written: onnxruntime differs from PyTorch by {difference:.2g} of a crop's side, more than "
                f"{TOLERANCE:g}; try another --opset or other versions of onnxruntime and torch"
            )
        to_predict = difference_to_predict(written, detector) if whole_image else None
        report = None
        if calibration is not None:
            quantised = folder / "int8.onnx"
            report = quantise(written, quantised, wanted, crops=calibration, name=path)
            written, facts = quantised, facts | {"precision": "int8"}
            _describe_model(written, facts)
        description = path.with_suffix(".json")
        checked = {"difference_to_pytorch": difference, "difference_to_predict": to_predict}
        content = _description(written, facts, detector, checked=checked, report=report)
        write_text(description, json.dumps(content, indent=1) + "\n")  # first, since a rename hardly fails
        os.replace(written, path)
    return Exported(path=path, description=description, difference=difference, int8=report, to_predict=to_predict)


def _check(path: Path, opset: int | None, whole_image: bool, *, calibration: np.ndarray | None) -> None:
    if path.suffix != ".onnx" or path.is_dir():
        raise ConfigError(f"{path}: expected the name of a file that ends in .onnx, such as {path.with_suffix('.onnx')}")
    check_description(path)
    if opset is not None and opset < _MIN_OPSET:
        raise ConfigError(f"opset: expected {_MIN_OPSET} or more, got {opset}")
    if whole_image and calibration is not None:
        raise ConfigError("int8: only for a file that takes crops; leave whole_image out")


def check_description(path: Path) -> None:
    """Refuse a name whose description, ``NAME.json``, would replace another file, such as a detector's own.

    Raises:
        ConfigError: such a file is there, and no export wrote it.
    """
    description = path.with_suffix(".json")
    if not description.is_file():
        return
    try:
        content = read_json(description, "the description of an exported file")
    except DataError:
        content = None
    if not (isinstance(content, dict) and str(content.get("format")).startswith("brule-onnx-")):
        raise ConfigError(f"{path}: its description would replace {description}, which is another file; choose another name")


def _found(model: BruleModel, images: Tensor) -> tuple[Tensor, Tensor]:
    found = model.encode(images)
    return found.points, found.spread


def _graph(find: Any, size: int, scale: float, *, whole_image: bool) -> nn.Module:
    module = ImageDetector(find, size=size, scale=scale) if whole_image else CropDetector(find)
    return module.eval()


def _facts(detector: LandmarkDetector, takes: str) -> dict[str, str]:
    """The file's metadata, as text."""
    crop = detector.config_.crop
    return {
        "format": FORMAT,
        "brule_version": __version__,
        "takes": takes,
        "landmarks": str(len(detector.barycenter_)),
        **({"names": json.dumps(detector.landmark_names_)} if detector.landmark_names_ else {}),
        "order": "that of the annotated shapes and of the barycenter; the index of an output is that of the landmark",
        "image_size": str(crop.image_size),
        "crop_scale": repr(crop.scale),
        "crop_rule": _CROP_RULE,
        "frame": _FRAMES[takes],
        "precision": "float32",
    }


def _write(module: nn.Module, example: Inputs, path: Path, *, facts: dict[str, str], opset: int | None) -> None:
    inputs: dict[str, dict[int, str] | None] = {"images": {0: "batch"}}
    if len(example) == 2:
        inputs = {"image": {0: "height", 1: "width"}, "box": None}
    got = save_program(
        module, example, path, inputs=inputs, outputs=("points", "spread"), facts=facts, what="this detector", opset=opset
    )
    if opset is not None and got != opset:
        raise ExportError(f"opset: torch wrote opset {got} rather than {opset}, which it can't convert to; ask for {got}")


def _describe_model(path: Path, facts: dict[str, str]) -> None:
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, path)


def _description(
    path: Path,
    facts: dict[str, str],
    detector: LandmarkDetector,
    *,
    checked: dict[str, float | None],
    report: Int8Report | None,
) -> dict[str, Any]:
    """The JSON file: the facts with their types, inputs and outputs, the barycenter, what the check found."""
    import onnx

    model = onnx.load(path)
    numbers: dict[str, Any] = {
        "landmarks": int(facts["landmarks"]),
        "image_size": int(facts["image_size"]),
        "crop_scale": float(facts["crop_scale"]),
    }
    return {
        **facts,
        **numbers,
        "opset": next(one.version for one in model.opset_import if not one.domain),
        "inputs": [_signature(value) for value in model.graph.input],
        "outputs": [_signature(value) for value in model.graph.output],
        "barycenter": detector.barycenter_.tolist(),
        **checked,
        "int8": None if report is None else asdict(report),
    }


def _signature(value: Any) -> dict[str, Any]:
    import onnx

    tensor = value.type.tensor_type
    shape = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
    return {"name": value.name, "type": onnx.TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": shape}
