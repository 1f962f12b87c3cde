"""``brule evaluate``: how good a detector is on annotated images, compared with a constant prediction."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from brule.cli.options import Data, Device, Output, Reading, SkipBad, checked_device, images_of
from brule.cli.output import commands, note, note_bad, progress_bar, say, say_table, write_json
from brule.cli.redrawing.scores import decoder_figures
from brule.errors import ConfigError, OutputError
from brule.files import make_folder

if TYPE_CHECKING:
    import numpy as np

    from brule.data import Sample, SampleList
    from brule.detector import LandmarkDetector
    from brule.evaluation import Measurement
    from brule.evaluation.reports import Shown

Boxes = Literal["none", "given", "both"]
Normaliser = Literal["auto", "outer-eye-corners", "pupils", "eyes", "box-diagonal", "box-size"]
N_PICTURES = 24
MAX_NAME_LENGTH = 80
VIEW_MARGIN = 0.1  # sides of the crop: what a picture shows around a prediction outside it
MAX_VIEW = 6.0  # sides of the crop: a picture never shows more


def evaluate(
    run: Path,
    paths: list[str] | None = None,
    /,
    *,
    data: Data = None,
    output: Annotated[Path | None, Output] = None,
    json: Path | None = None,
    pictures: Path | None = None,
    only_validation: bool = False,
    boxes: Boxes = "both",
    normaliser: Normaliser = "auto",
    regions: Path | None = None,
    decoder: Annotated[bool | None, Parameter(negative="--no-decoder")] = None,
    reading: Reading = Reading(),
    pixel_size: float | None = None,
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Measure a detector on annotated images, and write a page about it.

    The first figures are those of `brule predict` on whole images without boxes; beside them are those inside the true boxes
    ("given boxes"), which new images don't have. Prints the normalised mean error (NME: the mean distance of a landmark from
    its true place, in percent of the object's size) with its 95 % interval, the same in pixels, the median, the share of
    objects found, the landmarks with the largest errors, and W₁, the error if it didn't matter which landmark is which; for
    faces, too, the area under the cumulative error curve (AUC) and the share of failures at 8 % and 10 %. The floor is a
    constant prediction (a baseline) that ignores the image: the mean of the annotated shapes, placed in the true box. A
    detector that is no better has learnt nothing.

    Writes `index.html`, a page that opens from disk: figures, where the errors are, whether the detector's uncertainty predicts
    its errors, the best and the worst images; `metrics.json`, all figures with their intervals; `per_image.csv`, a row for each
    object. docs/evaluation.md defines every figure.

    **Examples**

        brule evaluate runs/first --data annotated-test/

        brule evaluate runs/first --data annotated-test/ -o report/

        brule evaluate runs/first --data trainset/ --only-validation --json scores.json --pictures look.png

    Args:
        run: The folder of a run, or of a saved detector.
        paths: Folders, files or globs of images with annotations beside them, in any format; annotation files that name
            their images; or data sets as `NAME:SPLIT:ROOT`, such as `300w:common:downloads/300w`.
        output: The folder to write to; by default `RUN/evaluation/NAME`, where NAME is that of the data's folder (and
            `-validation` with --only-validation). An earlier evaluation there is replaced.
        json: Also write all figures, and the error of every image, to this file.
        pictures: Write 24 predictions to this picture, each landmark in its own colour, with the truth as crosses.
        only_validation: Take only the tenth of the images that `brule train --exclude-validation` leaves out (the validation
            tenth, chosen by the names of the files).
        boxes: `none`: predict on whole images; `given`: inside the true boxes; `both` (the first figures are those of `none`).
        normaliser: The distance that errors are divided by. `auto`: outer eye corners for 68 points, the eyes for 5,
            the diagonal of the box otherwise.
        regions: A JSON file that names regions by the 0-based indices of their landmarks, `{"left": [0, 1, 2], …}`. By
            default jaw, brows, nose, eyes and mouth for 68 points, and one region of all points otherwise.
        decoder: Measure the decoder too: what it redraws, and its fakes (docs/generate.md defines the figures). By
            default wherever the run has one.
        pixel_size: Millimetres per pixel of all images. By default the scale that each has (DICOM, SCALE of TPS, a scale bar):
            if all have one, errors are also shown in millimetres.
    """
    from brule.data.training_data import annotated_samples, in_landmark_order
    from brule.detector import LandmarkDetector
    from brule.detector.facts import report_dict, report_facts
    from brule.detector.run_record import RunRecord
    from brule.evaluation import read_regions

    data = images_of(paths, data, example="brule evaluate RUN annotated/")
    detector = LandmarkDetector.load(run, device=checked_device(device))
    record = RunRecord.read(run)
    named = None if regions is None else read_regions(regions, len(detector.barycenter_))
    samples = annotated_samples(data, only_validation=only_validation, skip_bad=skip_bad)
    samples = in_landmark_order(_with_pixel_size(samples, pixel_size), detector.landmark_names_)
    folder = output or _default_folder(run, data, only_validation)
    measured = evaluate_detector(
        detector, samples, boxes=boxes, normaliser=normaliser, regions=named, skip_bad=skip_bad, **asdict(reading)
    )  # fmt: skip
    facts = report_facts(detector, record, measured)
    facts += [("views (test-time augmentation)", str(reading.tta))] if reading.tta > 1 else []
    say_table(measured, facts)
    drawn = decoder_figures(
        detector, samples, measured.given, wanted=decoder, normaliser=normaliser, batch_size=reading.batch_size
    )  # fmt: skip
    note_bad(measured.bad)
    details = report_dict(detector, record, measured) | {"run": str(run), "data": data, "views": reading.tta} | drawn
    say()
    if folder is not None:
        words = ["evaluate", str(run), "--data", *data, *(["--only-validation"] if only_validation else [])]
        words += ["--tta", str(reading.tta)] if reading.tta > 1 else []
        words += ["--boxes", boxes] if boxes != "both" else []
        _write_report(folder, detector, samples, measured=measured, facts=facts, details=details, run=run, words=words)
    if json is not None:
        write_json(json, details)
        say(f"figures: {json}")
    if pictures is not None:
        draw_predictions(detector, samples, measured, path=pictures)
        say(f"pictures: {pictures}")
    return 0


