"""Measured rows, and the paper's rows quoted, in two tables that share no column (the paper's Table 1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brule.errors import DataError
from brule.files import read_json, write_text
from brule.tracking.run_files import EVALUATIONS, METRICS, RECORD


@dataclass(frozen=True)
class MeasuredRow:
    """A finished evaluation. What an evaluation doesn't record is ``None``.

    Attributes:
        run: name of what was measured.
        data: what it was measured on.
        n: images measured.
        nme: mean, % of ``normaliser``, with the two ends of its 95 % interval.
        w1: the same, free of indices.
        floor_nme: of the constant prediction: the mean of the annotated shapes, or their barycenter if they have no mean.
        normaliser: the distance that errors are divided by.
        n_shapes: annotated shapes learnt from.
        n_labelled: annotated images learnt from.
        n_training_images: unlabelled images learnt from.
        preset: of the run.
        seed: of the run.
        image_size: side of the crop, px.
        iterations: done.
        minutes: of training.
        device: it was trained on.
    """

    run: str
    data: str
    n: int
    nme: tuple[float, float, float]
    w1: float
    floor_nme: float
    normaliser: str
    n_shapes: int | None
    n_labelled: int | None
    n_training_images: int | None
    preset: str | None
    seed: int | None
    image_size: int | None
    iterations: int | None
    minutes: float | None
    device: str | None


@dataclass(frozen=True)
class QuotedRow:
    """A published figure.

    Attributes:
        method: as its authors call it.
        data: it was measured on.
        error: as printed.
        unit: of the error.
        protocol: how it was measured, as far as is known.
        source: where it is printed.
    """

    method: str
    data: str
    error: float
    unit: str
    protocol: str
    source: str


_TABLE = "Bespalov, Buzun, Dylov 2020, arXiv 2006.11643, Table 1"
_PAPER = "Bespalov, Buzun, Dylov 2020, arXiv 2006.11643, §6.2 and Fig. 3"
_PROTOCOL = "stacked hourglass (HG2) trained on labels{}; crop and test part: see there"
# Of the paper's twelve rows, those at hand; docs/results.md says how far they were checked.
QUOTED = (
    QuotedRow(
        method="BRULÈ, unsupervised",
        data="300-W",
        error=12.4,
        unit="IOD (%)",
        protocol="no labels; which eye points and test part: see there",
        source=_TABLE,
    ),
    QuotedRow(
        method="HG2, supervised", data="300-W", error=4.2, unit="IOD (%)", protocol=_PROTOCOL.format(" alone"), source=_PAPER
    ),
    QuotedRow(
        method="HG2 + BRULÈ, semi-supervised",
        data="300-W",
        error=3.9,
        unit="IOD (%)",
        protocol=_PROTOCOL.format(" and unlabelled images"),
        source=_PAPER,
    ),
)


def read_rows(paths: Sequence[Path]) -> list[MeasuredRow]:
    """The rows of finished evaluations.

    Args:
        paths: folders that ``brule evaluate`` wrote, runs that hold such folders in ``evaluation/``, or its JSON files.

    Returns:
        One row per evaluation, in the order of the paths, those of a run by name.

    Raises:
        DataError: there is no evaluation, or it is damaged.
    """
    return [_read_row(file) for path in paths for file in _metrics_files(path)]


def report_table(directory: Path, rows: Sequence[MeasuredRow]) -> str:
    """Write ``table.md`` and ``table.json``.

    Returns:
        Both tables, as Markdown.
    """
    table = f"{measured_table(rows)}\n{quoted_table()}"
    content = {"measured": [asdict(row) for row in rows], "quoted": [asdict(row) for row in QUOTED]}
    write_text(directory / "table.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_text(directory / "table.md", table)
    return table


def measured_table(rows: Sequence[MeasuredRow]) -> str:
    """One row per evaluation, with all that readers have to know about it."""
    lines = [
        "Measured here:",
        "",
        "| run | data, images | NME (95 % interval) | W₁ | constant prediction (floor) | in % of | shapes | annotated "
        "| unlabelled | preset, seed, px | iterations, minutes, device |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        nme, low, high = row.nme
        cells = (
            row.run,
            f"{row.data}, {row.n}",
            f"{nme:.2f} ({low:.2f} … {high:.2f})",
            f"{row.w1:.2f}",
            f"{row.floor_nme:.2f}",
            row.normaliser,
            _known(row.n_shapes),
            _known(row.n_labelled),
            _known(row.n_training_images),
            f"{_known(row.preset)}, {_known(row.seed)}, {_known(row.image_size)}",
            f"{_known(row.iterations)}, {'?' if row.minutes is None else f'{row.minutes:.1f}'}, {_known(row.device)}",
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def quoted_table() -> str:
    """The paper's rows, with source and protocol."""
    lines = [
        "Quoted from the paper, measured by its authors under a protocol of their own; not to be ranked with the above:",
        "",
        "| method | data | as printed | protocol | source |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {row.method} | {row.data} | {row.unit} {row.error:g} | {row.protocol} | {row.source} |" for row in QUOTED]
    return "\n".join(lines) + "\n"


def _metrics_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if (path / METRICS).is_file():
        return [path / METRICS]
    found = sorted(path.glob(f"{EVALUATIONS}/*/{METRICS}"))
    if not found:
        raise DataError(f"{path}: expected a finished evaluation, or a run that holds some; `brule evaluate` makes one")
    return found


def _read_row(path: Path) -> MeasuredRow:
    content = _read_figures(path)
    record = _record_of(path)
    data, labelled = content.get("data"), content.get("n_labelled", record.get("n_labelled"))
    seconds = content.get("training_seconds")
    try:
        return MeasuredRow(
            run=str(content["run"]),
            data=", ".join(map(str, data)) if isinstance(data, list) else _known(data),
            n=int(content["n"]),
            nme=(float(content["nme"]), float(content["nme_low"]), float(content["nme_high"])),
            w1=float(content["w1"]),
            floor_nme=float(content["floor_nme"]),
            normaliser=str(content["normaliser"]),
            n_labelled=labelled,
            minutes=None if seconds is None else float(seconds) / 60,
            **{key: content.get(key) for key in _AS_THEY_ARE},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected the figures of brule evaluate, some are missing ({error}); evaluate again") from None


_AS_THEY_ARE = ("n_shapes", "n_training_images", "preset", "seed", "image_size", "iterations", "device")


def _record_of(path: Path) -> dict[str, Any]:
    """What the run was trained on, if the evaluation is inside its run: ``RUN/evaluation/NAME/metrics.json``."""
    inside = path.parent.parent.name == EVALUATIONS
    record = path.parent.parent.parent / RECORD
    return _read_figures(record) if inside and record.is_file() else {}


def _read_figures(path: Path) -> dict[str, Any]:
    content = read_json(path, "what brule wrote")
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected the figures of brule evaluate, found a {type(content).__name__}")
    return content


def _known(value: object) -> str:
    return "?" if value is None else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
