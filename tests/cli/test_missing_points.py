"""Missing points from file to figure: in shapes, in what training learns from, and in what it is measured on."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from brule.data import Shapes, read_samples, write_shapes
from brule.data.shapes import to_crop

LACK = {0: range(17), 2: (3,), 3: (30, 31)}  # sample → points


def write_table(folder: Path, target: Path, lack: dict[int, object]) -> Path:
    """The annotations of a folder as one CSV, some points left empty."""
    samples = read_samples(folder)
    head = ",".join(f"x{i},y{i}" for i in range(68))
    rows = [f"image,{head}"]
    for k, sample in enumerate(samples):
        assert sample.points is not None
        points = sample.points.copy()
        points[list(lack.get(k, ()))] = np.nan  # type: ignore[call-overload]
        cells = ("" if math.isnan(value) else f"{value:.4f}" for value in points.ravel().tolist())
        rows.append(f"{sample.path.name},{','.join(cells)}")
    target.write_text("\n".join(rows) + "\n")
    return target


@pytest.fixture
def holed_shapes(faces: Path, tmp_path: Path) -> Path:
    return write_table(faces / "shapes", tmp_path / "shapes.csv", LACK)


def test_barycenter(brule, faces: Path, tmp_path: Path) -> None:
    """Of one face, its points shaken: where no shape is whole, every point is where it would be, and at its index."""
    face = to_crop(np.asarray(read_samples(faces / "shapes")[0].points))
    shaken = face + np.random.default_rng(0).normal(0, 0.004, (6, 68, 2))
    for k, shape in enumerate(shaken):
        shape[12 * k : 12 * k + 5 + k] = np.nan
    write_shapes(tmp_path / "holed.json", Shapes(list(shaken), list("abcdef")))
    found = brule("barycenter", tmp_path / "holed.json", "-o", tmp_path / "b.json")
    assert found.code == 0
    assert "43 points missing in 6 shapes of 6: left out of the barycenter, and completed" in found.err
    ours = np.array(json.loads((tmp_path / "b.json").read_text())["barycenter"])
    assert np.linalg.norm(ours - face, axis=1).max() < 0.016
    # What was written is read again, gaps and all, and gives the same.
    again = brule("barycenter", tmp_path / "b.json", "-o", tmp_path / "again.json")
    assert again.code == 0 and "43 points missing in 6 shapes" in again.err
    np.testing.assert_allclose(json.loads((tmp_path / "again.json").read_text())["barycenter"], ours, atol=1e-6)


def test_a_point_that_no_shape_has(brule, faces: Path, tmp_path: Path) -> None:
    table = write_table(faces / "shapes", tmp_path / "shapes.csv", dict.fromkeys(range(5), (7,)))
    found = brule("barycenter", table, "-o", tmp_path / "b.json")
    assert found.code == 2 and "none of the 5 has the point 7" in found.err and not (tmp_path / "b.json").exists()


def test_shapes_of_different_sizes_with_missing_points(brule, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sets = [rng.uniform(0, 50, (n, 2)).tolist() for n in (6, 7, 7, 7)]
    sets[1][2] = None
    (tmp_path / "sets.json").write_text(json.dumps({"shapes": sets}))
    found = brule("barycenter", tmp_path / "sets.json", "-o", tmp_path / "b.json")
    assert found.code == 0 and "can't be completed" in found.err and "have 6, 7 points" in found.err
    points = np.array(json.loads((tmp_path / "b.json").read_text())["barycenter"])
    assert points.shape == (7, 2) and np.isfinite(points).all()


def test_study_of_the_barycenters_size(brule, holed_shapes: Path, tmp_path: Path) -> None:
    words = ("study", "barycenter-size", "--shapes", holed_shapes, "--sizes", 2, "--draws", 1, "-o", tmp_path / "s")
    found = brule(*words)
    assert found.code == 0, found.err
    assert "20 points missing" in found.err


def test_train_measure_and_compare(brule, tiny, holed_shapes: Path, faces: Path, own_faces: Path, tmp_path: Path) -> None:
    labelled = own_faces / "test"
    write_table(labelled, labelled / "truth.csv", {0: range(17), 1: (0, 5), 2: (5,), 3: (5,), 4: (5,), 5: (5,)})
    for path in labelled.rglob("*.pts"):
        path.unlink()
    for path in (labelled / "sub").iterdir():
        path.rename(labelled / path.name)
    run = tmp_path / "run"
    words = ("train", "--images", faces / "images", "--shapes", holed_shapes, "--labelled", labelled, "-o", run)
    plan = brule(*words, "--dry-run", "--set", *tiny)
    assert plan.code == 0 and "20 points missing" in plan.err
    assert brule(*words, "--data", labelled, "--set", "iterations=2", *tiny).code == 0
    picture, numbers = tmp_path / "p.png", tmp_path / "m.json"
    found = brule("evaluate", run, "--data", labelled, "-o", tmp_path / "e", "--json", numbers, "--pictures", picture)
    assert found.code == 0 and picture.exists(), found.err
    metrics = json.loads(numbers.read_text())  # a NaN would be read, so:
    assert "NaN" not in numbers.read_text() and metrics["missing_landmarks"] == 17 + 2 + 4
    page = (tmp_path / "e" / "index.html").read_text()
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page).lower()
    assert metrics["w1"] <= metrics["nme"]
    compared = brule("compare", tmp_path / "e", tmp_path / "e", "-o", tmp_path / "c")
    assert compared.code == 0, compared.err


def test_labelled_images_give_the_shapes(brule, tiny, own_faces: Path, tmp_path: Path) -> None:
    labelled = own_faces / "images"
    write_table(labelled, labelled / "truth.csv", {k: (k,) for k in range(12)})
    for path in labelled.rglob("*.pts"):
        path.unlink()
    found = brule("train", "--labelled", labelled, "-o", tmp_path / "run", "--set", "iterations=1", *tiny)
    assert found.code == 0 and "12 points missing in 12 shapes of 12" in found.err, found.err
