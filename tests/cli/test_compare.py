"""``brule compare``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def other(brule, faces: Path, words, tmp_path: Path) -> Path:
    """A second run."""
    run = tmp_path / "other"
    assert brule(*words(faces, run, 2, "--seed", 5, "--quiet")).code == 0
    return run


def test_runs_and_finished_evaluations_compare_alike(brule, trained: Path, other: Path, faces: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "comparison", tmp_path / "c.json"
    found = brule("compare", trained, other, "--data", faces / "test", "-o", out, "--json", figures)
    assert found.code == 0, found.err
    for text in ("run", "other", "NME", "Wilcoxon", "of 6", "On 6 images", str(out / "index.html")):
        assert text in found.out
    assert {path.name for path in out.iterdir()} == {"index.html", "comparison.json", "per_image.csv"}
    content = json.loads(figures.read_text())
    assert (content["n"], [one["name"] for one in content["runs"]]) == (6, ["run", "other"])

    finished = []
    for run in (trained, other):
        finished.append(tmp_path / "finished" / run.name)
        assert brule("evaluate", run, "--data", faces / "test", "-o", finished[-1]).code == 0
        nme = json.loads((finished[-1] / "metrics.json").read_text())["nme"]
        assert nme == pytest.approx(next(one["nme"] for one in content["runs"] if one["name"] == run.name))
    again = brule("compare", *finished, "--json", figures)
    assert again.code == 0 and "page:" not in again.out
    later = json.loads(figures.read_text())["differences"]["nme"][0]
    direct = content["differences"]["nme"][0]
    for key in ("difference", "low", "high", "second_better"):
        assert later[key] == pytest.approx(direct[key], abs=1e-5)
    # Files hold six decimals: two of six differences that are alike up to there may swap their ranks.
    assert later["p_value"] == pytest.approx(direct["p_value"], abs=0.1)
    mixed = brule("compare", trained, finished[1], "--data", faces / "test", "--json", figures)
    assert mixed.code == 0 and json.loads(figures.read_text())["n"] == 6


def test_one_run_evaluated_twice_is_named_by_its_folders(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    for name in ("before", "after"):
        brule("evaluate", trained, "--data", faces / "test", "-o", tmp_path / name)
    found = brule("compare", tmp_path / "before", tmp_path / "after")
    assert found.code == 0 and "after − before" in found.out and "can't decide" in found.out


def test_messages(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    assert "two or more" in brule("compare", trained).err
    found = brule("compare", trained, tmp_path)
    assert found.code == 2 and "--data" in found.err and str(tmp_path) in found.err
    one, two = tmp_path / "one", tmp_path / "two"
    brule("evaluate", trained, "--data", faces / "test", "-o", one)
    shutil.copytree(one, two)
    content = json.loads((two / "metrics.json").read_text())
    (two / "metrics.json").write_text(json.dumps(content | {"normaliser": "pupils"}))
    found = brule("compare", one, two)
    assert found.code == 2 and "different distances" in found.err
