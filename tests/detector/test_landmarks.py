"""The result of a prediction: rows, single objects, tables and pictures of it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from brule.data import Sample, read_samples
from brule.detector import Landmarks
from brule.detector.landmarks import joined, nothing_found
from brule.errors import ConfigError, DataError

POINTS = torch.tensor([[[10.0, 20.0], [30.0, 20.0]], [[12.0, 5.0], [14.0, 9.0]], [[1.0, 2.0], [3.0, 4.0]]])


def landmarks(**changes: object) -> Landmarks:
    """Three objects in two images, two landmarks each; the second object is flagged."""
    content = {
        "points": POINTS,
        "image": torch.tensor([0, 1, 1]),
        "score": torch.tensor([0.9, 0.2, 0.7]),
        "flagged": torch.tensor([False, True, False]),
        "spread": torch.tensor([[1.0, 3.0], [2.0, 2.0], [4.0, 0.0]]),
        "uncertainty": torch.tensor([0.1, 0.9, 0.3]),
        "box": torch.tensor([[0.0, 0.0, 40.0, 40.0]] * 3),
        "angle": torch.zeros(3),
        "edges": ((0, 1),),
        "names": ("left", "right"),
    }
    return Landmarks(**(content | changes))  # type: ignore[arg-type]


def test_rows_are_objects() -> None:
    found = landmarks()
    assert len(found) == 3
    assert [one.image for one in found] == [0, 1, 1]
    assert torch.equal(found[-1].points, POINTS[2]) and found[-1].score == pytest.approx(0.7)
    assert found[1].flagged is True and found[0].found
    with pytest.raises(IndexError):
        found[3]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        ([2, 0], [2, 0]),
        ([True, False, True], [0, 2]),
        (np.array([False, True, False]), [1]),
        ([], []),
    ],
)
def test_slices_masks_and_lists_give_some_of_the_objects(rows: object, kept: list[int]) -> None:
    found = landmarks()[rows]  # type: ignore[call-overload]
    assert isinstance(found, Landmarks)
    assert torch.equal(found.points, POINTS[kept])
    assert found.names == ("left", "right") and found.edges == ((0, 1),)


def test_joining_the_parts_gives_the_whole() -> None:
    whole = landmarks()
    again = joined([whole[:1], whole[1:]])
    assert torch.equal(again.points, whole.points) and torch.equal(again.image, whole.image) and again.names == whole.names


def test_it_says_what_it_holds() -> None:
    assert repr(landmarks()) == "Landmarks(3 objects in 2 images, 2 landmarks each, 1 flagged)"
    assert repr(nothing_found([4], 68)) == "Landmarks(1 object, 68 landmarks each, 1 flagged, 1 not found)"
    assert repr(nothing_found([], 5)) == "Landmarks(0 objects, 5 landmarks each)"
    assert repr(landmarks()[1]) == "ObjectLandmarks(2 landmarks, image 1, box (0, 0, 40, 40), score 0.20, flagged)"
    assert repr(nothing_found([4], 68)[0]) == "ObjectLandmarks(image 4, nothing found)"


def test_a_notebook_shows_a_row_for_each_object() -> None:
    page = landmarks()._repr_html_()
    assert page.count("<tr>") == 1 + 3
    assert "<td>20, 20</td>" in page  # the centre of (10, 20) and (30, 20)
    assert "<td>–</td>" in nothing_found([0], 3)._repr_html_()


def test_a_wide_table_has_a_row_for_each_object() -> None:
    pytest.importorskip("pandas")
    table = landmarks().to_dataframe()
    assert list(table.columns) == ["image", "x0", "y0", "x1", "y1", "spread", "score", "flagged"]
    assert table.loc[1, ["x0", "y0", "x1", "y1"]].tolist() == [12.0, 5.0, 14.0, 9.0]
    assert table["spread"].tolist() == [2.0, 2.0, 2.0]  # the mean over the landmarks


def test_a_tidy_table_has_a_row_for_each_landmark() -> None:
    pytest.importorskip("pandas")
    table = landmarks().to_dataframe(tidy=True)
    assert len(table) == 6
    row = table[(table["object"] == 2) & (table["landmark"] == "right")].iloc[0]
    assert (row["image"], row["x"], row["y"], row["spread"]) == (1, 3.0, 4.0, 0.0)


def test_without_pandas_a_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pip install pandas"):
        landmarks().to_dataframe()


def test_a_picture_shows_each_landmark_in_its_place(tmp_path: Path) -> None:
    """A single image is enlarged to the tile: the landmark at (10, 20) of 40 pixels is at a quarter and at half."""
    black = np.zeros((40, 40, 3), np.uint8)
    Image.fromarray(black).save(tmp_path / "a.png")
    for image in (black, tmp_path / "a.png"):
        picture = np.asarray(landmarks(edges=())[:1].plot(image, tile=320)).astype(int)
        assert picture.shape == (320, 320, 3)
        y, x = 8 * 20.5, 8 * 10.5  # (0, 0) is the centre of the first pixel
        assert picture[int(y), int(x)].sum() > 150
        assert picture[int(y) + 40, int(x)].sum() == 0


def test_a_grid_shows_every_image_once() -> None:
    images = [np.zeros((40, 20, 3), np.uint8), np.zeros((30, 60, 3), np.uint8)]
    assert landmarks().plot(images, tile=100).size == (2 * 104 + 4, 104 + 4)
    with pytest.raises(DataError, match="all 2 images"):
        landmarks().plot(images[:1])
    with pytest.raises(DataError, match="there are none"):
        nothing_found([], 2).plot(images)


def two_images(folder: Path) -> list[Path]:
    paths = [folder / "images" / name for name in ("a.png", "b.png")]
    paths[0].parent.mkdir(parents=True)
    for path in paths:
        Image.new("RGB", (50, 40)).save(path)
    return paths


@pytest.mark.parametrize(("name", "format"), [("all.json", "coco"), ("all.tps", None), ("all.csv", "csv")])
def test_they_are_written_as_annotations_and_read_again(tmp_path: Path, name: str, format: str | None) -> None:
    paths = two_images(tmp_path)
    found = landmarks()
    found[~found.flagged].write(tmp_path / name, paths, format=format)
    samples = read_samples(tmp_path / name)
    assert [sample.path.resolve() for sample in samples] == [path.resolve() for path in paths]
    np.testing.assert_allclose([sample.points for sample in samples], POINTS[[0, 2]].numpy(), atol=1e-3)


def test_a_folder_of_files_one_an_image(tmp_path: Path) -> None:
    two_images(tmp_path)
    lost = landmarks()[[0, 2]].write(tmp_path / "points", tmp_path / "images", format="pts")
    assert sorted(path.name for path in (tmp_path / "points").iterdir()) == ["a.pts", "b.pts"]
    assert "the edges between landmarks" in lost or "the names of the landmarks" in lost


def test_objects_that_were_not_found_are_left_out(tmp_path: Path) -> None:
    paths = two_images(tmp_path)
    joined([landmarks()[:1], nothing_found([1], 2)]).write(tmp_path / "one.csv", paths, format="csv")
    assert [sample.path.name for sample in read_samples(tmp_path / "one.csv")] == ["a.png"]


@pytest.mark.parametrize(
    ("images", "message"),
    [(lambda paths: paths[:1], "expected all 2 images"), (lambda _: np.zeros((2, 8, 8, 3), np.uint8), "pictures in memory")],
)
def test_images_that_were_not_predicted_are_refused(tmp_path: Path, images, message: str) -> None:
    with pytest.raises(DataError, match=message):
        landmarks().write(tmp_path / "all.json", images(two_images(tmp_path)), format="coco")
    assert not (tmp_path / "all.json").exists()


def test_files_that_are_there_are_kept_unless_replaced(tmp_path: Path) -> None:
    paths = two_images(tmp_path)
    landmarks().write(tmp_path / "all.json", paths, format="coco")
    with pytest.raises(ConfigError, match="exists already"):
        landmarks().write(tmp_path / "all.json", paths, format="coco")
    landmarks().write(tmp_path / "all.json", paths, format="coco", force=True)


def test_files_whose_names_are_in_another_order_get_their_own_landmarks(tmp_path: Path) -> None:
    paths = two_images(tmp_path)[::-1]
    landmarks()[[0, 2]].write(tmp_path / "all.csv", paths, format="csv")
    read = {sample.path.name: sample.points for sample in read_samples(tmp_path / "all.csv")}
    np.testing.assert_allclose([read["b.png"], read["a.png"]], POINTS[[0, 2]].numpy(), atol=1e-3)


def test_two_objects_of_one_sample_file_stay_with_it(tmp_path: Path) -> None:
    first, second = two_images(tmp_path)
    samples = [Sample(first, box=(0, 0, 9, 9)), Sample(first, box=(9, 9, 20, 20)), Sample(second, spacing=(0.5, 0.5))]
    landmarks(image=torch.tensor([0, 0, 1])).write(tmp_path / "all.json", samples, format="coco")
    assert [sample.path.name for sample in read_samples(tmp_path / "all.json")] == ["a.png", "a.png", "b.png"]
