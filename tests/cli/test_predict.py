"""``brule predict``."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule import LandmarkDetector
from brule.cli.predict import common_folder, output_names
from brule.data import FORMATS, Annotation, Annotations, read_annotations, read_pts, write_annotations


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_all_formats_agree_with_the_detector(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = brule("predict", trained, faces / "test", "-o", out, "--batch-size", 4)
    assert found.code == 0, found.err
    expected = LandmarkDetector.load(trained).predict(faces / "test")
    listing = json.loads((out / "landmarks.json").read_text())
    assert listing["landmarks"] == 68 and len(listing["images"]) == 6
    with (out / "landmarks.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head[:3] == ["path", "x0", "y0"] and head[-3:] == ["spread", "score", "flagged"] and len(head) == 4 + 2 * 68
    for entry, row, points, spread in zip(listing["images"], rows, expected.points, expected.spread, strict=True):
        relative = Path(entry["path"]).relative_to(faces / "test")
        np.testing.assert_allclose(entry["points"], points, atol=1e-3)
        np.testing.assert_allclose(np.array(row[1:-3], float).reshape(-1, 2), points, atol=1e-3)
        assert float(row[-3]) == pytest.approx(float(spread.mean()), abs=1e-3) and row[0] == entry["path"]
        np.testing.assert_allclose(read_pts(out / relative.with_suffix(".pts")), points, atol=1e-4)
        assert Image.open(out / "overlays" / relative.with_suffix(".jpg")).size == (480, 480)  # enlarged
    assert {"sub/face_000300.pts", "overlays/sub/face_000300.jpg"} <= files(out)
    assert not [name for name in files(out) if ".part" in name]


def test_heatmaps_stand_beside_their_crops(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    """On the left the crop with its landmarks, on the right lines through the same places."""
    out = tmp_path / "out"
    asked = ["predict", trained, faces / "test" / "sub", "-o", out, "--format", "json", "--no-overlays"]
    found = brule(*asked, "--heatmaps")
    assert found.code == 0, found.err
    assert {name for name in files(out) if name.endswith(".png")} == {f"heatmaps/face_00030{i}.png" for i in range(2)}
    row = json.loads((out / "landmarks.json").read_text())["images"][0]
    points = np.array(row["points"])
    low, high = points.min(axis=0), points.max(axis=0)
    side = 1.3 * (high - low).max()
    place = 256 * ((points - (low + high) / 2) / side + 0.5) - 0.5
    picture = np.asarray(Image.open(out / "heatmaps" / f"{Path(row['path']).stem}.png").convert("L")).astype(float)
    gap = (picture.shape[1] - 2 * 256) // 3
    lines = picture[gap : gap + 256, 2 * gap + 256 : -gap]
    at = lines[place[:, 1].round().astype(int), place[:, 0].round().astype(int)]
    assert at.min() > 200 and np.median(lines) < 100
    again = brule("predict", trained, out, "-o", out, "--format", "json", "--no-overlays")
    assert again.code == 2  # its own pictures aren't images to predict


def test_formats_and_overlays_can_be_chosen(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    out, image = tmp_path / "out", faces / "test" / "face_000200.png"
    assert brule("predict", trained, image, "-o", out, "--format", "csv", "--no-overlays").code == 0
    assert files(out) == {"landmarks.csv"}
    out = tmp_path / "two"
    assert brule("predict", trained, image, "--format", "pts", "--format", "json", "--no-overlays", "-o", out).code == 0
    assert files(out) == {"landmarks.json", "face_000200.pts"}


def test_globs(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pattern = f"{faces}/test/**/*.png"
    assert brule("predict", trained, pattern, "-o", out, "--format", "pts", "--no-overlays").code == 0
    assert len(files(out)) == 6 and "sub/face_000300.pts" in files(out)


def test_boxes_of_any_format_are_used_and_an_image_may_hold_two_objects(
    brule, trained: Path, faces: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "photos").mkdir(parents=True)
    shutil.copy(faces / "test" / "face_000200.png", folder / "photos" / "a.png")
    boxes = [Annotation("photos/a.png", box=(4, 4, 30, 30)), Annotation("photos/a.png", box=(10, 10, 44, 44))]
    write_annotations(folder / "boxes.xml", Annotations(boxes), format=FORMATS["imglab"])
    (folder / "settings.json").write_text("{}")
    found = brule("predict", trained, folder, "-o", out)
    assert found.code == 0 and "taken whole" not in found.err
    assert {"photos/a.pts", "photos/a-object2.pts", "overlays/photos/a.jpg"} <= files(out)
    assert "overlays/photos/a-object2.jpg" not in files(out)  # one picture shows all objects
    # Three iterations teach nothing: each set of landmarks is the barycenter, about in the middle of its box.
    middles = [read_pts(out / "photos" / name).mean(axis=0) for name in ("a.pts", "a-object2.pts")]
    assert (middles[0] < middles[1]).all()


def test_same_names_do_not_meet(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    source = faces / "test" / "face_000200.png"
    for place in ("a/x.png", "b/x.png", "b/X.bmp"):
        (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
        Image.open(source).save(tmp_path / "in" / place)
    out = tmp_path / "out"
    found = brule("predict", trained, tmp_path / "in" / "a", tmp_path / "in" / "b", "-o", out, "--format", "pts")
    assert found.code == 0, found.err
    names = {name for name in files(out) if name.endswith(".pts")}
    assert names == {"a/x.pts", "b/x.png.pts", "b/X.bmp.pts"}
    assert len([name for name in files(out) if name.startswith("overlays")]) == 3


def test_output_names_never_repeat() -> None:
    found = [Path("/d/a.jpg"), Path("/d/a.png"), Path("/d/a.jpg.png"), Path("/e/b.png"), Path("/d/A.PNG")]
    names = output_names(found, common_folder(["/d", "/e"], found))
    assert len({str(name).lower() for name in names.values()}) == len(found)


def test_predictions_never_become_annotations(brule, trained: Path, own_faces: Path) -> None:
    test = own_faces / "test"
    before = (test / "face_000200.pts").read_text()
    found = brule("predict", trained, test, "-o", test)
    assert found.code == 2 and "beside the images" in found.err
    assert (test / "face_000200.pts").read_text() == before


def test_output_inside_the_input_is_not_read(brule, trained: Path, own_faces: Path) -> None:
    test = own_faces / "test"
    for _ in range(2):
        found = brule("predict", trained, test, "-o", test / "found")
        assert found.code == 0 and "6 images" in found.out, found.err


def test_images_without_boxes_are_taken_whole(brule, trained: Path, own_faces: Path, tmp_path: Path) -> None:
    image = tmp_path / "only" / "one.png"
    image.parent.mkdir()
    shutil.copy(own_faces / "test" / "face_000200.png", image)
    assert brule("predict", trained, image, "-o", tmp_path / "out").code == 0
    points = json.loads((tmp_path / "out" / "landmarks.json").read_text())["images"][0]["points"]
    assert np.min(points) > -0.5 and np.max(points) < 47.5


def test_bad_images(brule, trained: Path, own_faces: Path, tmp_path: Path) -> None:
    image = own_faces / "test" / "face_000201.png"
    image.write_bytes(image.read_bytes()[:300])
    (own_faces / "test" / "empty.jpg").touch()
    out = tmp_path / "out"
    refused = brule("predict", trained, own_faces / "test", "-o", out)
    assert refused.code == 2 and "empty.jpg" in refused.err and "--skip-bad" in refused.err
    taken = brule("predict", trained, own_faces / "test", "-o", out, "--skip-bad")
    assert taken.code == 0 and "left out 2 files" in taken.err and "face_000201.png" in taken.err
    assert len(json.loads((out / "landmarks.json").read_text())["images"]) == 5


def test_interrupted_output_leaves_no_half_file(brule, trained: Path, own_faces: Path, tmp_path: Path) -> None:
    image = own_faces / "test" / "sub" / "face_000301.png"  # the last one
    image.write_bytes(image.read_bytes()[:300])
    out = tmp_path / "out"
    assert brule("predict", trained, own_faces / "test", "-o", out, "--batch-size", 2, "--no-overlays").code == 2
    assert all(name.endswith(".pts") and ".part" not in name for name in files(out)) and files(out)


def test_messages(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    assert "no such file" in brule("predict", trained, tmp_path / "none", "-o", tmp_path / "out").err
    assert "detector.json" in brule("predict", tmp_path, faces / "test", "-o", tmp_path / "out").err
    assert brule("predict", trained, faces / "test", "-o", tmp_path / "out", "--format", "xml").code == 2


def test_images_without_a_box_are_mentioned(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    image = min((faces / "test").rglob("*.png"))
    shutil.copy(image, bare)
    assert "1 of 1 images have no annotation" in brule("predict", trained, bare, "-o", tmp_path / "a").err
    assert "no annotation" not in brule("predict", trained, image, "-o", tmp_path / "b").err


@pytest.mark.parametrize("name", ["coco", "labelme", "cvat", "via"])
def test_predictions_are_written_in_any_format_and_read_back(brule, trained, faces: Path, tmp_path: Path, name: str) -> None:
    """The same predictions as landmarks.json holds; most formats round to a hundredth of a pixel or finer."""
    out, form = tmp_path / "out", FORMATS[name]
    found = brule("predict", trained, faces / "test", "-o", out, "--format", name, "--format", "json", "--no-overlays")
    assert found.code == 0, found.err
    expected = [np.array(image["points"], dtype=float) for image in json.loads((out / "landmarks.json").read_text())["images"]]
    written = out / (form.name if form.one_image else f"landmarks-{form.name}{form.suffixes[0]}")
    files = [written] if written.is_file() else [path for path in sorted(written.rglob("*")) if path.suffix in form.suffixes]
    read = [item.points for file in files for item in read_annotations(file).items if item.points is not None]
    assert len(read) == len(expected) > 1
    for points in read:
        assert min(np.abs(np.asarray(points, dtype=float) - one).max() for one in expected) < 0.1


def two_boxes(folder: Path, faces: Path) -> Path:
    """Two images, three boxes: the first image has two."""
    (folder / "photos").mkdir(parents=True)
    for name in "ab":
        shutil.copy(faces / "test" / "face_000200.png", folder / "photos" / f"{name}.png")
    places = [("a", (4, 4, 30, 30)), ("a", (10, 10, 44, 44)), ("b", (4, 4, 40, 40))]
    boxes = [Annotation(f"photos/{name}.png", box=box) for name, box in places]
    write_annotations(folder / "boxes.xml", Annotations(boxes), format=FORMATS["imglab"])
    return folder


def test_images_are_counted_once_however_many_boxes_they_have(
    brule, trained: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[tuple[int, int]] = []

    @contextmanager
    def bar(what: str):
        yield lambda done, total: reported.append((done, total))

    monkeypatch.setattr("brule.cli.image_predictions.progress_bar", bar)
    found = brule("predict", trained, two_boxes(tmp_path / "in", faces), "-o", tmp_path / "out")
    assert found.code == 0 and "3 objects in 2 images, 68 landmarks each" in found.out, found.err
    assert reported[-1] == (2, 2)


def test_a_broken_image_with_two_boxes_is_listed_once(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    folder = two_boxes(tmp_path / "in", faces)
    (folder / "photos" / "a.png").write_bytes(b"no image")
    found = brule("predict", trained, folder, "-o", tmp_path / "out", "--skip-bad")
    assert found.code == 0 and "left out 1 file:" in found.err and found.err.count("a.png") == 1
    assert found.out.startswith("1 image, 68 landmarks")


def test_an_image_without_any_object_is_listed(
    brule, trained: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all objects asked for, a detector gives it no row."""
    real = LandmarkDetector.iter_predict

    def some(self: LandmarkDetector, images: object, **options: object):
        for samples, landmarks in real(self, images, **options):
            kept = [k for k, sample in enumerate(samples) if sample.name[-1] in "13"]
            yield [samples[k] for k in kept], landmarks.chosen(kept)

    monkeypatch.setattr(LandmarkDetector, "iter_predict", some)
    out = tmp_path / "out"
    found = brule("predict", trained, faces / "test", "-o", out, "--objects", "all", "--batch-size", 2, "--rank")
    assert found.code == 0 and "6 images (nothing found in 3), 68 landmarks each" in found.out, found.err
    listed = json.loads((out / "landmarks.json").read_text())["images"]
    names = sorted(str(path) for path in (faces / "test").rglob("*.png"))
    assert [one["path"] for one in listed] == names
    assert [one["points"] is None for one in listed] == [name[-5] not in "13" for name in names]
    with (out / "landmarks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == names and [row["x0"] == "" for row in rows] == [n[-5] not in "13" for n in names]
    assert found.out.count("nothing found\n") == 3 and len([name for name in files(out) if name.endswith(".pts")]) == 3
