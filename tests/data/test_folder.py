"""The laws of folders: everything is found once, and whatever is wrong is reported by name or listed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data.discovery import find_images
from brule.data.folder import read_folder
from brule.data.formats import write_pts
from brule.errors import DataError

FACE = np.array([[10.0, 12.0], [30.0, 12.0], [20.0, 35.0]])


def add(path: Path, points: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (48, 40), "grey").save(path)
    if points is not None:
        write_pts(path.with_suffix(".pts"), points)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three labelled images, one without label."""
    folder = tmp_path / "faces"
    for name in ("a.jpg", "deep/er/b.PNG", "mit Leerzeichen und Ümläut 顔.jpeg"):
        add(folder / name, FACE)
    add(folder / "bare.jpg")
    return folder


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_finds_everything_once_and_sorted(folder: Path) -> None:
    (folder / "notes.txt").write_text("no image")
    for hidden in (".a.jpg", ".git/b.jpg", "__MACOSX/c.jpg", "__MACOSX/._a.jpg"):
        add(folder / hidden)
    found = find_images(folder)
    assert found == sorted(found) and len(found) == 4
    assert find_images([folder, folder / "deep", folder / "a.jpg", str(folder / "**/*.jp*g")]) == found
    assert names(find_images(str(folder / "*.jpg"))) == ["a.jpg", "bare.jpg"]
    assert names(find_images(folder / "d*")) == ["b.PNG"]


def test_a_name_with_glob_signs_is_a_name_if_it_exists(tmp_path: Path) -> None:
    assert names(find_images([add(tmp_path / "what[1]?.jpg")])) == ["what[1]?.jpg"]


def test_a_hidden_folder_may_be_asked_for(tmp_path: Path) -> None:
    add(tmp_path / ".hidden" / "a.jpg")
    assert names(find_images(tmp_path / ".hidden")) == ["a.jpg"]


def test_links_are_followed_and_loops_survived(folder: Path, tmp_path: Path) -> None:
    elsewhere = add(tmp_path / "elsewhere" / "far.jpg", FACE).parent
    (folder / "link").symlink_to(elsewhere)
    (folder / "loop").symlink_to(folder)
    (folder / "deep" / "up").symlink_to(folder.parent)
    (folder / "self").symlink_to("self")
    assert sorted(names(find_images(folder))) == sorted(
        [
            *names(find_images(folder / "deep" / "er")),
            *(["a.jpg", "bare.jpg", "far.jpg", "mit Leerzeichen und Ümläut 顔.jpeg"]),
        ]
    )


