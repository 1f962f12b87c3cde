"""The order in which predictions should be looked at."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brule.cli.ranking import Ranking
from brule.data import Sample
from brule.detector.landmarks import Landmarks, joined, nothing_found

SPREADS = torch.tensor([[1.0, 2.0], [3.0, 1.0], [0.5, 0.1]])


def found(uncertainties: list[float], flagged: list[bool]) -> Landmarks:
    count = len(uncertainties)
    empty = nothing_found(list(range(count)), 2)
    known = {"points": torch.zeros(count, 2, 2), "uncertainty": torch.tensor(uncertainties), "flagged": torch.tensor(flagged)}
    return replace(empty, spread=SPREADS[:count], **known)


def test_nothing_found_first_then_flagged_then_the_least_sure(tmp_path: Path) -> None:
    """The image without a prediction has no uncertainty at all, which must not upset the order of the others."""
    landmarks = joined([found([0.3, 0.1, 0.2], [False, True, False]), nothing_found([3], 2)])
    ranking = Ranking(calibrated=True)
    ranking.add([Sample(Path(name)) for name in ("a", "b", "c", "d")], landmarks, [1, 1, 2, 1])
    with ranking.write(tmp_path).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["d", "b", "a", "c"]
    assert [row["uncertainty"] for row in rows] == ["", "10.0000", "30.0000", "20.0000"]
    assert [row["worst_landmark"] for row in rows] == ["", "0", "1", "0"]
    # An expected error holds where the object was found, so a flagged prediction has none.
    assert [row["expected_error_px"] for row in rows] == ["", "", "1.500", "0.300"]
    assert [row["flagged"] for row in rows] == ["1", "1", "0", "0"] and rows[3]["object"] == "2"
    figures = [row[name] for row in rows for name in row if name not in ("path", "worst_landmark_name")]
    assert not any(math.isnan(float(value)) for value in figures if value)


def test_the_worst_landmark_has_its_index_from_0_and_its_name(tmp_path: Path) -> None:
    """The name, or the number from 1 that pages show; the index stays what scripts read."""
    for names, expected in ((("base", "tip"), ["tip", "base", ""]), (None, ["landmark 2", "landmark 1", ""])):
        ranking = Ranking(calibrated=False, names=names)
        landmarks = joined([found([0.3, 0.1], [False, False]), nothing_found([2], 2)])
        ranking.add([Sample(Path(name)) for name in "abc"], landmarks, [1, 1, 1])
        with ranking.write(tmp_path).open() as file:
            rows = {row["path"]: row for row in csv.DictReader(file)}
        assert [rows[name]["worst_landmark"] for name in "abc"] == ["1", "0", ""]
        assert [rows[name]["worst_landmark_name"] for name in "abc"] == expected


def test_the_list_on_the_terminal_names_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    ranking = Ranking(calibrated=False)
    landmarks = joined([found([0.3], [True]), nothing_found([1], 2)])
    ranking.add([Sample(Path("a.jpg")), Sample(Path("b.jpg"))], landmarks, [1, 1])
    ranking.print_first()
    shown = capsys.readouterr()
    assert "b.jpg  nothing found\n" in shown.out and "a.jpg  flagged\n" in shown.out
    assert "isn't calibrated" in shown.err


def test_no_expected_error_on_the_terminal_for_a_flagged_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    ranking = Ranking(calibrated=True)
    ranking.add([Sample(Path("a.jpg")), Sample(Path("b.jpg"))], found([0.3, 0.1], [False, True]), [1, 1])
    ranking.print_first()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["b.jpg", "flagged"] and lines[2].split() == ["30.00", "%", "1.5", "px", "a.jpg"]
    assert lines[1].index("b.jpg") == lines[2].index("a.jpg")
    assert "on condition that the" in lines[3] and max(map(len, lines)) <= 80
