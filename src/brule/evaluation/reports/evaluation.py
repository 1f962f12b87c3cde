"""The page of one evaluation, and the files beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brule.evaluation.checks import Array
from brule.evaluation.evaluate import FLOOR_NAMES, Evaluation
from brule.evaluation.intervals import Estimate, mean_estimates
from brule.evaluation.reports import html
from brule.evaluation.reports.files import METRICS_FILE, PAGE_FILE, PER_IMAGE_FILE, metrics_json, per_image_csv
from brule.evaluation.reports.html import Markup, Tile
from brule.evaluation.reports.rows import LABELS, estimate_text, shown, signed
from brule.evaluation.scores import FIGURES, LIMITS
from brule.files import write_text
from brule.plots.svg import (
    ced_chart,
    confidence_chart,
    landmark_map,
    landmark_overlay,
    region_chart,
    risk_coverage_chart,
)
from brule.plots.svg.curves import ced_end

Crop = Callable[[int], Array]
PICTURE_SIDE = 288  # pixels: a tile of the page on a screen with two pixels to the point
_EACH = 6
_BAND_POINTS = 80


def write_evaluation(
    directory: Path | str,
    evaluation: Evaluation,
    *,
    title: str,
    summary: str,
    crop: Crop,
    facts: Sequence[tuple[str, str]],
    details: Mapping[str, Any],
    commands: Sequence[tuple[str, str]] = (),
) -> list[Path]:
    """Write ``metrics.json``, ``per_image.csv`` and the page ``index.html``, each whole or not at all.

    Args:
        directory: where to; it is made. An evaluation that is there already is replaced.
        evaluation: what was found.
        title: of the page.
        summary: a sentence or two under the title.
        crop: index of an image → its crop ``(S, S, 3)`` uint8, for the pictures.
        facts: what has to be known about the figures: (name, value).
        details: the same and more for ``metrics.json``.
        commands: how to go on: (what it does, the command).

    Returns:
        The paths.
    """
    folder = Path(directory)
    text = evaluation_page(evaluation, title=title, summary=summary, crop=crop, facts=facts, commands=commands, files=True)
    content = {
        METRICS_FILE: metrics_json({**evaluation.to_dict(), **details}),
        PER_IMAGE_FILE: per_image_csv(evaluation),
        PAGE_FILE: text,
    }
    for name, one in content.items():
        write_text(folder / name, one)
    return [folder / name for name in content]


def evaluation_page(
    evaluation: Evaluation,
    *,
    title: str,
    summary: str,
    crop: Crop,
    facts: Sequence[tuple[str, str]],
    eyebrow: str = "Landmarks, measured",
    pictures: Sequence[tuple[Any, str]] = (),
    commands: Sequence[tuple[str, str]] = (),
    files: bool = False,
) -> str:
    """One HTML page that needs no other file and no network: figures, where the errors are, confidence, pictures.

    Args:
        evaluation: what was found.
        title: of the page.
        summary: a sentence or two under the title.
        crop: index of an image → its crop ``(S, S, 3)`` uint8.
        facts: what has to be known about the figures: (name, value).
        eyebrow: a few words above the title.
        pictures: further ones, with their captions.
        commands: how to go on: (what it does, the command).
        files: ``metrics.json`` and ``per_image.csv`` lie beside the page: link to them.
    """
    body = [
        _tiles(evaluation),
        _figures(evaluation),
        _where(evaluation),
        *([_confidence(evaluation)] if evaluation.spread is not None else []),
        _pictures(evaluation, crop, pictures),
        _facts(evaluation, facts, files),
        *([html.section("Going on", html.commands(commands))] if commands else []),
    ]
    return html.page(title, eyebrow=eyebrow, summary=summary, body=body)


def chosen_images(errors: Array, each: int = _EACH) -> dict[str, list[int]]:
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
        "The worst, the very worst first": order[::-1][:each].tolist(),
    }


def _tiles(evaluation: Evaluation) -> Markup:
    mine, floor = evaluation.scores, evaluation.barycenter
    items = [
        Tile("Mean error (NME)", shown(mine, "nme")[0], _interval(mine.estimate("nme"))),
        Tile(
            "Always the barycenter", shown(floor, "nme")[0], f"the floor; the detector has {_ratio(mine.nme, floor.nme)} of it"
        ),
        Tile("Failures above 8 %", shown(mine, "fr_8")[0], _interval(mine.estimate("fr_8"), 100, 1)),
        Tile("Images", f"{mine.n:,}", f"errors in % of: {mine.normaliser}"),
    ]
    known = evaluation.rank_correlation
    if known is not None and np.isfinite(known.value):
        items.insert(3, Tile("Spread and error, ρ", signed(known.value), _interval(known)))
    return html.tiles(items)


def _figures(evaluation: Evaluation) -> Markup:
    mean = evaluation.mean_shape
    header = ["", "this detector", FLOOR_NAMES[0], *([FLOOR_NAMES[1]] if mean else [])]
    rows = [
        [
            LABELS[name],
            html.with_interval(*shown(evaluation.scores, name), strong=True),
            html.with_interval(*shown(evaluation.barycenter, name)),
            *([html.with_interval(*shown(mean, name))] if mean else []),
        ]
        for name in FIGURES
    ]
    distances = [
        [name, *(html.with_interval(*estimate_text("nme", one), strong=i == 0) for i, one in enumerate(both))]
        for name, both in evaluation.by_distance.items()
    ]
    figures = html.table(header, rows, label="Figures of the detector beside those of constant predictions", compact=True)
    other = html.table(
        ["NME, divided by", "this detector", FLOOR_NAMES[0]], distances, label="NME by other distances", compact=True
    )
    return html.section(
        "How good it is",
        html.side_by_side(html.column(figures, other), html.chart(_ced(evaluation), _CED_CAPTION)),
        lead="A prediction that is the same for every image costs nothing: a detector is worth what it is better than that. In "
        "brackets: 95 % intervals, from drawing the images anew.",
    )


def _ced(evaluation: Evaluation) -> str:
    floors = {FLOOR_NAMES[0]: evaluation.floor_errors}
    if evaluation.mean_floor is not None:
        floors[FLOOR_NAMES[1]] = evaluation.mean_floor.nme
    end = ced_end([evaluation.errors, *floors.values()], LIMITS)
    grid = np.linspace(0, end, _BAND_POINTS + 1)
    found = np.array(mean_estimates(evaluation.errors[:, None] <= grid))
    band = (grid, found[:, 1], found[:, 2])
    return ced_chart({"this detector": evaluation.errors}, floors=floors, limits=LIMITS, band=band, end=end)


def _where(evaluation: Evaluation) -> Markup:
    values = [one.value for one in evaluation.by_landmark]
    owner = {i: name for name, indices in evaluation.regions.items() for i in indices}
    names = [f"landmark {i}" + (f", {owner[i]}" if i in owner else "") for i in range(len(values))]
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
    header = ["region (landmarks)", "this detector", FLOOR_NAMES[0]]
    table = html.table(header, rows, label="Mean error by region", compact=True)
    return html.section(
        "Where it errs",
        html.side_by_side(
            html.chart(drawn, _MAP_CAPTION),
            html.column(html.chart(region_chart(evaluation.by_region, floors=floors), _REGION_CAPTION), table),
        ),
    )


def _confidence(evaluation: Evaluation) -> Markup:
    curve, known = evaluation.risk_coverage, evaluation.rank_correlation
    assert curve is not None and known is not None and evaluation.mean_spread is not None
    told = "With these images no rank correlation can be computed."
    if np.isfinite(known.value):
        told = (
            f"Spearman's rank correlation ρ of spread and error is {signed(known.value)} ({_interval(known)}): 1 "
            "would order the images perfectly by their error, 0 not at all."
        )
    return html.section(
        "Does it know when it errs?",
        html.side_by_side(
            html.chart(confidence_chart(evaluation.mean_spread, evaluation.errors), _SPREAD_CAPTION),
            html.chart(risk_coverage_chart(curve.coverage, curve.risk, curve.oracle), _RISK_CAPTION),
        ),
        lead=f"The spread is what the detector itself says about how far off its landmarks may be. {told}",
    )


def _pictures(evaluation: Evaluation, crop: Crop, pictures: Sequence[tuple[Any, str]]) -> Markup:
    groups = [
        (title, [_picture(evaluation, crop, i) for i in chosen]) for title, chosen in chosen_images(evaluation.errors).items()
    ]
    return html.section(
        "Pictures",
        html.gallery(groups),
        *(html.wide_picture(*one) for one in pictures),
        lead="Dots are predictions, coloured by index: a colour means the same place everywhere. White crosses are the truth.",
    )


def _picture(evaluation: Evaluation, crop: Crop, i: int) -> Markup:
    name, error = Path(evaluation.names[i]).name, float(evaluation.errors[i])
    worst = int(np.nanargmax(evaluation.landmark_errors[i]))
    lines = [f"{error:.2f} %", name, f"worst: landmark {worst}, {evaluation.landmark_errors[i, worst]:.1f}\u00a0%"]
    return html.picture(
        crop(i),
        alt=f"{name}: predicted and true landmarks, error {error:.2f} %",
        caption=lines,
        overlay=landmark_overlay(evaluation.predictions[i], evaluation.truth[i], edges=evaluation.edges),
    )


def _facts(evaluation: Evaluation, facts: Sequence[tuple[str, str]], files: bool) -> Markup:
    missing = int(np.isnan(evaluation.truth).any(axis=2).sum())
    known = [*facts, ("missing in the truth", f"{missing} landmarks, left out of all means" if missing else "nothing")]
    links = html.joined(
        ["The same for programs:", html.link(METRICS_FILE, METRICS_FILE), "and, a row for each image,",
         html.link(PER_IMAGE_FILE, PER_IMAGE_FILE)]
    )  # fmt: skip
    tail = [Markup(f'<p class="lead" style="margin-top:1rem">{links}.</p>')] if files else []
    return html.section("How this was measured", html.facts(known), *tail)


def _interval(figure: Estimate, factor: float = 1.0, digits: int = 2) -> str:
    low, high = (signed(factor * value, digits) for value in figure[1:])
    return f"95 %: {low} to {high}"


def _ratio(value: float, floor: float) -> str:
    return f"{100 * value / floor:.0f} %" if floor > 0 else "–"


_CED_CAPTION = (
    "What share of the images has at most a given error; further to the upper left is better. The band is the 95 % interval. "
    "AUC is the area under the curve up to 8 and 10 %, failures are the images beyond."
)
_MAP_CAPTION = (
    "Each landmark of the barycenter in the colour of its mean error; the disc about it is as large as that error, true to "
    "scale. Point at a landmark for its number."
)
_REGION_CAPTION = "The mean over the landmarks of a region, then over the images."
_SPREAD_CAPTION = "The mean spread of an image's landmarks against its error. A useful spread rises with the error."
_RISK_CAPTION = (
    "The mean error of the images that stay when the least sure ones are laid aside, for a second look by a person, say. The "
    "nearer to the best possible curve, the better."
)
