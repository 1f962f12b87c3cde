"""``brule export``: a detector as an ONNX file, or as a folder to pass on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from brule.cli.options import Many, Output, SkipBad
from brule.cli.output import note, note_bad, say, say_text
from brule.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from brule.detector import LandmarkDetector
    from brule.export import Exported

CALIBRATION = 200  # images at most: the ranges of the activations hardly change after that


def export(
    run: Path,
    /,
    *,
    output: Annotated[Path, Output],
    whole_image: Annotated[bool, Parameter(negative="")] = False,
    opset: int | None = None,
    int8: Annotated[list[str] | None, Many] = None,
    hub: Annotated[bool, Parameter(negative="")] = False,
    without_shapes: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    skip_bad: SkipBad = False,
) -> int:
    """Write a detector as an ONNX file that runs without brule and PyTorch.

    Pre- and postprocessing are included. The file takes `images`, a batch of crops as bytes `(B, S, S, 3)`, RGB,
    and gives `points` `(B, N, 2)` and `spread` `(B, N)` in the unit square of each crop. With `--whole-image` it takes one
    `image` of any size `(H, W, 3)` and the `box` of the object `(left, top, right, bottom)` in pixels, cuts the object out
    itself, and gives points in pixels of the image; a box of zeros means the whole image. A detector with a locator gets a
    second file, `NAME-locator.onnx`, that finds the boxes; docs/export.md has a short program that runs both.

    The file is kept only if onnxruntime and PyTorch agree to within 1e-4 of the crop's side, on random and on drawn images.
    A JSON file beside it holds size, crop rule, order, inputs and outputs. Needs
    `pip install 'brule-landmarks[export]'`.

    With `--hub` it writes a folder instead: the detector with its model card, as model hubs take it, without the run's log,
    previews and paths (docs/model-cards.md).

    **Examples**

        brule export runs/first -o model.onnx

        brule export runs/first -o model.onnx --whole-image

        brule export runs/first -o small.onnx --int8 photos/

        brule export runs/first -o to-share/ --hub --without-shapes

    Args:
        run: The folder of a run, or of a saved detector.
        output: The `.onnx` file to write; the JSON file beside it has the same name.
        whole_image: Take an image of any size and a box rather than a batch of crops.
        opset: Version of ONNX's operators, 18 or more; by default that of torch's exporter.
        int8: Quantise the convolutions to int8, with ranges found on these images (files, folders, globs; at most 200 are
            taken): a quarter of the size. The loss of accuracy is measured on half of them and printed.
        hub: Write a folder with safetensors, JSON and a model card.
        without_shapes: With `--hub`: leave out the annotated shapes, which are landmarks of single training images. A
            calibration is left out, too, since it needs them.
        overwrite: Replace an earlier file or folder.
    """
    if hub or without_shapes:
        _check_hub(hub, onnx={"--whole-image": whole_image, "--opset": opset, "--int8": int8})
        return _write_folder(run, output, shapes=not without_shapes, overwrite=overwrite)
    _check_new(output, overwrite)
    from brule.detector import LandmarkDetector
    from brule.export import check_packages, export_detector, locator_path

    if whole_image:
        _check_new(locator_path(output), overwrite)
    check_packages()
    detector = LandmarkDetector.load(run, device="cpu")
    calibration = None if int8 is None else _crops(detector, int8, skip_bad)
    _report(export_detector(detector, output, whole_image=whole_image, opset=opset, calibration=calibration))
    if whole_image and detector.whereabouts_.locator is not None:
        _export_locator(detector, locator_path(output))
    return 0


def _check_new(path: Path, overwrite: bool) -> None:
    """Refuse to replace a file unless that is asked for."""
    if path.exists() and not overwrite:
        raise ConfigError(f"{path}: exists already; choose another name, or replace it with --overwrite")


def _export_locator(detector: LandmarkDetector, path: Path) -> None:
    """The file that finds boxes, where there can be one."""
    from brule.export import export_locator

    if detector.whereabouts_.turns:
        note("no file finds the boxes: this locator finds objects at any angle, and the exported crops are upright")
        return
    note("the locator's file takes a minute or two")
    written = export_locator(detector, path)
    say(f"written: {written.path} ({written.path.stat().st_size / 1e6:.1f} MB), {written.description}")
    say(f"its boxes differ from PyTorch's by at most {100 * written.difference:.1g} % of the image's longer side,")
    say(f"from those of brule predict by at most {100 * written.from_brule:.1g} %")


def _check_hub(hub: bool, *, onnx: dict[str, object]) -> None:
    """Refuse options that would have no effect."""
    if not hub:
        raise ConfigError("--without-shapes: belongs to --hub; an ONNX file holds no annotated shapes")
    given = [name for name, value in onnx.items() if value]
    if given:
        raise ConfigError(f"--hub: writes no ONNX file, so {' and '.join(given)} can't be given; leave one of them out")


def _write_folder(run: Path, output: Path, *, shapes: bool, overwrite: bool) -> int:
    """The detector and its model card, and nothing else of the run."""
    from brule.detector import LandmarkDetector

    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not overwrite):
        raise ConfigError(f"{output}: is there already; choose another name, or replace a folder with --overwrite")
    detector = LandmarkDetector.load(run, device="cpu")
    detector.provenance_ = detector.card(run).provenance  # with the figures of the run's evaluations
    detector.save(output, shapes=shapes)
    if not shapes and detector.calibration_ is not None:
        note("the calibration was left out with the shapes; brule calibrate makes a new one")
    say(f"written: {output}, with a model card: {output / 'README.md'}")
    return 0


def _crops(detector: LandmarkDetector, paths: list[str], skip_bad: bool) -> np.ndarray:
    """Crops of images spread evenly over those that there are."""
    from brule.arrays import evenly_spread
    from brule.data import build_cache, read_samples

    if not paths:
        raise ConfigError("--int8: expected images to find the ranges with: files, folders or globs")
    samples, crop = read_samples(paths, skip_bad=skip_bad), detector.config_.crop
    some = samples.replaced(samples[k] for k in evenly_spread(len(samples), CALIBRATION))
    cache = build_cache(some.unlabelled(), crop.image_size, scale=crop.scale, skip_bad=skip_bad)
    note_bad(cache.bad)
    return cache.images


def _report(written: Exported) -> None:
    say(f"written: {written.path} ({written.path.stat().st_size / 1e6:.1f} MB), {written.description}")
    say(f"onnxruntime and PyTorch differ by at most {100 * written.difference:.2g} % of the crop's side")
    if written.to_predict is not None:
        say_text(f"inside the same boxes, brule predict differs by at most {100 * written.to_predict:.2g} % of the crop's side")
    if written.int8 is not None:
        report = written.int8
        say_text(
            f"int8 moves the landmarks by {100 * report.mean:.2f} % of the crop's side on average, {100 * report.p99:.2f} % in "
            f"the worst hundredth, {100 * report.largest:.2f} % at most ({report.images} images)"
        )
