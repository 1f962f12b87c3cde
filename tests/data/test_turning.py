"""Photographs that EXIF data turns, and annotations of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import Annotation, load_image
from brule.data.images import image_header, image_size
from brule.data.turning import TURNED, UNSURE, as_upright, turn_points

WIDTH, HEIGHT = 30, 20


def photograph(path: Path, orientation: int) -> tuple[int, int]:
    """A picture whose stored pixel (24, 3) is white, all others black; returns its place in the stored picture."""
    image = Image.new("L", (WIDTH, HEIGHT))
    image.putpixel((24, 3), 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif.tobytes())
    return 24, 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_point_stays_on_its_pixel(tmp_path: Path, orientation: int) -> None:
    place = photograph(tmp_path / "a.png", orientation)
    upright = np.asarray(load_image(tmp_path / "a.png").convert("L"))
    y, x = np.argwhere(upright == 255)[0]
    assert image_header(tmp_path / "a.png").orientation == orientation
    turned = turn_points(np.array([place], dtype=np.float32), image_size(tmp_path / "a.png"), orientation)
    np.testing.assert_array_equal(turned, [(x, y)])


def label(points: list[tuple[float, float]], size: tuple[int, int] | None, *, upwards: bool = False) -> Annotation:
    return Annotation("a.jpg", np.array(points, dtype=np.float32), size=size, upwards=upwards)


def test_the_stated_size_decides() -> None:
    found = as_upright(label([(24, 3)], (30, 20)), (20, 30), 6)
    assert found.remark == TURNED and found.annotation.size == (20, 30)
    np.testing.assert_array_equal(found.annotation.points, [(16, 24)])  # 20 - 1 - 3, 24
    assert as_upright(label([(3, 24)], (20, 30)), (20, 30), 6).remark == ""


def test_points_that_only_fit_into_the_stored_picture_decide() -> None:
    found = as_upright(label([(24, 3), (1, 19)], None), (20, 30), 8)
    assert found.remark == TURNED
    np.testing.assert_array_equal(found.annotation.points, [(3, 5), (19, 28)])  # y, 30 - 1 - x
    assert as_upright(label([(12, 3)], None), (20, 30), 8).remark == UNSURE


def test_what_was_counted_upwards_is_counted_from_the_stored_edge() -> None:
    # y = 3 in the stored picture, 20 high, is 16.5 from its lower edge; in the upright one, 30 high, that is read as 13.
    found = as_upright(label([(24, 13)], (20, 30), upwards=True), (20, 30), 6)
    assert found.remark == TURNED
    np.testing.assert_array_equal(found.annotation.points, [(16, 24)])


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_size_does_not_show_what_keeps_it(orientation: int) -> None:
    assert as_upright(label([(5, 5)], (30, 20)), (30, 20), orientation).remark == UNSURE
    assert as_upright(label([(5, 5)], (25, 20)), (30, 20), orientation).remark == ""  # another image altogether


def test_boxes_turn_along() -> None:
    found = as_upright(Annotation("a.jpg", None, (1.5, 2, 20, 10), (30, 20)), (20, 30), 6)
    assert found.annotation.box == (9, 1.5, 17, 20)
