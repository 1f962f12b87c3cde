"""An evaluation as files that other programs read, and that a later comparison starts from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brule.errors import DataError
from brule.evaluation.checks import Array
from brule.evaluation.evaluate import Evaluation
from brule.evaluation.metrics import region_errors
from brule.evaluation.scores import ImageErrors

METRICS_FILE, PER_IMAGE_FILE, PAGE_FILE = "metrics.json", "per_image.csv", "index.html"
_NEEDED = ("image", "nme", "w1", "floor_nme", "floor_w1")


@dataclass(frozen=True, eq=False)
class StoredEvaluation:
    """What a comparison needs of an evaluation.

    Attributes:
        names: the path of each image.
        errors: NME and W₁ of each.
        floor: those of the constant barycenter.
        regions: region → ``(B,)`` errors, NaN where a region is missing.
        normaliser: the name of the distance that errors are divided by.
        run: what was evaluated, as it was called.
    """

    names: list[str]
    errors: ImageErrors
    floor: ImageErrors
    regions: dict[str, Array]
    normaliser: str
    run: str

    @classmethod
    def of(cls, evaluation: Evaluation, run: str) -> StoredEvaluation:
        """That of an evaluation at hand."""
        regions = region_errors(evaluation.landmark_errors, evaluation.regions)
        normaliser = evaluation.scores.normaliser
        return cls(evaluation.names, evaluation.per_image, evaluation.floor, regions, normaliser, run)

    def only(self, rows: Sequence[int]) -> StoredEvaluation:
        """The same for some of the images, in the order of ``rows``."""
        chosen = np.asarray(rows, dtype=np.int64)
        errors, floor = (ImageErrors(one.nme[chosen], one.w1[chosen]) for one in (self.errors, self.floor))
        regions = {name: values[chosen] for name, values in self.regions.items()}
        return StoredEvaluation([self.names[i] for i in chosen], errors, floor, regions, self.normaliser, self.run)


def metrics_json(content: Mapping[str, Any]) -> str:
    """Figures as the text of a JSON file; NaN, which JSON doesn't have, becomes null."""
    return json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"


def per_image_csv(evaluation: Evaluation) -> str:
    """A row for each image: errors in percent of the normalising distance, spreads in percent of the crop's side.

    Columns: ``image`` (path), ``nme``, ``w1``, ``floor_nme`` and ``floor_w1`` (of the constant barycenter), ``mean_spread``
    and ``max_spread`` (empty without spreads), ``worst_landmark`` (0-based), ``worst_landmark_error``, ``missing`` (how many
    landmarks the truth lacks), ``distance_px`` (what errors are divided by, in pixels of the image), and ``nme_REGION``
    for every region (empty where all of it is missing).
    """
    landmark, spread = evaluation.landmark_errors, evaluation.spread
    worst = np.nanargmax(landmark, axis=1)
    columns: dict[str, Sequence[object]] = {
        "image": evaluation.names,
        "nme": _decimals(evaluation.per_image.nme),
        "w1": _decimals(evaluation.per_image.w1),
        "floor_nme": _decimals(evaluation.floor.nme),
        "floor_w1": _decimals(evaluation.floor.w1),
        "mean_spread": [""] * len(worst) if spread is None else _decimals(100 * spread.mean(axis=1)),
        "max_spread": [""] * len(worst) if spread is None else _decimals(100 * spread.max(axis=1)),
        "worst_landmark": worst.tolist(),
        "worst_landmark_error": _decimals(landmark[np.arange(len(worst)), worst]),
        "missing": np.isnan(landmark).sum(axis=1).tolist(),
        "distance_px": _decimals(evaluation.distance * evaluation.sides),
    }
    columns |= {f"nme_{name}": _decimals(v) for name, v in region_errors(landmark, evaluation.regions).items()}
    return csv_text(columns)


def csv_text(columns: Mapping[str, Sequence[object]]) -> str:
    """Columns of one length as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def read_evaluation(directory: Path | str) -> StoredEvaluation:
    """Read what ``brule evaluate`` wrote: ``metrics.json`` and ``per_image.csv``.

    Raises:
        DataError: one of them is missing, damaged, or of another program.
    """
    folder = Path(directory)
    figures = _read_metrics(folder / METRICS_FILE)
    path = folder / PER_IMAGE_FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: can't be read ({error}); evaluate the run again") from None
    if not rows or any(key not in rows[0] for key in _NEEDED):
        raise DataError(f"{path}: expected rows with the columns {', '.join(_NEEDED)}; evaluate the run again")
    columns = {key: _numbers(path, rows, key) for key in _NEEDED[1:]}
    regions = {
        key.removeprefix("nme_"): _numbers(path, rows, key, empty=True) for key in rows[0] if str(key).startswith("nme_")
    }
    return StoredEvaluation(
        [row["image"] for row in rows],
        ImageErrors(columns["nme"], columns["w1"]),
        ImageErrors(columns["floor_nme"], columns["floor_w1"]),
        regions,
        str(figures["normaliser"]),
        str(figures.get("run", folder)),
    )


def _read_metrics(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}); expected a folder that brule evaluate wrote") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); evaluate the run again") from None
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
