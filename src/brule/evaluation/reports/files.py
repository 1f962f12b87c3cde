"""An evaluation as files for other programs, and for later comparisons."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from brule.arrays import Array
from brule.errors import DataError
from brule.evaluation.measurement import Measurement
from brule.evaluation.metrics import region_errors
from brule.evaluation.result import Boxes, Evaluation
from brule.evaluation.scores import ImageErrors
from brule.files import read_json
from brule.tables import csv_rows, csv_text
from brule.tracking.run_files import METRICS, PER_IMAGE

_NEEDED = ("image", "nme", "w1", "floor_nme", "floor_w1")


@dataclass(frozen=True, eq=False)
class StoredEvaluation:
    """What a comparison needs of an evaluation.

    Attributes:
        names: the path of each image.
        errors: those of each image, on whole images where that was measured.
        floor: those of the floor.
        regions: region → ``(B,)`` errors, NaN where a region is missing.
        normaliser: the name of the distance that errors are divided by.
        run: what was evaluated, as it was called.
        boxes: whether the errors were measured on whole images or inside given boxes.
        given: ``(B,)``: the NME inside given boxes, where both were measured.
        worst: what the landmark with the largest error of each object is called; empty if that isn't known.
    """

    names: list[str]
    errors: ImageErrors
    floor: ImageErrors
    regions: dict[str, Array]
    normaliser: str
    run: str
    boxes: Boxes = "given"
    given: Array | None = None
    worst: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Evaluation | Measurement, run: str) -> StoredEvaluation:
        """The stored form of a measurement."""
        measured = Measurement.of(found)
        first = measured.first
        regions = region_errors(first.landmark_errors, first.regions)
        given = measured.given.errors if measured.whole and measured.given else None
        worst = tuple(first.landmark_labels[i] for i in np.nanargmax(first.landmark_errors, axis=1))
        return cls(
            names=first.names, errors=first.per_image, floor=first.floor, regions=regions,
            normaliser=first.scores.normaliser, run=run, boxes=first.boxes, given=given, worst=worst,
        )  # fmt: skip

    def only(self, rows: Sequence[int]) -> StoredEvaluation:
        """The same for some of the images, in the order of ``rows``."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            names=[self.names[i] for i in chosen],
            errors=self.errors.some(chosen),
            floor=self.floor.some(chosen),
            regions={name: values[chosen] for name, values in self.regions.items()},
            given=None if self.given is None else self.given[chosen],
            worst=tuple(self.worst[i] for i in chosen) if self.worst else (),
        )


def metrics_json(content: Mapping[str, Any]) -> str:
    """Figures as the text of a JSON file; NaN, which JSON doesn't have, becomes null."""
    return json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"


def per_image_csv(found: Evaluation | Measurement) -> str:
    """A row for each object: errors in percent of the normalising distance, spreads in percent of the crop's side.

    Columns: ``image`` (path), ``nme``, ``nme_px``, ``nme_mm`` (where images have a scale), ``w1`` (on whole images where that
    was measured), ``missed`` (1 where nothing was found), ``given_nme`` and ``given_w1`` (inside given boxes, where both were
    measured), ``floor_nme`` and ``floor_w1`` (of the constant prediction), ``mean_spread`` and ``max_spread`` (empty without
    spreads), ``uncertainty``, ``worst_landmark`` (its index, counted from 0), ``worst_landmark_error``, ``missing`` (how many
    landmarks the truth lacks), ``distance_px`` (what errors are divided by, in pixels of the image), ``nme_REGION`` for every
    region (empty where all of it is missing), ``object`` (its number in the image, counted from 1) and ``worst_landmark_name``
    (without names ``landmark 1``, …, counted from 1 as on the page).
    """
    measured = Measurement.of(found)
    first, landmark, spread = measured.first, measured.first.landmark_errors, measured.first.spread
    errors, worst, empty = first.per_image, np.nanargmax(landmark, axis=1), [""] * len(landmark)
    columns: dict[str, Sequence[object]] = {
        "image": first.names,
        "nme": _decimals(errors.nme),
        "nme_px": _decimals(errors.px),
        **({} if errors.mm is None else {"nme_mm": _decimals(errors.mm)}),
        "w1": _decimals(errors.w1),
        "missed": [0] * len(landmark) if errors.missed is None else errors.missed.astype(int).tolist(),
    }
    if measured.whole and measured.given:
        inside = measured.given.per_image
        columns |= {"given_nme": _decimals(inside.nme), "given_w1": _decimals(inside.w1)}
    columns |= {
        "floor_nme": _decimals(first.floor.nme),
        "floor_w1": _decimals(first.floor.w1),
        "mean_spread": empty if spread is None else _decimals(100 * spread.mean(axis=1)),
        "max_spread": empty if spread is None else _decimals(100 * spread.max(axis=1)),
        "uncertainty": empty if first.uncertainty is None else _decimals(first.uncertainty),
        "worst_landmark": worst.tolist(),
        "worst_landmark_error": _decimals(landmark[np.arange(len(worst)), worst]),
        "missing": np.isnan(landmark).sum(axis=1).tolist(),
        "distance_px": _decimals(first.distance * first.sides),
    }
    columns |= {f"nme_{name}": _decimals(v) for name, v in region_errors(landmark, first.regions).items()}
    columns |= {"object": first.object_numbers, "worst_landmark_name": [first.landmark_labels[i] for i in worst]}
    return columns_text(columns)