def _with_pixel_size(samples: SampleList, pixel_size: float | None) -> SampleList:
    """Samples with the scale that was asked for; a remark where only some have one.

    Raises:
        ConfigError: the scale isn't positive.
    """
    if pixel_size is not None and not 0 < pixel_size < float("inf"):
        raise ConfigError(f"--pixel-size: expected millimetres per pixel, above 0, got {pixel_size:g}")
    if pixel_size is not None:
        return samples.replaced(replace(sample, spacing=(pixel_size, pixel_size)) for sample in samples)
    known = sum(sample.spacing is not None for sample in samples)
    if 0 < known < len(samples):
        note(
            f"{known} of {len(samples)} annotated objects have a scale, so there is no error in millimetres; give all of "
            "them one with --pixel-size"
        )
    return samples


def _default_folder(run: Path, data: list[str], only_validation: bool) -> Path | None:
    """A folder in the run with the data's name; ``None``, and a remark, if the run can't be written to."""
    names = [re.sub(r"[^\w.-]+", "-", Path(path).resolve().name).strip("-.") or "data" for path in data]
    from brule.tracking.run_files import EVALUATIONS

    folder = run / EVALUATIONS / ("+".join(names)[:MAX_NAME_LENGTH] + ("-validation" if only_validation else ""))
    try:
        make_folder(folder)
    except OutputError as error:
        note(f"{error}\nso there is no page; choose another folder with -o")
        return None
    return folder


def _write_report(
    folder: Path,
    detector: LandmarkDetector,
    samples: SampleList,
    *,
    measured: Measurement,
    facts: list[tuple[str, str]],
    details: dict[str, Any],
    run: Path,
    words: list[str],
) -> None:
    from brule.evaluation.reports import write_evaluation
    from brule.tracking.run_files import PAGE

    write_evaluation(
        folder,
        measured,
        title=f"{_shown_name(run)} on {', '.join(_shown_name(path) for path in details['data'])}",
        summary=measured.verdict(),
        crop=picture_reader(detector, samples, measured),
        facts=facts,
        details=details,
        commands=commands([("These figures again", words)]),
        course=_course(run),
    )
    say(f"page: {folder / PAGE}")


