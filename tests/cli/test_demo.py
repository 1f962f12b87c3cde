"""``brule demo``, much too short to learn anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from PIL import Image

WORDS = ("--images", 60, "--minutes", 0.02, "--quiet")


def test_demo_end_to_end_and_again(brule, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    found = brule("demo", "-o", out, *WORDS)
    assert found.code == 0, found.err
    scores = json.loads((out / "evaluation.json").read_text())
    assert (scores["n"], scores["n_shapes"], scores["n_training_images"]) == (200, 10, 60)
    assert scores["target_nme"] == scores["floor_nme"] / 2 and scores["reached"] is (scores["nme"] <= scores["target_nme"])
    assert ("reached" in found.out) and f"predict {out / 'run'}" in found.out and "train --images" in found.out
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 19 and "http" not in page  # 18 faces and the barycenter
    assert "brule demo" in page and "train --images" in page
    for name in ("predictions.png", "barycenter.png"):
        assert Image.open(out / name).width > 300
    folders = {name: {path.name for path in (out / name).glob("*.png")} for name in ("images", "held-out", "shapes")}
    assert [len(names) for names in folders.values()] == [60, 200, 10]
    assert len(set().union(*folders.values())) == 270  # no face twice

    # Again: nothing is trained or drawn anew, the figures are the same; a lost part is made again.
    shutil.rmtree(out / "held-out")
    again = brule("demo", "-o", out, *WORDS)
    assert again.code == 0 and "taken up" in again.err and "drawing 200" in again.err and "drawing 60" not in again.err
    assert json.loads((out / "evaluation.json").read_text())["nme"] == scores["nme"]
    other = brule("demo", "-o", out, "--images", 61)
    assert other.code == 2 and "--images 60 --seed 0" in other.err


def test_demo_refuses_a_folder_of_other_things(brule, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    found = brule("demo", "-o", tmp_path, *WORDS)
    assert found.code == 2 and "new or empty" in found.err and [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
