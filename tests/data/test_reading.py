"""Folders with annotation files of any format: what names an image belongs to it, and what doesn't fit is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import (
    FORMATS,
    Annotation,
    Annotations,
    Layout,
    build_cache,
    read_annotations,
    read_folder,
    read_shapes,
    write_annotations,
    write_pts,
)
from brule.data.image_lookup import ImageFinder, KnownImages
from brule.errors import DataError

POINTS = np.array([[10, 12], [30, 12], [20, 35]], dtype=np.float32)
SIZE = (48, 40)
LAYOUT = Layout(("ear", "eye", "nose"), ((0, 1),))


def images(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, "grey").save(folder / name)


def records(*names: str, layout: Layout = LAYOUT) -> Annotations:
    return Annotations([Annotation(name, POINTS + i, size=SIZE) for i, name in enumerate(names)], layout)


def test_without_a_working_folder_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    images(tmp_path, "a.png")
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert ImageFinder(tmp_path / "a.json", KnownImages([tmp_path / "a.png"])).find("a.png") == tmp_path / "a.png"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_makes_a_folder_labelled_data(tmp_path: Path, name: str) -> None:
    format = FORMATS[name]
    images(tmp_path, "a.png", "bare.png", "deep/b ü.png")
    target = tmp_path if format.one_image else tmp_path / f"notes{format.suffixes[0]}"
    write_annotations(target, records("a.png", "deep/b ü.png"), format=format)
    samples = read_folder(tmp_path)
    assert [sample.path.name for sample in samples] == ["a.png", "bare.png", "b ü.png"]
    np.testing.assert_allclose(samples[0].points, POINTS, atol=1e-4)
    np.testing.assert_allclose(samples[2].points, POINTS + 1, atol=1e-4)
    assert samples[1].points is None and samples.bad == []
    assert samples.layout.names == (LAYOUT.names if "names" in format.holds else None)
    assert build_cache(samples, 16, directory=tmp_path / "cache").points.shape == (3, 3, 2)
    labelled = read_folder(tmp_path, require_points=True)
    assert len(labelled) == 2 and [bad.path.name for bad in labelled.bad] == ["bare.png"]
    alone = read_folder(tmp_path / "a.png")[0]  # what lies beside it says something about it
    np.testing.assert_allclose(alone.points, POINTS, atol=1e-4)
    shapes = read_shapes(tmp_path)
    assert shapes.names == ["a", "b ü"] and shapes.n_points == 3
    np.testing.assert_allclose(shapes.points[0], shapes.points[1], atol=1e-5)
    if not format.one_image:
        assert len(read_folder(target)) == 2 and read_shapes(target).names == ["a", "b ü"]


def test_shapes_need_no_images(tmp_path: Path) -> None:
    (tmp_path / "wings.tps").write_text("LM=3\n10 27.5\n30 27.5\n20 4.5\nIMAGE=C:\\wings\\far.png\n")
    write_pts(tmp_path / "upright.pts", POINTS)
    shapes = read_shapes([tmp_path / "wings.tps", tmp_path / "upright.pts"])
    assert shapes.names == ["upright", "far"]
    np.testing.assert_allclose(shapes.points[0], shapes.points[1], atol=1e-6)


def test_a_shape_with_two_points_left_is_bad(tmp_path: Path) -> None:
    gap = np.where(np.arange(3)[:, None] == 1, np.nan, POINTS).astype(np.float32)
    both = Annotations([Annotation("a.png", POINTS), Annotation("b.png", gap)], LAYOUT)
    write_annotations(tmp_path / "a.csv", both, format=FORMATS["csv"])
    with pytest.raises(DataError, match=r"a\.csv: b\.png: has 2 of its 3 points"):
        read_shapes(tmp_path)
    assert read_shapes(tmp_path, skip_bad=True).names == ["a"]


def test_boxes_decide_the_crop(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    box = (1.0, 2.0, 21.0, 12.0)
    given = Annotations([Annotation("a.png", POINTS, box, SIZE), Annotation("b.png", None, box, SIZE)])
    write_annotations(tmp_path / "c.json", given, format=FORMATS["coco"])
    with_points, without = read_folder(tmp_path)
    assert with_points.box == without.box == box and without.points is None
    assert with_points.crop() == without.crop() == with_points.unlabelled().crop()


def test_several_objects_of_an_image_are_several_samples(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    write_annotations(tmp_path / "c.json", records("a.png", "a.png"), format=FORMATS["coco"])
    first, second = read_folder(tmp_path)
    assert first.path == second.path and np.allclose(second.points - first.points, 1)


def test_files_are_brought_into_one_order_by_name(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    for name, labels in (("a", {"p10": [5, 5], "p2": [20, 20], "p1": [30, 5]}), ("b", {"p10": [9, 9], "p1": [40, 9]})):
        shapes = [{"label": label, "points": [point], "shape_type": "point"} for label, point in labels.items()]
        content = {"shapes": shapes, "imagePath": f"{name}.png", "imageWidth": 48, "imageHeight": 40}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    first, second = (samples := read_folder(tmp_path))
    assert samples.layout.names == ("p1", "p2", "p10")
    np.testing.assert_array_equal(first.points, np.array([[30, 5], [20, 20], [5, 5]]) - 0.5)
    np.testing.assert_array_equal(second.points, np.array([[40, 9], [np.nan, np.nan], [9, 9]]) - 0.5)


def test_other_files_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    (tmp_path / "settings.json").write_text('{"a": [1, 2]}')
    (tmp_path / "prices.csv").write_text("item,price\nwing,3\n")
    (tmp_path / "landmarks.csv").write_text("path,x0,y0,x1,y1,spread\na.png,3,4,5,6,1\n")  # predictions are no labels
    (tmp_path / "voc.xml").write_text("<annotation><filename>a.png</filename></annotation>")
    assert [sample.points for sample in read_folder(tmp_path)] == [None]
    with pytest.raises(DataError, match=r"settings\.json: no annotation of a known format"):
        read_folder([tmp_path, tmp_path / "settings.json"])


def two_sources(folder: Path) -> None:
    moved = Annotations([Annotation("a.png", POINTS + 3)], LAYOUT)
    write_annotations(folder / "bad.csv", moved, format=FORMATS["csv"])


def of_another_size(folder: Path) -> None:
    images(folder, "bad.png")
    given = Annotations([Annotation("bad.png", POINTS, size=(40, 48))])
    write_annotations(folder / "bad.xml", given, format=FORMATS["cvat"])


def boxed(folder: Path, box: tuple) -> None:
    images(folder, "bad.png")
    write_annotations(folder / "bad.xml", Annotations([Annotation("bad.png", None, box)]), format=FORMATS["imglab"])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "two sources": (two_sources, r"a\.png: has more than one annotation: .*bad\.csv, .*good\.json; keep one"),
    "image missing": (
        lambda d: write_annotations(d / "bad.tps", records("no.png")),
        r"bad\.tps: the image 'no\.png' isn't there",
    ),
    "another size": (
        of_another_size,
        r"bad\.xml: bad\.png: is 40 × 48 .* but the image has 48 × 40 \(width and height are exchanged\)",
    ),
    "box outside": (lambda d: boxed(d, (100, 100, 120, 120)), r"bad\.xml: bad\.png: the box .* is outside the image"),
    "cut off": (lambda d: (d / "bad.json").write_text('{"images": ['), r"bad\.json: not JSON, or cut off"),
    "empty": (lambda d: (d / "bad.xml").touch(), r"bad\.xml: the file is empty"),
    "far outside": (
        lambda d: (images(d, "bad.png"), (d / "bad.csv").write_text("image,x0,y0,x1,y1,x2,y2\nbad.png,1,2,500,4,9,9\n")),
        r"bad\.csv: bad\.png: point 2 at \(500\.0, 4\.0\) is far outside",
    ),
    "one record": (
        lambda d: (d / "bad.csv").write_text("image,x0,y0\nb.png,1,x\n"),
        r"bad\.csv: row 2 \(b\.png\): x0: expected a number",
    ),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES)
def test_what_does_not_fit_is_reported_or_left_out(tmp_path: Path, damage: Callable[[Path], object], says: str) -> None:
    images(tmp_path, "a.png", "b.png")
    write_annotations(tmp_path / "good.json", records("a.png", "b.png"), format=FORMATS["coco"])
    damage(tmp_path)
    with pytest.raises(DataError, match=f"(?s){says}.*--skip-bad"):
        read_folder(tmp_path)
    samples = read_folder(tmp_path, skip_bad=True)
    assert len(samples.bad) == 1 and len([one for one in samples if one.points is not None]) >= 1


NAMES = {
    "as it stands": ("deep/a.png", "deep/a.png"),
    "windows": ("deep\\a.png", "deep/a.png"),
    "another machine": ("D:\\work\\photos\\deep\\a.png", "deep/a.png"),
    "absolute": ("/home/somebody/photos/a.png", "deep/a.png"),
    "the folders tell which": ("/home/somebody/other/b.png", "other/b.png"),
    "without its first folders": ("labeled-data/video/deep/a.png", "deep/a.png"),
    "uploaded": ("/data/upload/3/0a1b2c3d-a.png", "deep/a.png"),
    "local files": ("/data/local-files/?d=photos/my%20c.png", "my c.png"),
    "address": ("https://example.org/x/a.png?token=3", "deep/a.png"),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.values(), ids=NAMES)
def test_images_are_found(tmp_path: Path, name: str, expected: str) -> None:
    images(tmp_path, "deep/a.png", "deep/b.png", "other/b.png", "my c.png")
    assert ImageFinder(tmp_path / "notes.json").find(name) == tmp_path / expected


def test_images_are_not_guessed(tmp_path: Path) -> None:
    images(tmp_path, "deep/a.png", "deep/b.png", "other/b.png")
    finder = ImageFinder(tmp_path / "notes.json")
    with pytest.raises(DataError, match=r"notes\.json: the image 'other/a\.png' isn't there"):
        finder.find("other/a.png")  # the folder is here, so another a.png is another image
    with pytest.raises(DataError, match=r"notes\.json: the image '/far/b\.png' could be .*b\.png or .*b\.png"):
        finder.find("/far/b.png")
    assert finder.find("/x/one/a.png") == tmp_path / "deep/a.png"
    with pytest.raises(DataError, match=r"'/x/one/a\.png' and '/x/two/a\.png' both lead to .*a\.png"):
        finder.find("/x/two/a.png")
    with pytest.raises(DataError, match="give the folder of the images together with this file"):
        finder.find("y" * 900)
    elsewhere = tmp_path / "annotations" / "notes.json"
    assert ImageFinder(elsewhere, [tmp_path / "deep/a.png"]).find("a.png") == tmp_path / "deep/a.png"


def test_a_file_and_the_folder_of_its_images_are_given_together(tmp_path: Path) -> None:
    images(tmp_path / "images", "a.png", "b.png")
    write_annotations(tmp_path / "annotations" / "c.json", records("a.png"), format=FORMATS["coco"])
    with pytest.raises(DataError, match=r"c\.json: the image 'a\.png' isn't there"):
        read_folder(tmp_path / "annotations")
    samples = read_folder([tmp_path / "annotations" / "c.json", tmp_path / "images"])
    assert [sample.points is None for sample in samples] == [False, True]
    assert len(read_folder(tmp_path)) == 2


def test_reading_a_file_alone_gives_its_records(tmp_path: Path) -> None:
    write_annotations(tmp_path / "c.json", records("far/a.png"), format=FORMATS["coco"])
    assert read_annotations(tmp_path / "c.json").items[0].image == "far/a.png"


def test_a_file_that_is_given_beats_what_lies_beside_the_image(tmp_path: Path) -> None:
    images(tmp_path / "images", "a.png")
    write_pts(tmp_path / "images" / "a.pts", POINTS)
    write_annotations(tmp_path / "images" / "b.tps", Annotations([Annotation("a.png", POINTS + 1, size=SIZE)]))
    given = tmp_path / "given.csv"
    write_annotations(given, Annotations([Annotation("images/a.png", POINTS + 2)]), format=FORMATS["csv"])
    np.testing.assert_allclose(read_folder(given)[0].points, POINTS + 2)
    for both in ([given, tmp_path / "images"], tmp_path / "images"):
        with pytest.raises(DataError, match=r"a\.png: has more than one annotation"):
            read_folder(both)


def test_a_copy_of_an_annotation_is_the_same_annotation(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    write_annotations(tmp_path / "one.json", records("a.png"), format=FORMATS["coco"])
    write_annotations(tmp_path / "copy" / "two.csv", records("../a.png"), format=FORMATS["csv"])
    np.testing.assert_allclose([sample.points for sample in read_folder(tmp_path)], [POINTS], atol=1e-4)


def test_missing_images_of_a_file_are_one_entry(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    write_annotations(tmp_path / "a.csv", records("gone.png", "a.png", "lost.png", "off.png"), format=FORMATS["csv"])
    found = read_folder(tmp_path, skip_bad=True)
    assert [str(one).endswith("(2 more of its 4 images aren't found either)") for one in found.bad] == [True]
    assert "gone.png" in found.bad[0].reason and found[0].points is not None


def test_a_file_about_other_images_names_no_landmarks(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    write_pts(tmp_path / "a.pts", POINTS)
    write_annotations(tmp_path / "old.csv", records("gone.png", "lost.png"), format=FORMATS["csv"])
    found = read_folder(tmp_path, skip_bad=True)
    assert found.layout.names is None and found.n_points == 3
    assert [one.path.name for one in found.bad] == ["old.csv"]


def test_files_without_names_beside_files_with_names_are_remarked(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    write_pts(tmp_path / "a.pts", POINTS)
    write_annotations(tmp_path / "b.csv", records("b.png"), format=FORMATS["csv"])
    (remark,) = read_folder(tmp_path).notes
    assert remark.startswith(f"{tmp_path / 'a.pts'} has no landmark names, {tmp_path / 'b.csv'} has: ")
    assert read_folder(tmp_path / "a.png").notes == []


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "images/../../secret.png", "..\\secret.png"])
def test_a_file_opens_nothing_outside_the_folders_given(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path, "secret.png", "given/a.png")
    monkeypatch.chdir(tmp_path / "given")
    (tmp_path / "given" / "a.csv").write_text(f"image,x0,y0,x1,y1,x2,y2\n{name},1,2,30,4,9,19\n")
    with pytest.raises(DataError, match="give the folder of the images together with this file"):
        read_folder(tmp_path / "given")
    if "hostname" not in name:
        assert len(read_folder([tmp_path / "given", tmp_path])) == 2  # asked for


def test_the_working_folder_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path, "photos/a.png")
    write_annotations(tmp_path / "out" / "a.csv", records("../photos/a.png"), format=FORMATS["csv"])
    monkeypatch.chdir(tmp_path)
    assert len(read_folder("out/a.csv")) == 1
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(DataError, match="outside the folders given"):
        read_folder("a.csv")


def test_names_cant_command_a_terminal(tmp_path: Path) -> None:
    name = "a\x1b[31m\nb.png"
    images(tmp_path, name)
    (tmp_path / "c.csv").write_text('image,x0,y0\n"a.png",1,2\n')
    (tmp_path / f"{name}.pts").write_text("damaged")
    for bad in read_folder(tmp_path, skip_bad=True).bad:
        assert "\x1b" not in str(bad) and "\n" not in str(bad)
    with pytest.raises(DataError) as error:
        read_folder(tmp_path / f"{name}.pts")
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("name", ["=1+2.png", "@sum(a).png", "-x.png", "+b.png", "'=c.png"])
def test_cells_are_no_formulas(tmp_path: Path, name: str) -> None:
    images(tmp_path, name)
    write_annotations(tmp_path / "a.csv", records(name), format=FORMATS["csv"])
    row = (tmp_path / "a.csv").read_text().splitlines()[1]
    assert row[0] == "'"
    assert [item.image for item in read_annotations(tmp_path / "a.csv").items] == [name]