def _course(run: Path) -> list[tuple[int, float, float]]:
    """What was measured during training; nothing of a detector without a log."""
    from brule.tracking.run_files import LOG
    from brule.tracking.run_state import RunState

    return RunState.read(run).validation if (run / LOG).is_file() else []


def _shown_name(path: str | Path) -> str:
    return Path(path).name or Path(path).resolve().name


def picture_reader(detector: LandmarkDetector, samples: SampleList, measured: Measurement) -> Callable[[int], Shown]:
    """Index of an evaluated image → the part of it that shows truth and prediction, sharper than the detector sees it."""
    import numpy as np

    from brule.data import load_picture, turn_about
    from brule.detector.measuring import check_annotation
    from brule.evaluation.reports import Shown
    from brule.evaluation.reports.evaluation import PICTURE_SIDE

    result, scale = measured.first, detector.config_.crop.scale
    # An image may hold several objects: those of one name come in the same order in both.
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in check_annotation(detector, samples):
        by_name[str(sample.path)].append(sample)
    scored = [by_name[name][number - 1] for name, number in zip(result.names, result.object_numbers, strict=True)]

    def read(i: int) -> Shown:
        left, top, right, _ = scored[i].crop(scale) or (0.0, 0.0, 1.0, 1.0)
        x, y, size = _view(result.predictions[i])
        side, angle = right - left, scored[i].angle
        middle = np.array([left + (x + size / 2) * side, top + (y + size / 2) * side])
        # The view's axes are those of the crop, which is turned about its centre.
        across, down = turn_about(middle, ((left + right) / 2, top + side / 2), angle).tolist()
        half = size * side / 2
        box = (across - half, down - half, across + half, down + half)
        picture = load_picture(scored[i].path, lambda width, height: PICTURE_SIDE / half)
        return Shown(picture.cut(box, PICTURE_SIDE, angle), zoom=1 / size, shift=(-x / size, -y / size))

    return read


def _view(prediction: np.ndarray) -> tuple[float, float, float]:
    """The square that holds the true crop and a prediction in its unit square: left, top, side."""
    low = [min(0.0, float(value) - VIEW_MARGIN) for value in prediction.min(axis=0)]
    high = [max(1.0, float(value) + VIEW_MARGIN) for value in prediction.max(axis=0)]
    if low == [0.0, 0.0] and high == [1.0, 1.0]:
        return 0.0, 0.0, 1.0
    size = min(MAX_VIEW, max(high[0] - low[0], high[1] - low[1]))
    return (low[0] + high[0] - size) / 2, (low[1] + high[1] - size) / 2, size


def evaluate_detector(detector: LandmarkDetector, samples: SampleList, **options: Any) -> Measurement:
    """Predict and score, with progress bars; options as for :func:`brule.detector.measure_detector`."""
    from brule.detector import measure_detector

    with progress_bar("reading images") as reading, progress_bar("predicting") as predicting:
        measured = measure_detector(detector, samples, progress=(reading, predicting), **options)
    return measured.with_landmark_names(detector.landmark_names_ or samples.layout.names)


def draw_predictions(detector: LandmarkDetector, samples: SampleList, measured: Measurement, *, path: Path) -> None:
    """Draw 24 predictions, evenly spread over the images, with the truth as crosses and the error above."""
    import numpy as np

    from brule.arrays import evenly_spread
    from brule.plots import overlay_grid, save_picture

    result, read = measured.first, picture_reader(detector, samples, measured)
    chosen = evenly_spread(len(result.names), N_PICTURES)
    shown = [read(i) for i in chosen]
    titles = [f"{Path(result.names[i]).name}  {result.errors[i]:.1f} %" for i in chosen]
    points, truth = (
        np.stack([one.place(own) for one, own in zip(shown, table[chosen], strict=True)])
        for table in (result.predictions, result.truth)
    )
    pictures = np.stack([one.picture for one in shown])
    save_picture(overlay_grid(pictures, points, truth=truth, names=titles, columns=6, edges=result.edges), path)
