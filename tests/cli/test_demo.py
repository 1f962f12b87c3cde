"""``brule demo``, much too short to learn anything."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

demo_module = importlib.import_module("brule.cli.demo")  # the package has the command under this name

WORDS = ("--images", 24, "--iterations", 2, "--quiet")


@pytest.mark.slow
def test_demo_end_to_end_and_again(brule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "N_HELD_OUT", 18)
    out = tmp_path / "demo"
    found = brule("demo", "-o", out, *WORDS)
    assert found.code == 0, found.err
    scores = json.loads((out / "evaluation.json").read_text())
    assert (scores["n"], scores["n_shapes"], scores["n_training_images"], scores["n_labelled"]) == (18, 10, 24, 10)
    assert scores["boxes"] == "none" and scores["given_boxes"]["boxes"] == "given"  # whole pictures come first
    assert scores["target_nme"] == scores["floor_nme"] / 2 and scores["reached"] is (scores["nme"] <= scores["target_nme"])
    assert ("reached" in found.out) and f"predict {out / 'run'}" in found.out and "train --images" in found.out
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 19 and "http" not in page  # 18 faces and the barycenter
    assert "brule demo" in page and "train --images" in page
    for name in ("predictions.png", "barycenter.png"):
        assert Image.open(out / name).width > 300
    folders = {name: {path.name for path in (out / name).glob("*.jpg")} for name in ("images", "held-out", "annotated")}
    assert [len(names) for names in folders.values()] == [24, 18, 10]
    assert len(set().union(*folders.values())) == 52  # no picture twice
    assert not list((out / "images").glob("*.pts"))  # no label and no box
    assert (out / "run" / "locator.safetensors").is_file()

    # Again: nothing is trained or drawn anew, the figures are the same; a lost part is made again.
    shutil.rmtree(out / "held-out")
    again = brule("demo", "-o", out, *WORDS)
    assert (
        again.code == 0
        and "continuing an earlier demo" in again.err
        and "drawing 18" in again.err
        and "drawing 24" not in again.err
    )
    assert json.loads((out / "evaluation.json").read_text())["nme"] == scores["nme"]
    other = brule("demo", "-o", out, "--images", 61)
    assert other.code == 2 and "--images 24 --seed 0" in other.err


def test_demo_refuses_a_folder_of_other_things(brule, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    found = brule("demo", "-o", tmp_path, *WORDS)
    assert found.code == 2 and "new or empty" in found.err and [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
