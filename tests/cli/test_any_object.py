"""Objects that aren't faces, from barycenter to pictures: any number of points, any image, anywhere in it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from brule.data import read_shapes

SMALL = ("crop.image_size=32", "iterations=2")


def outline(n: int, rng: np.random.Generator, *, symmetric: bool = False) -> np.ndarray:
    """A closed outline of n points about (0, 0), of size one: an ellipse, or with a bump that no mirror keeps."""
    angle = 2 * np.pi * (np.arange(n) + 0.2 * (not symmetric)) / n - np.pi / 2
    bump = 0 if symmetric else 0.25 * np.cos(3 * angle + 0.7) + 0.3 * np.cos(angle - 0.4)
    radius = 0.5 * (1 + bump) * rng.uniform(0.9, 1.1)
    return np.stack([np.cos(angle) * rng.uniform(0.8, 1.0), np.sin(angle)], -1) * np.asarray(radius)[..., None]


def draw(
    folder: Path,
    n: int,
    count: int = 8,
    *,
    size: tuple[int, int] = (48, 48),
    side: float = 28,
    mode: str = "RGB",
    seed: int = 0,
    symmetric: bool = False,
) -> Path:
    """Images of one object each, annotated in a CSV, with boxes in another beside the folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    boxes = ["image,left,top,right,bottom"]
    table = ["image," + ",".join(f"x{i},y{i}" for i in range(n))]
    for k in range(count):
        centre = [rng.uniform(0.6 * side, extent - 0.6 * side) for extent in size]
        points = np.array(centre) + side * outline(n, rng, symmetric=symmetric)
        image = Image.new("RGB", size, (205, 190, 160))
        ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=(40, 60, 110))
        image.convert(mode).save(folder / f"{k}.png")
        table.append(f"{k}.png," + ",".join(f"{value:.3f}" for value in points.ravel()))
        (left, top), (right, bottom) = points.min(0), points.max(0)
        boxes.append(f"{k}.png,{left},{top},{right},{bottom}")
    (folder / "points.csv").write_text("\n".join(table) + "\n")
    (folder.parent / f"{folder.name}-boxes.csv").write_text("\n".join(boxes) + "\n")
    return folder


def whole_path(brule: Callable, tiny: tuple[str, ...], folder: Path, out: Path, n: int) -> dict[str, float]:
    """Barycenter, training, evaluation and prediction, each with its pictures; returns the figures."""
    found = brule("barycenter", folder, "-o", out / "b.json")
    assert found.code == 0, found.err
    content = json.loads((out / "b.json").read_text())
    points = np.array(content["barycenter"])
    # Its points keep the order of the annotations: each lies nearest to the mean of its own index, or a neighbour's.
    mean = np.mean(read_shapes(folder).points, axis=0)
    assert points.shape == (n, 2)
    assert np.linalg.norm(points - mean, axis=1).mean() < 0.08
    run = out / "run"
    found = brule("train", "--images", folder, "--shapes", folder, "-o", run, "--set", *tiny, *SMALL, "preview_every=2")
    assert found.code == 0, found.err
    found = brule("evaluate", run, "--data", folder, "-o", out / "e", "--json", out / "m.json", "--pictures", out / "p.png")
    assert found.code == 0, found.err
    found = brule("predict", run, folder, "-o", out / "found")
    assert found.code == 0, found.err
    rows = np.loadtxt(out / "found" / "landmarks.csv", delimiter=",", skiprows=1, usecols=range(1, 2 * n + 1))
    assert rows.shape == (8, 2 * n) and np.isfinite(rows).all()
    assert len(list((out / "found" / "overlays").iterdir())) == 8
    pictures = [out / "b.png", out / "p.png", next((run / "previews").iterdir()), *(out / "found" / "overlays").iterdir()]
    assert all(Image.open(path).size[0] > 30 for path in pictures)
    assert "<svg" in (out / "e" / "index.html").read_text()
    return json.loads((out / "m.json").read_text())


@pytest.mark.parametrize("n", [3, 4, 5, pytest.param(500, marks=pytest.mark.long)])
def test_from_3_to_500_points(n: int, brule, tiny: tuple[str, ...], tmp_path: Path) -> None:
    began = time.process_time()
    metrics = whole_path(brule, tiny, draw(tmp_path / "objects", n), tmp_path / "out", n)
    assert 0 < metrics["w1"] <= metrics["nme"] + 1e-9
    assert time.process_time() - began < 60


@pytest.mark.parametrize(
    ("kind", "symmetric"),
    [
        ({"mode": "L"}, False),
        ({"mode": "LA"}, True),
        ({"mode": "1"}, True),
        ({"size": (90, 40)}, False),
        ({"size": (31, 77), "mode": "L", "side": 22}, True),
    ],
    ids=["grey", "grey with alpha", "black and white", "wide", "tall and grey"],
)
def test_any_image(kind: dict, symmetric: bool, brule, tiny: tuple[str, ...], tmp_path: Path) -> None:
    folder = draw(tmp_path / "objects", 6, symmetric=symmetric, **kind)
    metrics = whole_path(brule, tiny, folder, tmp_path / "out", 6)
    assert metrics["normaliser"] == "box diagonal"


def test_symmetry_is_found_where_there_is_one_and_not_elsewhere(brule, tmp_path: Path) -> None:
    for symmetric, said in ((True, "3 pairs left and right, 2 landmarks on the axis"), (False, "none between left and right")):
        folder = draw(tmp_path / str(symmetric), 8, symmetric=symmetric)
        assert said in brule("barycenter", folder, "-o", tmp_path / "b.json").out


def test_one_landmark_in_the_middle_is_one_landmark(brule, tmp_path: Path) -> None:
    rows = [f"{k}.png,{10 + k},10,{30 + 2 * k},10,{20 + 1.5 * k},{30 + k}" for k in range(4)]
    (tmp_path / "s.csv").write_text("image,x0,y0,x1,y1,x2,y2\n" + "\n".join(rows) + "\n")
    found = brule("barycenter", tmp_path / "s.csv", "-o", tmp_path / "b.json")
    assert "1 pair left and right, 1 landmark on the axis" in found.out


def test_small_objects_with_boxes(brule, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """A few pixels in a large image; the boxes lie in a file of their own, and no image has its points beside it."""
    folder = draw(tmp_path / "objects", 5, size=(160, 120), side=20)
    shapes = tmp_path / "shapes.csv"
    (folder / "points.csv").rename(shapes)
    boxes, run, out = tmp_path / "objects-boxes.csv", tmp_path / "run", tmp_path / "found"
    found = brule(
        "train", "--images", folder, "--boxes", boxes, "--shapes", shapes, "-o", run, "--set", *tiny, "crop.image_size=32",
        "iterations=60", "batch_size=8",
    )  # fmt: skip
    assert found.code == 0 and "taken whole" not in found.err, found.err
    found = brule("predict", run, folder, "--boxes", boxes, "-o", out)
    assert found.code == 0, found.err
    points = np.loadtxt(out / "landmarks.csv", delimiter=",", skiprows=1, usecols=range(1, 11)).reshape(8, 5, 2)
    place = np.loadtxt(boxes, delimiter=",", skiprows=1, usecols=range(1, 5))
    middle = (place[:, :2] + place[:, 2:]) / 2
    # Wherever in the image the object is, its landmarks are within the crop about its box.
    assert (np.abs(points - middle[:, None]) < 20).all()
