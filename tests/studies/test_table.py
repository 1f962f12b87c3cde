"""Measured and quoted figures: what a row is read from, and that the two kinds never share a column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from brule.errors import DataError
from brule.studies import QUOTED, measured_table, quoted_table, read_rows, report_table

FIGURES: dict[str, Any] = {
    "run": "runs/first", "data": ["a", "b"], "n": 7, "nme": 5.0, "nme_low": 4.0, "nme_high": 6.5, "w1": 4.5, "floor_nme": 20.0,
    "normaliser": "outer eye corners", "n_shapes": 10, "n_labelled": 3, "n_training_images": 100, "preset": "cpu", "seed": 2,
    "image_size": 64, "iterations": 800, "training_seconds": 90, "device": "cpu",
}  # fmt: skip


def write(path: Path, **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {key: value for key, value in (FIGURES | changes).items() if value != "left out"}
    path.write_text(json.dumps(content))
    return path


def test_every_figure_is_in_its_row(tmp_path: Path) -> None:
    rows = read_rows([write(tmp_path / "figures.json")])
    cells = [cell.strip() for cell in measured_table(rows).splitlines()[-1].strip("|").split(" | ")]
    assert cells == [
        "runs/first", "a, b, 7", "5.00 (4.00 … 6.50)", "4.50", "20.00", "outer eye corners", "10", "3", "100", "cpu, 2, 64",
        "800, 1.5, cpu",
    ]  # fmt: skip


def test_a_run_gives_all_its_evaluations(tmp_path: Path) -> None:
    write(tmp_path / "run" / "evaluation" / "b" / "metrics.json", n=2)
    write(tmp_path / "run" / "evaluation" / "a" / "metrics.json", n=1)
    alone = write(tmp_path / "alone" / "metrics.json", n=3).parent
    assert [row.n for row in read_rows([tmp_path / "run", alone])] == [1, 2, 3]


def test_what_an_older_evaluation_lacks_is_read_from_its_run(tmp_path: Path) -> None:
    path = write(tmp_path / "run" / "evaluation" / "a" / "metrics.json", n_labelled="left out", device="left out")
    assert "| ? |" in measured_table(read_rows([path]))
    (tmp_path / "run" / "data.json").write_text('{"n_labelled": 50}')
    (row,) = read_rows([path])
    assert (row.n_labelled, row.device) == (50, None)


def test_quoted_figures_stand_apart(tmp_path: Path) -> None:
    rows = read_rows([write(tmp_path / "figures.json")])
    text = report_table(tmp_path / "out", rows)
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8") == text
    content = json.loads((tmp_path / "out" / "table.json").read_text(encoding="utf-8"))
    assert len(content["measured"]) == 1
    assert len(content["quoted"]) == len(QUOTED)
    headers = [set(part.splitlines()[2].strip("| ").split(" | ")) for part in (measured_table(rows), quoted_table())]
    assert not headers[0] & headers[1]
    for row in QUOTED:
        assert row.source in quoted_table() and row.protocol in quoted_table() and row.source not in measured_table(rows)


def test_what_isn_t_an_evaluation_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="empty: expected a finished evaluation"):
        read_rows([empty])
    with pytest.raises(DataError, match="none: expected a finished evaluation"):
        read_rows([tmp_path / "none"])
    path = tmp_path / "figures.json"
    for text, said in (
        ("{", "not JSON"),
        ("[]", "found a list"),
        ("{}", "some are missing"),
        ('{"run": 1, "n": "x"}', "missing"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"figures\.json: .*{said}"):
            read_rows([path])
    with pytest.raises(DataError, match=r"figures\.json: .*some are missing"):
        read_rows([write(path, nme=None)])
