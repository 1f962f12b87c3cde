"""Several evaluations on the same images, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from brule.errors import DataError
from brule.evaluation.comparison import PairedDifference, compare_errors
from brule.evaluation.intervals import CONFIDENCE, RESAMPLES, Estimate, mean_estimates
from brule.evaluation.measurement import COLUMNS, FEW_IMAGES
from brule.evaluation.reports import html
from brule.evaluation.reports.files import StoredEvaluation, columns_text, metrics_json
from brule.evaluation.reports.rows import LABELS, estimate_text, shown, signed
from brule.evaluation.scores import Scores, summarise
from brule.files import write_text
from brule.plots.svg import ced_chart, difference_chart
from brule.tracking.run_files import PAGE, PER_IMAGE

COMPARISON_FILE = "comparison.json"
MIN_IMAGES = 10  # to call a difference certain: a bootstrap over fewer has intervals that are too narrow
SHOWN = 0.01  # percent points: a smaller difference is shown as zero


@dataclass(frozen=True, eq=False)
class Candidate:
    """One of those that are compared.

    Attributes:
        name: short, different from the others'.
        scores: on the images that all have.
        found: the errors behind them.
    """

    name: str
    scores: Scores
    found: StoredEvaluation


@dataclass(frozen=True, eq=False)
class ComparisonReport:
    """Several evaluations on the same images.

    Attributes:
        candidates: in the order given.
        names: the images that all have, each as often as it has objects.
        left_out: how many images, or objects of them, some have and others don't.
        differences: figure (``nme``, ``w1``) → a paired test for each two candidates.
        by_region: candidate → region → mean error, for the regions that all have.
    """

    candidates: list[Candidate]
    names: list[str]
    left_out: int
    differences: dict[str, list[PairedDifference]]
    by_region: dict[str, dict[str, Estimate]]

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures there are."""
        return self.candidates[0].scores.figures

    @property
    def measured(self) -> str:
        """How errors were measured: on whole images, or inside given boxes."""
        return COLUMNS[self.candidates[0].found.boxes]

    @property
    def given(self) -> dict[str, Estimate]:
        """Candidate → mean NME inside given boxes; empty unless all were measured in both ways."""
        found = {one.name: one.found.given for one in self.candidates}
        if any(errors is None for errors in found.values()):
            return {}
        return {name: mean_estimates(np.asarray(errors)[:, None])[0] for name, errors in found.items()}

    @property
    def counted(self) -> str:
        """What was measured on, in words: images, or objects where an image has several."""
        objects, images = len(self.names), len(set(self.names))
        shown = f"{images:,} image{'s' if images != 1 else ''}"
        return shown if objects == images else f"{objects:,} objects in {shown}"

    @property
    def worst(self) -> dict[str, str]:
        """Candidate → the landmark that most often has the largest error, and how often; empty unless all are known."""
        if not all(one.found.worst for one in self.candidates):
            return {}
        common = {one.name: Counter(one.found.worst).most_common(1)[0] for one in self.candidates}
        return {name: f"{landmark} ({count:,} of {len(self.names):,})" for name, (landmark, count) in common.items()}

    @classmethod
    def of(cls, evaluations: Sequence[StoredEvaluation]) -> ComparisonReport:
        """Compare evaluations on the images that all of them have.

        Images are matched by their paths, or, where no path is common to all, by their file names; the objects of an image
        by their order in its annotation.

        Raises:
            DataError: fewer than two, other normalising distances, no image in common, or one with another number of objects.
        """
        if len(evaluations) < 2:
            raise DataError(f"compare: expected at least two runs or evaluations, got {len(evaluations)}")
        if len({one.normaliser for one in evaluations}) > 1:
            listed = ", ".join(f"{one.run}: {one.normaliser}" for one in evaluations)
            raise DataError(f"compare: errors are divided by different distances ({listed}); evaluate with one --normaliser")
        if len({one.boxes for one in evaluations}) > 1:
            listed = ", ".join(f"{one.run}: {COLUMNS[one.boxes]}" for one in evaluations)
            raise DataError(f"compare: errors were measured in different ways ({listed}); evaluate all with one --boxes")
        chosen, left_out = _in_common(evaluations)
        names = short_names([one.run for one in evaluations])
        candidates = [
            Candidate(name=name, scores=summarise(one.errors, floor=one.floor, normaliser=one.normaliser), found=one)
            for name, one in zip(names, chosen, strict=True)
        ]
        differences = {
            "nme": compare_errors({one.name: one.found.errors.nme for one in candidates}),
            "w1": compare_errors({one.name: one.found.errors.w1 for one in candidates}),
        }
        return cls(
            candidates=candidates, names=chosen[0].names, left_out=left_out, differences=differences,
            by_region=_by_region(candidates),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {
            "runs": [{"name": one.name, "run": one.found.run, **one.scores.to_dict()} for one in self.candidates],
            "differences": {figure: [one.to_dict() for one in pairs] for figure, pairs in self.differences.items()},
            "by_region": {name: {region: list(v) for region, v in found.items()} for name, found in self.by_region.items()},
            "given_boxes": {name: list(one) for name, one in self.given.items()} or None,
            "worst_landmark": self.worst or None,
            "boxes": self.candidates[0].found.boxes,
            "n": len(self.names),
            "left_out": self.left_out,
            "normaliser": self.candidates[0].scores.normaliser,
            "unit": "percent of the normalising distance; a difference is second − first, negative where the second is better",
        }


def short_names(paths: Sequence[str]) -> list[str]:
    """The shortest end of each path that differs from the others; the same path twice gets a number."""
    parts = [Path(path).parts or (path,) for path in paths]
    names = ["/".join(own[-1:]) for own in parts]
    for depth in range(2, max(len(own) for own in parts) + 1):
        twice = {name for name, count in Counter(names).items() if count > 1}
        names = ["/".join(own[-depth:]) if name in twice else name for name, own in zip(names, parts, strict=True)]
    seen: Counter[str] = Counter()
    total = Counter(names)
    for i, name in enumerate(names):
        seen[name] += 1
        names[i] = f"{name} ({seen[name]})" if total[name] > 1 else name
    return names


def write_comparison(directory: Path | str, report: ComparisonReport, *, facts: Sequence[tuple[str, str]] = ()) -> list[Path]:
    """Write ``comparison.json``, ``per_image.csv`` and the page ``index.html``.

    The columns of ``per_image.csv`` are ``image``, ``RUN nme`` and ``RUN w1`` of every candidate, ``RUN worst_landmark_name``
    if it is known, and ``object`` (its number in the image, counted from 1).

    Args:
        directory: where to; it is made. An existing comparison is replaced.
        report: what was found.
        facts: what has to be known: (name, value).

    Returns:
        The paths.
    """
    columns: dict[str, Sequence[object]] = {"image": report.names}
    for one in report.candidates:
        columns[f"{one.name} nme"] = [f"{v:.6f}" for v in one.found.errors.nme]
        columns[f"{one.name} w1"] = [f"{v:.6f}" for v in one.found.errors.w1]
        columns |= {f"{one.name} worst_landmark_name": one.found.worst} if one.found.worst else {}
    columns["object"] = [1 + k for _, k in _numbered(report.names)]
    folder = Path(directory)
    content = {
        COMPARISON_FILE: metrics_json(report.to_dict()),
        PER_IMAGE: columns_text(columns),
        PAGE: comparison_page(report, facts=facts),
    }
    for name, text in content.items():
        write_text(folder / name, text)
    return [folder / name for name in content]


def comparison_page(report: ComparisonReport, *, facts: Sequence[tuple[str, str]] = ()) -> str:
    """One HTML page that needs no other file and no network.

    Args:
        report: what was found.
        facts: what has to be known: (name, value).
    """
    names = [one.name for one in report.candidates]
    known = [
        ("images", f"{report.counted} that all have" + (f", {report.left_out:,} left out" if report.left_out else "")),
        ("measured", f"on {report.measured}" if report.measured == "whole images" else "inside given boxes"),
        ("errors in % of", report.candidates[0].scores.normaliser),
        ("intervals", f"{100 * CONFIDENCE:g} %, bootstrap over images, {RESAMPLES} resamples"),
        ("test", "Wilcoxon signed-rank, two-sided; Holm's correction where there are several pairs"),
        *facts,
    ]
    body = [_figures(report), _differences(report), html.section("How this was measured", html.facts(known))]
    return html.page(
        " or ".join(names) if len(names) < 4 else f"{len(names)} detectors", eyebrow="Detectors, side by side",
        summary=verdict(report), body=body,
    )  # fmt: skip


def verdict(report: ComparisonReport) -> str:
    """The result of the comparison, in a sentence or two."""
    best = min(report.candidates, key=lambda one: one.scores.nme)
    count = len(report.names)
    images = report.counted
    best_of = f"On {images}, {best.name} has the smallest mean error, {best.scores.nme:.2f} %."
    if count < MIN_IMAGES:
        needed = f"that takes {MIN_IMAGES}, and {FEW_IMAGES} or more are better"
        return f"{best_of} {images} can't decide which one is better: {needed}."
    if count < FEW_IMAGES:
        best_of += f" {images} are few for a reliable comparison: {FEW_IMAGES} or more are better."
    open_pairs = [one for one in report.differences["nme"] if best.name in (one.first, one.second) and not _is_certain(one)]
    if not open_pairs:
        return f"{best_of} For each other one, the 95 % interval of the difference excludes zero."
    others = ", ".join(one.first if one.second == best.name else one.second for one in open_pairs)
    what = "the 95 % interval of the difference includes zero"
    if any(_excludes_zero(one) for one in open_pairs):
        what += f", or the difference is below {SHOWN:g} percent points"
    return f"{best_of} Between it and {others} these images can't decide: {what}."


def p_text(value: float) -> str:
    """A p-value as text."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _in_common(evaluations: Sequence[StoredEvaluation]) -> tuple[list[StoredEvaluation], int]:
    names = [one.names for one in evaluations]
    if not set.intersection(*map(set, names)):
        names = [_file_names(one) for one in names]
    counts = [Counter(one) for one in names]
    for name in set.intersection(*map(set, counts)):
        several = [one[name] for one in counts]
        if len(set(several)) > 1:
            listed = ", ".join(f"{one.run}: {count}" for one, count in zip(evaluations, several, strict=True))
            raise DataError(f"compare: {name} has different numbers of objects ({listed}); evaluate on the same annotations")
    keyed = [{key: row for row, key in enumerate(_numbered(one))} for one in names]
    shared = set.intersection(*(set(one) for one in keyed))
    if not shared:
        runs = ", ".join(one.run for one in evaluations)
        raise DataError(f"compare: {runs} were evaluated on different images; evaluate them on the same (--data)")
    order = [key for key in keyed[0] if key in shared]
    left_out = len(set.union(*(set(one) for one in keyed))) - len(shared)
    return [one.only([rows[key] for key in order]) for one, rows in zip(evaluations, keyed, strict=True)], left_out


def _file_names(paths: Sequence[str]) -> list[str]:
    """The file name of each path; the path itself where several files have that name."""
    names = {path: Path(path).name for path in paths}
    counts = Counter(names.values())
    return [names[path] if counts[names[path]] == 1 else path for path in paths]


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Each name with how often it came before: the objects of one image, in the order of its annotation."""
    seen: Counter[str] = Counter()
    keys = []
    for name in names:
        keys.append((name, seen[name]))
        seen[name] += 1
    return keys


def _by_region(candidates: Sequence[Candidate]) -> dict[str, dict[str, Estimate]]:
    shared = [name for name in candidates[0].found.regions if all(name in one.found.regions for one in candidates)]
    if not shared:
        return {}
    return {
        one.name: dict(zip(shared, mean_estimates(np.stack([one.found.regions[r] for r in shared], axis=1)), strict=True))
        for one in candidates
    }


def _figures(report: ComparisonReport) -> Markup:
    best = {name: _best(name, report.candidates) for name in report.figures}
    given = {name: estimate_text("nme", one) for name, one in report.given.items()}
    rows = [
        [
            one.name,
            *(html.with_interval(*shown(one.scores, name), strong=one.name in best[name]) for name in report.figures),
            *([html.with_interval(*given[one.name])] if given else []),
            f"{one.scores.floor_nme:.2f} %",
        ]
        for one in report.candidates
    ]
    curves = {one.name: one.found.errors.nme for one in report.candidates}
    limits = report.candidates[0].scores.limits
    drawn = html.chart(ced_chart(curves, floors=_floors(report.candidates), limits=limits), _CED_CAPTION)
    columns = [LABELS[name] for name in report.figures] + ["NME, given boxes"] * bool(given)
    header = ["", *columns, "constant prediction (floor)"]
    return html.section(
        "Side by side",
        html.table(header, rows, label="Figures of each detector", compact=True),
        html.side_by_side(drawn, *_regions(report)),
        lead=f"Measured on {report.measured}. The best of each column is bold. The floor is the error of a constant "
        "prediction: the mean of each run's own annotated shapes, placed in the true box. The intervals of two detectors may "
        "overlap although their difference is significant: the next section shows it.",
    )


def _best(name: str, candidates: Sequence[Candidate]) -> set[str]:
    values = {one.name: getattr(one.scores, name) for one in candidates}
    wanted = max(values.values()) if name.startswith("auc") or name == "found" else min(values.values())
    return {run for run, value in values.items() if value == wanted} if len(set(values.values())) > 1 else set()


def _floors(candidates: Sequence[Candidate]) -> Mapping[str, Any]:
    first = candidates[0].found.floor.nme
    if all(np.allclose(one.found.floor.nme, first) for one in candidates):
        return {"constant prediction (floor)": first}
    return {f"constant prediction of {one.name}": one.found.floor.nme for one in candidates}


def _differences(report: ComparisonReport) -> Markup:
    several = len(report.differences["nme"]) > 1
    rows = [
        [
            f"{one.second} − {one.first}",
            LABELS[figure].split(",")[0],
            _difference(one),
            p_text(one.p_value),
            *([p_text(one.p_adjusted)] if several else []),
            f"{100 * one.second_better:.0f} %",
        ]
        for figure, pairs in report.differences.items()
        for one in pairs
    ]
    header = ["", "figure", "mean difference", "Wilcoxon p", *(["p, corrected"] if several else []), "second better on"]
    drawn = {f"{one.second} − {one.first}": (one.difference, one.low, one.high) for one in report.differences["nme"]}
    return html.section(
        "Is the difference real?",
        html.side_by_side(
            html.table(header, rows, label="Paired tests", compact=True),
            html.chart(difference_chart(drawn), _DIFFERENCE_CAPTION),
        ),
        lead="Each image is compared with itself, so that hard and easy images cancel. In percent points; negative means that "
        f"the second one is better; bold where the 95 % interval excludes zero (of {MIN_IMAGES} images or more, and "
        "if two decimals show the difference).",
    )


def _difference(one: PairedDifference) -> Markup:
    value, low, high = (signed(v, plus=True) for v in (one.difference, one.low, one.high))
    return html.with_interval(value, f"({low} to {high})", strong=_is_certain(one))


def _is_certain(one: PairedDifference) -> bool:
    return one.n >= MIN_IMAGES and abs(one.difference) >= SHOWN and _excludes_zero(one)


def _excludes_zero(one: PairedDifference) -> bool:
    return one.low > 0 or one.high < 0


def _regions(report: ComparisonReport) -> list[Markup]:
    if not report.by_region:
        return []
    regions = list(next(iter(report.by_region.values())))
    rows = []
    for region in regions:
        found = [report.by_region[one.name][region] for one in report.candidates]
        least = min((one.value for one in found if np.isfinite(one.value)), default=np.nan)
        rows.append([region, *(html.with_interval(*estimate_text("nme", one), strong=one.value == least) for one in found)])
    if report.worst:
        rows.append(["most often the worst landmark", *report.worst.values()])
    table = html.table(
        ["NME by region", *(one.name for one in report.candidates)], rows, label="Mean error by region", compact=True
    )
    return [table]


_CED_CAPTION = "The share of images with at most a given error; further to the upper left is better."
_DIFFERENCE_CAPTION = "Difference of the NME with its 95 % interval. Left of zero, the second one is better."
