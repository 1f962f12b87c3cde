"""``brule barycenter``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from brule.data import read_shapes, write_pts


def test_writes_a_file_that_is_read_as_shapes_again(brule, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    found = brule("barycenter", faces / "shapes", "-o", out)
    content = json.loads(out.read_text())
    assert found.code == 0 and set(content) == {"barycenter", "shapes", "names", "objective", "history", "n_points"}
    assert (np.array(content["barycenter"]).shape, content["n_points"], len(content["names"])) == ((68, 2), 68, 5)
    again, direct = read_shapes(out), read_shapes(faces / "shapes")
    assert again.names == direct.names
    np.testing.assert_allclose(again.points, direct.points, atol=1e-9)
    assert Image.open(tmp_path / "b.png").size[0] > 200
    assert "mean squared W₂" in found.out and "spread" in found.out and "29 pairs" in found.out


def test_draws_with_the_seed_and_names_the_picture(brule, faces: Path, tmp_path: Path) -> None:
    names = []
    for seed in (1, 1, 2):
        out = tmp_path / "b.json"
        assert brule("barycenter", faces / "shapes", "--n-shapes", 3, "--seed", seed, "-o", out, "--picture",
                     tmp_path / "p.png").code == 0  # fmt: skip
        names.append(json.loads(out.read_text())["names"])
    assert names[0] == names[1] and len(names[0]) == 3
    assert (tmp_path / "p.png").exists() and not (tmp_path / "b.png").exists()


def test_number_of_points_and_no_symmetry(brule, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        write_pts(tmp_path / f"{i}.pts", rng.uniform(0, 50, (9 + i, 2)))
    found = brule("barycenter", tmp_path, "-o", tmp_path / "b.json", "--n-points", 6)
    assert found.code == 0 and json.loads((tmp_path / "b.json").read_text())["n_points"] == 6


def test_bad_files(brule, own_faces: Path, tmp_path: Path) -> None:
    (own_faces / "shapes" / "broken.pts").write_text("version: 1\n{\n1 2\n")
    out = tmp_path / "b.json"
    refused = brule("barycenter", own_faces / "shapes", "-o", out)
    assert refused.code == 2 and "broken.pts" in refused.err and "--skip-bad" in refused.err and not out.exists()
    taken = brule("barycenter", own_faces / "shapes", "-o", out, "--skip-bad")
    assert taken.code == 0 and "left out 1 file" in taken.err and "broken.pts" in taken.err


def test_messages(brule, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    assert "no such file" in brule("barycenter", tmp_path / "none", "-o", out).err
    assert "from 1 to 5" in brule("barycenter", faces / "shapes", "--n-shapes", 9, "-o", out).err
    assert "--picture" in brule("barycenter", faces / "shapes", "-o", tmp_path / "b.png").err