@pytest.mark.parametrize("path", ["nowhere", "nowhere/*.jpg", "empty"])
def test_nothing_there_is_an_error_with_the_path(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    for read in (find_images, read_folder):
        with pytest.raises(DataError, match="(?s)" + path.replace("*", r"\*")):
            read(tmp_path / path)
    with pytest.raises(DataError, match="no path given"):
        find_images([])


def test_mixed_folder(folder: Path) -> None:
    everything = read_folder(folder)
    assert [sample.points is not None for sample in everything] == [True, False, True, True]
    assert everything.n_points == 3 and everything.bad == []
    np.testing.assert_allclose(everything[0].points, FACE, atol=1e-5)
    labelled = read_folder(folder, require_points=True)
    assert [sample.path for sample in labelled] == [sample.path for sample in everything if sample.points is not None]
    assert names([bad.path for bad in labelled.bad]) == ["bare.jpg"]
    assert all(sample.points is None for sample in read_folder(folder, annotations=False))


def test_labels_required_but_none(tmp_path: Path) -> None:
    add(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="no labelled image"):
        read_folder(tmp_path, require_points=True)


def test_single_files_and_globs_find_the_annotation_beside(folder: Path) -> None:
    assert read_folder(folder / "a.jpg")[0].points is not None
    assert len(read_folder(str(folder / "*.jpg"), require_points=True)) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jpg")
    assert len(find_images(folder)) == 4


def test_what_a_shell_makes_of_a_star_is_the_folder(folder: Path) -> None:
    listed = list(folder.rglob("*.*"))
    assert find_images(listed) == find_images(folder)
    assert len(read_folder(listed, require_points=True)) == 3


def test_names_in_either_unicode_form_belong_together(tmp_path: Path) -> None:
    add(tmp_path / (unicodedata.normalize("NFC", "é") + ".jpg"))
    write_pts(tmp_path / (unicodedata.normalize("NFD", "é") + ".pts"), FACE)
    assert read_folder(tmp_path)[0].points is not None


def two_images(folder: Path) -> None:
    add(folder / "bad.jpg", FACE)
    add(folder / "bad.png")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "image empty": (lambda d: (d / "bad.jpg").touch(), r"bad\.jpg: .*empty"),
    "image is text": (lambda d: (d / "bad.jpg").write_text("hello"), r"bad\.jpg: not an image"),
    "image link leads nowhere": (lambda d: (d / "bad.jpg").symlink_to("none"), r"bad\.jpg: .*no such file"),
    "annotation without image": (lambda d: write_pts(d / "bad.pts", FACE), r"bad\.pts: .*no image"),
    "wrong count": (lambda d: add(d / "bad.jpg", FACE[:2]), r"bad\.jpg: .*2 points.*3 of the 4.*3"),
    "far outside": (lambda d: add(d / "bad.jpg", FACE * [5, 1]), r"bad\.pts: point 2 at \(150\.0, 12\.0\).*48 × 40"),
    "far outside, above": (lambda d: add(d / "bad.jpg", FACE - [0, 60]), r"bad\.pts: point 1"),
    "fractions": (lambda d: add(d / "bad.jpg", FACE / 50), r"bad\.pts: .*one pixel"),
    "one place": (lambda d: add(d / "bad.jpg", FACE * 0), r"bad\.pts: .*one place"),
    "two images": (two_images, r"bad\.pts: .*bad\.jpg, bad\.png"),
    "two annotations": (
        lambda d: (add(d / "bad.jpg", FACE), write_pts(d / "bad.PTS", FACE + 1)),
        r"bad\.jpg: .*bad\.PTS, bad\.pts",
    ),
    "NaN": (
        lambda d: (add(d / "bad.jpg"), (d / "bad.pts").write_text("n_points: 1\n{\nnan 3\n}")),
        r"bad\.pts: .*finite",
    ),
    "truncated": (
        lambda d: (add(d / "bad.jpg"), (d / "bad.pts").write_text("n_points: 1\n{\n3 3\n")),
        r"bad\.pts: .*truncated",
    ),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES)
def test_bad_files_raise_by_name_or_are_left_out_and_listed(folder: Path, damage: Callable[[Path], object], says: str) -> None:
    good = [sample.path for sample in read_folder(folder)]
    damage(folder)
    with pytest.raises(DataError, match=f"(?s){says}.*--skip-bad"):
        read_folder(folder)
    samples = read_folder(folder, skip_bad=True)
    assert [sample.path for sample in samples] == good
    assert len(samples.bad) == 1 and samples.bad[0].path.stem == "bad"


def test_a_little_outside_is_normal(tmp_path: Path) -> None:
    add(tmp_path / "a.jpg", FACE - [40, 30])
    assert len(read_folder(tmp_path)) == 1


def test_two_images_of_one_name_without_annotation_are_two_images(tmp_path: Path) -> None:
    add(tmp_path / "a.jpg")
    add(tmp_path / "a.png")
    assert len(read_folder(tmp_path)) == 2


def test_nothing_left_is_an_error_also_when_bad_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match=r"none of the 1 images.*a\.jpg: .*empty"):
        read_folder(tmp_path, skip_bad=True)
    two_images(tmp_path)
    with pytest.raises(DataError, match=r"no labelled image.*a\.jpg|bad"):
        read_folder(tmp_path, skip_bad=True, require_points=True)


def test_images_without_annotation_need_not_be_opened(folder: Path) -> None:
    """What is no image is found when it is decoded; of annotated images the header is read all the same."""
    add(folder / "labelled.jpg", FACE)
    for name in ("bare.jpg", "labelled.jpg"):
        (folder / name).write_bytes(b"")
    read = read_folder(folder, check_images=False, skip_bad=True)
    assert "bare.jpg" in names([sample.path for sample in read])
    assert names([bad.path for bad in read.bad]) == ["labelled.jpg"]
    assert names([bad.path for bad in read_folder(folder, skip_bad=True).bad]) == ["bare.jpg", "labelled.jpg"]


@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "s3://bucket/photos", "HTTP://example.org/*.png"])
def test_an_address_is_called_one(address: str) -> None:
    with pytest.raises(DataError, match="address; download it first"):
        find_images(address)
