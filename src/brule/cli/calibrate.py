"""``brule calibrate``: calibrate a detector, so that its spread is an expected error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from brule.cli.options import Data, Device, SkipBad, checked_device, images_of
from brule.cli.output import note, note_bad, progress_bar, say, say_rows, say_text

if TYPE_CHECKING:
    from brule.data import SampleList
    from brule.detector import CalibrationReport, LandmarkDetector
    from brule.detector.calibrating import WholeImages
    from brule.detector.run_record import RunRecord


def calibrate(
    run: Path,
    paths: list[str] | None = None,
    /,
    *,
    data: Data = None,
    only_validation: bool = False,
    tta: Annotated[int, Parameter(name=["--tta", "--views"])] = 4,
    seed: int = 0,
    batch_size: int = 64,
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Calibrate a detector: turn `spread` into an expected error.

    Fits to annotated images, for every number of views up to `--tta`, an error model: it predicts each landmark's distance
    from the truth from uncertainty features (how broad the heatmap is, how far the predictions for several views differ, how
    unlikely the shape is). Writes it to `RUN/calibration.json`; `brule predict` and `brule evaluate` use it from then on. Ten
    images are enough, fifty are plenty; their landmarks must not have been trained on.

    The error model learns inside the true boxes: an expected error holds on condition that the object was found. Predictions
    that `brule predict` flags as probably wrong have none.

    Prints, by cross-validation, how well expected and true errors agree: their rank correlation, the error of the remaining
    images when the least sure ones are set aside, and the two errors in four groups of images; and, where the detector
    finds the object itself, both errors on whole images. docs/confidence.md explains these figures.

    **Examples**

        brule calibrate runs/first --data annotated-test/

        brule calibrate runs/first --data trainset/ --only-validation --tta 6

    Args:
        run: The folder of a run, or of a saved detector; its calibration is replaced.
        paths: Annotated images, as for `brule evaluate`.
        only_validation: Take only the validation tenth of the images; see `brule train --exclude-validation`.
        tta: The largest number of views, 1 to 6, that `brule predict --tta` can be asked for afterwards.
        seed: Random seed of the folds of the cross-validation; the error model doesn't depend on it.
        batch_size: Images at a time.
    """
    from brule.data.training_data import annotated_samples, in_landmark_order
    from brule.detector import LandmarkDetector, calibrate_detector, write_calibration
    from brule.detector.run_record import RunRecord

    data = images_of(paths, data, example="brule calibrate RUN annotated/")
    detector = LandmarkDetector.load(run, device=checked_device(device))
    record = RunRecord.read(run)
    samples = annotated_samples(data, only_validation=only_validation, skip_bad=skip_bad)
    samples = in_landmark_order(samples, detector.landmark_names_)
    _note_training_images(detector, samples, record, only_validation=only_validation)
    with progress_bar("reading images") as reading, progress_bar("predicting") as predicting:
        report = calibrate_detector(
            detector,
            samples,
            tta=tta,
            seed=seed,
            batch_size=batch_size,
            skip_bad=skip_bad,
            progress=(reading, predicting),
        )
    _say(report)
    note_bad(report.bad)
    say(f"calibration: {write_calibration(run, report.calibration)}")
    return 0


def _note_training_images(
    detector: LandmarkDetector, samples: SampleList, record: RunRecord | None, *, only_validation: bool
) -> None:
    """Warn of images whose landmarks were learnt from: their errors are smaller than those of new images."""
    from brule.detector.training_images import image_keys

    way = "the expected errors will be too small; train with --exclude-validation and calibrate with --only-validation"
    if detector.training_images_.recorded:
        keys = image_keys(sample.path for sample in samples)
        if taught := detector.training_images_.overlap(keys)[1]:
            note(f"careful: {taught} of these {len(set(keys))} images were annotated for training, so {way}")
    elif record is not None and record.n_labelled and not (only_validation and record.exclude_validation):
        note(f"this run learnt from {record.n_labelled} annotated images: if they are among these, {way}")


def _say(report: CalibrationReport) -> None:
    from brule.detector.calibrating import FOLDS, KEPT

    best = []
    for one in report.quality:
        value, low, high = one.correlation
        kept = [f"{own:.2f} ({oracle:.2f})" for own, oracle in map(one.kept, KEPT)]
        best.append((str(one.views), f"{one.error:.2f}", f"{value:.2f} ({low:.2f} to {high:.2f})", *kept))
    say_rows(("views", "error", "correlation (95 %)", *(f"surest {100 * share:.0f} %" for share in KEPT)), best)
    say()
    say_text(
        "Spearman's rank correlation of expected and true error; the error of the surest images beside (in brackets) that of "
        "those with the smallest errors. Each view takes as long as the first. Before calibration, the spread of one view "
        f"has a correlation of {report.before.value:.2f}."
    )
    say()
    last = report.quality[-1]
    groups = [(name, *(f"{pair[k]:.2f}" for pair in last.groups)) for k, name in enumerate(("expected", "true"))]
    say_rows(("", "surest quarter", "second", "third", "least sure quarter"), groups)
    say()
    views = "1 view" if last.views == 1 else f"{last.views} views"
    say(f"images   {report.calibration.images}, {FOLDS}-fold cross-validation; the quarters with {views}")
    say("errors   mean distance of a landmark from its place, in % of the crop's side")
    say("boxes    the true ones: an expected error holds where the object was found")
    if report.whole is not None:
        say()
        say_text(_on_whole_images(report.whole))
    say()


def _on_whole_images(whole: WholeImages) -> str:
    count = whole.images - whole.flagged
    flagged = "1 prediction is flagged and has" if whole.flagged == 1 else f"{whole.flagged} predictions are flagged and have"
    text = f"On {whole.images} whole images, without boxes, {flagged} no expected error."
    if not count:
        return text
    return f"{text} The others are {whole.true:.2f} % off on average, where {whole.expected:.2f} % is expected."
