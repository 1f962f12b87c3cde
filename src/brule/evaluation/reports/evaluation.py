"""The page of one evaluation, and the files beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from brule.arrays import Array
from brule.evaluation.intervals import Estimate, ced_band
from brule.evaluation.measurement import COLUMNS, Measurement
from brule.evaluation.reports import html
from brule.evaluation.reports.files import metrics_json, per_image_csv
from brule.evaluation.reports.html import Tile
from brule.evaluation.reports.rows import estimate_text, figure_rows, shown, signed
from brule.evaluation.result import Evaluation
from brule.files import write_text
from brule.plots.svg import (
    ced_chart,
    confidence_chart,
    landmark_map,
    landmark_overlay,
    learning_curves_chart,
    region_chart,
    risk_coverage_chart,
)
from brule.plots.svg.curves import ced_end
from brule.tracking.run_files import METRICS, PAGE, PER_IMAGE


@dataclass(frozen=True, eq=False)
class Shown:
    """The part of an image that a page shows.

    Attributes:
        picture: ``(S, S, 3)`` uint8.
        zoom: side of the object's true crop over that of the picture.
        shift: ``(2,)``: where the upper left corner of the true crop lies, in sides of the picture.
    """

    picture: Array
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def place(self, points: Array) -> Array:
        """Points in the unit square of the true crop → of the picture."""
        return points * self.zoom + np.asarray(self.shift)


Crop = Callable[[int], "Shown | Array"]
PICTURE_SIDE = 288  # pixels: a tile of the page on a screen with two pixels to the point
_PICTURES_PER_GROUP = 6
_WORST_LANDMARKS = 5
_BAND_POINTS = 80


def write_evaluation(
    directory: Path | str,
    found: Evaluation | Measurement,
    *,
    title: str,
    summary: str,
    crop: Crop,
    facts: Sequence[tuple[str, str]],
    details: Mapping[str, Any],
    commands: Sequence[tuple[str, str]] = (),
    course: Sequence[tuple[int, float, float]] = (),
) -> list[Path]:
    """Write ``metrics.json``, ``per_image.csv`` and the page ``index.html``, each whole or not at all.

    Args:
        directory: where to; it is made. An existing evaluation is replaced.
        found: the figures.
        title: of the page.
        summary: a sentence or two under the title.
        crop: index of an image → the picture that shows it, for :func:`evaluation_page`.
        facts: what has to be known about the figures: (name, value).
        details: the same and more for ``metrics.json``.
        commands: what to do next: (what it does, the command).
        course: what was measured during training, for :func:`evaluation_page`.

    Returns:
        The paths.
    """
    folder, measured = Path(directory), Measurement.of(found)
    text = evaluation_page(
        measured, title=title, summary=summary, crop=crop, facts=facts, commands=commands, course=course, files=True
    )  # fmt: skip
    content = {
        METRICS: metrics_json({**measured.to_dict(), **details}),
        PER_IMAGE: per_image_csv(measured),
        PAGE: text,
    }
    for name, one in content.items():
        write_text(folder / name, one)
    return [folder / name for name in content]


def evaluation_page(
    found: Evaluation | Measurement,
    *,
    title: str,
    summary: str,
    crop: Crop,
    facts: Sequence[tuple[str, str]],
    eyebrow: str = "Landmarks, measured",
    pictures: Sequence[tuple[Any, str]] = (),
    commands: Sequence[tuple[str, str]] = (),
    course: Sequence[tuple[int, float, float]] = (),
    files: bool = False,
) -> str:
    """One HTML page that needs no other file and no network: figures, where the errors are, confidence, pictures.

    Args:
        found: the figures.
        title: of the page.
        summary: a sentence or two under the title.
        crop: index of an image → the :class:`Shown` part of it, or its true crop ``(S, S, 3)`` uint8.
        facts: what has to be known about the figures: (name, value).
        eyebrow: a few words above the title.
        pictures: further ones, with their captions.
        commands: what to do next: (what it does, the command).
        course: iteration, NME and W₁ in % of each measurement during training, given boxes.
        files: ``metrics.json`` and ``per_image.csv`` lie beside the page: link to them.
    """
    measured = Measurement.of(found)
    body = [
        _tiles(measured),
        _figures(measured),
        _where(measured.detail),
        *([_confidence(measured.first)] if measured.first.uncertainty_order is not None else []),
        _pictures(measured.first, crop, pictures),
        *([_course(course)] if course else []),
        _facts(measured.first, facts, files),
        *([html.section("Going on", html.commands(commands))] if commands else []),
    ]
    return html.page(title, eyebrow=eyebrow, summary=summary, body=body)


def chosen_images(errors: Array, each: int = _PICTURES_PER_GROUP) -> dict[str, list[int]]:
    """Which images are shown: the best, those about the median, the worst; with few images, each only once.

    Args:
        errors: ``(B,)``.
        each: how many of each kind.

    Returns:
        Heading → indices.
    """
    order = np.argsort(errors, kind="stable")
    if len(order) <= each:
        return {"All images, from the best to the worst": order.tolist()}
    each = min(each, len(order) // 3)
    middle = (len(order) - each) // 2
    return {
        "The best": order[:each].tolist(),
        "About the median": order[middle : middle + each].tolist(),
        "The worst, largest error first": order[::-1][:each].tolist(),
    }


def _tiles(measured: Measurement) -> Markup:
    first, mine = measured.first, measured.first.scores
    floor = mine.floor_nme
    place = "on whole images, without boxes" if first.boxes == "none" else "inside the true boxes"
    items = [
        Tile("Mean error (NME)", shown(mine, "nme")[0], f"{place}; {_interval(mine.estimate('nme'))}"),
        Tile("Found", shown(mine, "found")[0], "objects with a smaller error than the floor"),
        Tile(
            f"Constant prediction: the {first.floor_name} (floor)", f"{floor:.2f} %",
            f"inside the true box; the detector's error is {_ratio(mine.nme, floor)} of it",
        ),
        Tile(*_counted(first), f"errors in % of: {mine.normaliser}"),
    ]  # fmt: skip
    if measured.whole is not None and measured.given is not None:
        inside = measured.given.scores
        items.insert(2, Tile("Given boxes", shown(inside, "nme")[0], "inside the true boxes, which users don't have"))
    known = first.rank_correlation
    if known is not None and known.low > 0:
        items.insert(-1, Tile("Uncertainty and error, ρ", signed(known.value), _interval(known)))
    return html.tiles(items)


def _counted(evaluation: Evaluation) -> tuple[str, str]:
    """What was measured on: images, or objects where an image has several."""
    objects, images = len(evaluation.names), evaluation.n_images
    return ("Images", f"{images:,}") if objects == images else ("Objects", f"{objects:,} in {images:,} images")


def _figures(measured: Measurement) -> Markup:
    first = measured.first
    header = ["", *measured.evaluations, f"{first.floor_name} (floor)"]
    rows = [
        [
            row.label,
            *(html.with_interval(*value, strong=i == 0) for i, value in enumerate(row.values)),
            row.floor,
        ]
        for row in figure_rows(measured)
    ]
    distances = [
        [name, *(html.with_interval(*estimate_text("nme", one), strong=i == 0) for i, one in enumerate(both))]
        for name, both in first.by_distance.items()
    ]
    figures = html.table(header, rows, label="Figures of the detector beside those of a constant prediction", compact=True)
    other = html.table(
        ["NME, divided by", next(iter(measured.evaluations)), f"{first.floor_name} (floor)"], distances,
        label="NME by other distances", compact=True,
    )  # fmt: skip
    lead = (
        f"The floor is a constant prediction (a baseline): the {first.floor_name} of the annotated shapes, placed in the true "
        "box of every object. What a detector has learnt is its advantage over that. In brackets: 95 % intervals (bootstrap "
        "over images)."
    )
    if not first.beats_floor:
        lead = "This detector is no better than a constant prediction. " + lead
    return html.section(
        "How good it is",
        html.side_by_side(html.column(figures, other), html.chart(_ced(measured), _CED_CAPTION)),
        *(html.paragraph(text) for text in _remarks(measured)),
        lead=lead,
    )


def _remarks(measured: Measurement) -> list[str]:
    remarks = [f"Careful: {text}" for text in measured.warnings]
    if measured.repeat:
        again = measured.repeat
        remarks.append(
            f"{again['n']:.0f} images are annotated twice: the two annotations differ by {again['nme']:.2f} % "
            f"({again['nme_px']:.1f} pixels). No detector can be measured more precisely than that."
        )
    if measured.objects:
        found = measured.objects
        remarks.append(
            f"Of {found['objects']:.0f} objects, {100 * found['recall']:.1f} % are found (recall); of {found['answers']:.0f} "
            f"predictions that aren't flagged, {100 * found['precision']:.1f} % are objects (precision)."
        )
    return remarks


def _ced(measured: Measurement) -> str:
    curves = {name: one.errors for name, one in measured.evaluations.items()}
    first = measured.first
    floors = {f"{first.floor_name} (floor)": first.floor_errors}
    limits = first.scores.limits or (first.scores.floor_nme,)
    end = ced_end([*curves.values(), *floors.values()], limits)
    grid = np.linspace(0, end, _BAND_POINTS + 1)
    return ced_chart(curves, floors=floors, limits=limits, band=(grid, *ced_band(first.errors, grid)), end=end)


def _where(evaluation: Evaluation) -> Markup:
    values = [one.value for one in evaluation.by_landmark]
    owner = {i: name for name, indices in evaluation.regions.items() for i in indices}
    names = [label + (f", {owner[i]}" if i in owner else "") for i, label in enumerate(evaluation.landmark_labels)]
    lengths, edges = evaluation.landmark_lengths, evaluation.edges
    drawn = landmark_map(evaluation.centre, values, lengths=lengths, names=names, edges=edges)
    floors = {name: one.value for name, one in evaluation.floor_by_region.items()}
    rows = [
        [
            f"{name} ({len(evaluation.regions[name])})",
            html.with_interval(*estimate_text("nme", one), strong=True) if np.isfinite(one.value) else "missing",
            html.with_interval(*estimate_text("nme", evaluation.floor_by_region[name])) if np.isfinite(one.value) else "",
        ]
        for name, one in evaluation.by_region.items()
    ]
    header = ["region (landmarks)", COLUMNS[evaluation.boxes], f"{evaluation.floor_name} (floor)"]
    table = html.table(header, rows, label="Mean error by region", compact=True)
    worst = [
        [evaluation.landmark_labels[i], html.with_interval(*estimate_text("nme", evaluation.by_landmark[i]), strong=True)]
        for i in evaluation.worst_landmarks(_WORST_LANDMARKS)
    ]
    largest = html.table(
        ["landmarks with the largest errors", COLUMNS[evaluation.boxes]], worst, label="Largest mean errors", compact=True
    )
    return html.section(
        "Where it errs",
        html.side_by_side(
            html.chart(drawn, _MAP_CAPTION),
            html.column(html.chart(region_chart(evaluation.by_region, floors=floors), _REGION_CAPTION), table, largest),
        ),
    )


def _confidence(evaluation: Evaluation) -> Markup:
    curve, known = evaluation.risk_coverage, evaluation.rank_correlation
    assert curve is not None and known is not None and evaluation.uncertainty_order is not None
    title = "Does its uncertainty predict its errors?"
    if not known.low > 0:
        return html.section(
            title,
            lead="Not on these images: the uncertainty orders them by error no better than chance, so no ranking "
            "is shown. Train longer, or calibrate it on annotated images (brule calibrate).",
        )
    scatter = confidence_chart(evaluation.mean_spread, evaluation.errors) if evaluation.mean_spread is not None else None
    return html.section(
        title,
        html.side_by_side(
            *([html.chart(scatter, _SPREAD_CAPTION)] if scatter else []),
            html.chart(risk_coverage_chart(curve.coverage, curve.risk, curve.oracle), _RISK_CAPTION),
        ),
        lead="The uncertainty is the detector's own rating of its predictions. Spearman's rank correlation ρ of uncertainty "
        f"and error is {signed(known.value)} ({_interval(known)}): 1 orders the images perfectly by error, 0 not at all.",
    )


def _pictures(evaluation: Evaluation, crop: Crop, pictures: Sequence[tuple[Any, str]]) -> Markup:
    groups = [
        (title, [_picture(evaluation, crop, i) for i in chosen]) for title, chosen in chosen_images(evaluation.errors).items()
    ]
    return html.section(
        "Pictures",
        html.gallery(groups),
        *(html.wide_picture(*one) for one in pictures),
        lead="Dots are predictions; a colour means the same landmark everywhere. White crosses are the truth.",
    )


def _picture(evaluation: Evaluation, crop: Crop, i: int) -> Markup:
    name, error = Path(evaluation.names[i]).name, float(evaluation.errors[i])
    worst = int(np.nanargmax(evaluation.landmark_errors[i]))
    gone = evaluation.per_image.missed is not None and bool(evaluation.per_image.missed[i])
    last = f"worst: {evaluation.landmark_labels[worst]}, {evaluation.landmark_errors[i, worst]:.1f}\u00a0%"
    number = evaluation.object_numbers[i]
    several = evaluation.names.count(evaluation.names[i]) > 1
    lines = [f"{error:.2f} %", f"{name}, object {number}" if several else name, "nothing found" if gone else last]
    part = crop(i)
    shown = part if isinstance(part, Shown) else Shown(part)
    return html.picture(
        shown.picture,
        alt=f"{name}: predicted and true landmarks, error {error:.2f} %",
        caption=lines,
        overlay=landmark_overlay(
            shown.place(evaluation.predictions[i]), shown.place(evaluation.truth[i]), edges=evaluation.edges
        ),
    )


def _facts(evaluation: Evaluation, facts: Sequence[tuple[str, str]], files: bool) -> Markup:
    missing = int(np.isnan(evaluation.truth).any(axis=2).sum())
    known = [*facts, ("missing in the truth", f"{missing} landmarks, left out of all means" if missing else "nothing")]
    tail = [html.files_beside(METRICS, PER_IMAGE)] if files else []
    return html.section("How this was measured", html.facts(known), *tail)


def _course(course: Sequence[tuple[int, float, float]]) -> Markup:
    chart = learning_curves_chart({"validation": [course]}, parts=("NME", "W₁"))
    return html.section("During training", html.chart(chart, _COURSE_CAPTION))


def _interval(figure: Estimate, factor: float = 1.0, digits: int = 2) -> str:
    low, high = (signed(factor * value, digits) for value in figure[1:])
    return f"95 %: {low} to {high}"


def _ratio(value: float, floor: float) -> str:
    return f"{100 * value / floor:.0f} %" if floor > 0 else "–"


_CED_CAPTION = (
    "The share of images with at most a given error; further to the upper left is better. The band is the 95 % interval. "
    "AUC is the area under the curve up to a marked limit, failures are the images beyond."
)
_COURSE_CAPTION = (
    "The mean NME and W₁ on validation images, inside the true boxes, over the iterations. W₁ doesn't ask which landmark is "
    "which, so where the two part, landmarks have changed places."
)
_MAP_CAPTION = (
    "Each landmark of the barycenter in the colour of its mean error; the disc about it is as large as that error, true to "
    "scale. Point at a landmark for its name, or its number (counted from 1)."
)
_REGION_CAPTION = "The mean over the landmarks of a region, then over the images."
_SPREAD_CAPTION = "The mean spread of an image's landmarks against its error. A useful spread rises with the error."
_RISK_CAPTION = (
    "The mean error of the remaining images when the least certain ones are set aside, for example for a person to check. The "
    "closer to the best possible curve, the better."
)