def columns_text(columns: Mapping[str, Sequence[object]]) -> str:
    """Columns of one length as the text of a CSV file."""
    return csv_text([list(columns), *zip(*columns.values(), strict=True)])


def read_evaluation(directory: Path | str) -> StoredEvaluation:
    """Read what ``brule evaluate`` wrote: ``metrics.json`` and ``per_image.csv``.

    Raises:
        DataError: one of them is missing, damaged, or of another program.
    """
    folder = Path(directory)
    figures = _read_metrics(folder / METRICS)
    path = folder / PER_IMAGE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = [row for row in csv_rows(file) if row]
            rows = [dict(zip_longest(found[0], row[: len(found[0])])) for row in found[1:]]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: can't be read ({error}); evaluate the run again") from None
    if not rows or any(key not in rows[0] for key in _NEEDED):
        raise DataError(f"{path}: expected rows with the columns {', '.join(_NEEDED)}; evaluate the run again")
    columns = {key: _numbers(path, rows, key) for key in _NEEDED[1:]}
    known = {key: _numbers(path, rows, key) for key in ("nme_px", "missed", "given_nme", "distance_px") if key in rows[0]}
    mm = _numbers(path, rows, "nme_mm", empty=True) if "nme_mm" in rows[0] else None
    pixels = known.get("distance_px", np.full(len(rows), np.nan)) / 100
    missed = known["missed"] > 0 if "missed" in known else None
    regions = {
        key.removeprefix("nme_"): _numbers(path, rows, key, empty=True)
        for key in rows[0]
        if str(key).startswith("nme_") and key not in ("nme_px", "nme_mm")
    }
    return StoredEvaluation(
        names=[row["image"] for row in rows],
        errors=ImageErrors(nme=columns["nme"], w1=columns["w1"], px=columns["nme"] * pixels, missed=missed, mm=mm),
        floor=ImageErrors(nme=columns["floor_nme"], w1=columns["floor_w1"], px=columns["floor_nme"] * pixels),
        regions=regions,
        normaliser=str(figures["normaliser"]),
        run=str(figures.get("run", folder)),
        boxes="none" if figures.get("boxes") == "none" else "given",
        given=known.get("given_nme"),
        worst=tuple(row.get("worst_landmark_name") or "" for row in rows) if "worst_landmark_name" in rows[0] else (),
    )


def _read_metrics(path: Path) -> dict[str, Any]:
    content = read_json(path, "the figures of brule evaluate; evaluate the run again")
    if not isinstance(content, dict) or "normaliser" not in content:
        raise DataError(f"{path}: expected the figures of brule evaluate, found no 'normaliser' among them")
    return content


def _numbers(path: Path, rows: list[dict[str, str]], key: str, *, empty: bool = False) -> Array:
    values = []
    for number, row in enumerate(rows, 2):
        try:
            text = row[key]
            value = np.nan if empty and not text else float(text)
        except (TypeError, ValueError):
            raise DataError(f"{path}: line {number}: expected a number as {key}, got {row.get(key)!r}") from None
        if not (np.isfinite(value) or (empty and not text)):
            raise DataError(f"{path}: line {number}: expected a finite number as {key}, got {text!r}")
        values.append(value)
    return np.array(values)


def _decimals(values: Array) -> list[str]:
    return [f"{value:.6f}" if np.isfinite(value) else "" for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
