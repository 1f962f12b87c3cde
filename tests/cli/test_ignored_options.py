"""Options that would have no effect are refused or mentioned by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brule.cli import main


@pytest.fixture
def evaluations(tmp_path: Path) -> list[str]:
    """Two folders that look like finished evaluations; they aren't read."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps({"run": folder.name}))
    return [str(folder) for folder in folders]


@pytest.mark.parametrize(
    "option",
    [
        ["--data", "photos"],
        ["--only-validation"],
        ["--boxes", "given"],
        ["--normaliser", "pupils"],
        ["--batch-size", "8"],
        ["--skip-bad"],
    ],
    ids=lambda words: words[0],
)
def test_finished_evaluations_have_no_options(
    evaluations: list[str], option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *evaluations, *option]) == 2
    assert f"brule: {option[0]}: has no effect on finished evaluations" in capsys.readouterr().err


def test_sizes_beyond_the_number_of_shapes_are_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        points = "\n".join(f"{10 * k + number + 5} {7 * k * k + 2 * number + 5}" for k in range(3))
        (tmp_path / f"{number}.pts").write_text(f"version: 1\nn_points: 3\n{{\n{points}\n}}\n")
    words = ["study", "barycenter-size", "--shapes", str(tmp_path), "--draws", "2", "-o", str(tmp_path / "study"), "--quiet"]
    assert main([*words, "--sizes", "2", "4", "9", "30"]) == 0
    assert "--sizes: sizes 9, 30 left out: there are only 4 shapes" in capsys.readouterr().err
    assert main(words) == 0
    assert "left out" not in capsys.readouterr().err
