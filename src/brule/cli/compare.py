"""``brule compare``: which of several detectors is better, on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from brule.cli.evaluate import Boxes, Normaliser, evaluate_detector
from brule.cli.options import Device, Output, SkipBad, checked_device
from brule.cli.output import note, note_bad, say, say_rows, say_text, write_json
from brule.errors import ConfigError

if TYPE_CHECKING:
    from brule.data import SampleList
    from brule.evaluation.reports import ComparisonReport, StoredEvaluation


def compare(
    *runs: Path,
    data: Annotated[list[str] | None, Parameter(name=["--data", "--images"], consume_multiple=True)] = None,
    output: Annotated[Path | None, Output] = None,
    json: Path | None = None,
    only_validation: bool = False,
    boxes: Boxes = "both",
    normaliser: Normaliser = "auto",
    batch_size: int = 64,
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Measure several detectors on the same images, and test whether they differ.

    Prints the figures of each side by side, and for every two of them the mean difference of their errors with its 95 %
    interval (a paired bootstrap over images) and the p-value of the Wilcoxon signed-rank test: how often chance alone would
    make so one-sided a difference.

    Instead of a run you can give the folder of a finished evaluation (`metrics.json` and `per_image.csv`, from `brule
    evaluate`), which is read and not repeated. With `-o`, writes `index.html`, a page that opens from disk, `comparison.json`
    and `per_image.csv`.

    **Examples**

        brule compare runs/first runs/second --data annotated-test/ -o comparison/

        brule compare runs/first/evaluation/annotated-test runs/second/evaluation/annotated-test

    Args:
        runs: Folders of runs, of saved detectors, or of finished evaluations; two or more.
        data: Folders, files or globs of annotated images; needed unless all evaluations are finished.
        output: The folder to write to; without it, the figures are printed and nothing is written.
        json: Write all figures to this file.
        only_validation: Take only the validation tenth of the images; see `brule train --exclude-validation`.
        boxes: Compare on whole images (`none`), inside the true boxes (`given`), or on whole images with the figure inside the
            true boxes beside it (`both`).
        normaliser: The distance that errors are divided by, as for `brule evaluate`.
        batch_size: Images at a time.
    """
    from brule.data.training_data import annotated_samples
    from brule.evaluation.reports import ComparisonReport, read_evaluation, write_comparison
    from brule.tracking.run_files import DESCRIPTION, METRICS, PAGE

    if len(runs) < 2:
        raise ConfigError(f"compare: expected two or more runs or finished evaluations, got {len(runs)}")
    finished = [(run / METRICS).is_file() and not (run / DESCRIPTION).is_file() for run in runs]
    if data is None and not all(finished):
        unfinished = ", ".join(str(run) for run, done in zip(runs, finished, strict=True) if not done)
        raise ConfigError(
            f"compare: {unfinished}: no {METRICS} of a finished evaluation there; for runs, say on which images "
            "to measure them (--data)"
        )
    if all(finished):
        given = {"--data": data, "--only-validation": only_validation, "--skip-bad": skip_bad, "--boxes": boxes != "both"}
        _refuse_ignored(given | {"--normaliser": normaliser != "auto", "--batch-size": batch_size != 64})
    checked = checked_device(device)
    samples = annotated_samples(data, only_validation=only_validation, skip_bad=skip_bad) if data else None
    found = [
        read_evaluation(run)
        if samples is None or done
        else _measured(run, samples, checked, boxes=boxes, normaliser=normaliser, batch_size=batch_size, skip_bad=skip_bad)
        for run, done in zip(runs, finished, strict=True)
    ]
    if len({one.run for one in found}) < len(found):  # one run evaluated twice, or two that were called the same
        found = [replace(one, run=str(path)) for one, path in zip(found, runs, strict=True)]
    report = ComparisonReport.of(found)
    _say_report(report)
    if json is not None:
        write_json(json, report.to_dict())
        say(f"figures: {json}")
    if output is not None:
        write_comparison(output, report, facts=[("evaluated", ", ".join(data) if samples is not None and data else "earlier")])
        say(f"page: {output / PAGE}")
    return 0


def _refuse_ignored(options: Mapping[str, object]) -> None:
    """Refuse options of a measurement where nothing is measured."""
    if given := [name for name, value in options.items() if value]:
        raise ConfigError(
            f"{given[0]}: has no effect on finished evaluations, which are read, not repeated; leave it out, or give the runs"
        )


def _measured(run: Path, samples: SampleList, device: str | None, **options: Any) -> StoredEvaluation:
    from brule.detector import LandmarkDetector
    from brule.evaluation.reports import StoredEvaluation

    detector = LandmarkDetector.load(run, device=device)
    measured = evaluate_detector(detector, samples, **options)
    note_bad(measured.bad)
    return StoredEvaluation.of(measured, str(run))


def _say_report(report: ComparisonReport) -> None:
    from brule.evaluation.reports.comparison import p_text, verdict
    from brule.evaluation.reports.rows import LABELS, estimate_text, shown, signed

    if report.left_out:
        note(f"{report.left_out} objects were evaluated for some of the detectors only and are left out")
    figures = [(LABELS[name], *("  ".join(shown(one.scores, name)) for one in report.candidates)) for name in report.figures]
    if report.given:
        figures.append(("NME, given boxes", *("  ".join(estimate_text("nme", one)) for one in report.given.values())))
    figures.append(("constant prediction (floor), NME", *(f"{one.scores.floor_nme:.2f} %" for one in report.candidates)))
    if report.worst:
        figures.append(("most often the worst landmark", *report.worst.values()))
    tests, several = [], len(report.candidates) > 2
    for name, pairs in report.differences.items():
        for one in pairs:
            value, low, high = (signed(v, plus=True) for v in (one.difference, one.low, one.high))
            tests.append(
                (
                    f"{one.second} − {one.first}", LABELS[name].split(",")[0], f"{value}  ({low} to {high})",
                    p_text(one.p_value), *([p_text(one.p_adjusted)] if several else []),
                    f"{100 * one.second_better:.0f} % of {one.n}",
                )
            )  # fmt: skip
    say_rows(("(95 % interval)", *(one.name for one in report.candidates)), figures)
    say()
    header = (
        "difference",
        "of",
        "mean (95 % interval)",
        "Wilcoxon p",
        *(["corrected p"] if several else []),
        "second better on",
    )
    say_rows(header, tests, keys=2)
    say()
    say_text("In percent points; negative: the second one is better. A small p: chance alone hardly explains the difference.")
    say()
    say_text(verdict(report))
    say()
