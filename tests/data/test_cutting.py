"""Squares cut out of images at any place and angle: what is at a point of the turned square is there in the result."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from brule.data.cutting import Picture
from brule.errors import ConfigError

SQUARE = (60.0, 45.0, 40.0)  # centre and side, pixels
BOX = (SQUARE[0] - 20, SQUARE[1] - 20, SQUARE[0] + 20, SQUARE[1] + 20)


def dotted(x: float, y: float, size: tuple[int, int] = (128, 96)) -> np.ndarray:
    """A black image with a soft white dot at a place, in pixels."""
    rows, columns = np.indices(size[::-1])
    dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.5**2))
    return np.repeat(np.rint(255 * dot)[..., None], 3, axis=2).astype(np.uint8)


def brightest(crop: np.ndarray) -> np.ndarray:
    """The centre of mass of a crop's light, in its unit square."""
    grey = crop[..., 0].astype(float)
    rows, columns = np.indices(grey.shape)
    return np.array([(grey * (at + 0.5)).sum() / grey.sum() for at in (columns, rows)]) / len(grey)


def in_image(u: float, v: float, degrees: float) -> tuple[float, float]:
    """Where a point of the unit square lies in the image once the square is turned clockwise on the screen, y down."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    right, down = (u - 0.5) * SQUARE[2], (v - 0.5) * SQUARE[2]
    return SQUARE[0] + c * right - s * down, SQUARE[1] + s * right + c * down


@pytest.mark.parametrize("degrees", [0.0, 20.0, -75.0, 90.0, 180.0, 211.0])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.25, 0.3), (0.8, 0.4)])
def test_a_dot_comes_out_where_the_turned_square_has_it(degrees: float, place: tuple[float, float]) -> None:
    picture = Image.fromarray(dotted(*in_image(*place, degrees)))
    crop = Picture(picture, picture.size).cut(BOX, 80, degrees)
    assert crop.shape == (80, 80, 3)
    np.testing.assert_allclose(brightest(crop), place, atol=0.01)  # 0.4 pixels of the image


def test_a_quarter_turn_clockwise_shows_the_upper_edge_on_the_right() -> None:
    """By hand: the object's own top is on the right of the image, so the crop's top row is the square's right column."""
    pixels = np.zeros((96, 128, 3), np.uint8)
    pixels[:, 70:] = 200
    crop = Picture(Image.fromarray(pixels), (128, 96)).cut(BOX, 40, 90.0)
    assert (crop[:8] > 190).all() and (crop[-28:] < 10).all()


def test_no_angle_and_a_full_turn_are_the_same() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((128, 96), Image.Resampling.BICUBIC)
    upright, turned = (Picture(picture, picture.size).cut(BOX, 64, angle).astype(int) for angle in (0.0, 360.0))
    assert np.abs(upright - turned).mean() < 1


def test_an_image_decoded_at_half_its_size_gives_the_same_place() -> None:
    x, y = in_image(0.3, 0.6, 35.0)
    half = Image.fromarray(dotted(x, y)).resize((64, 48), Image.Resampling.BOX)
    np.testing.assert_allclose(brightest(Picture(half, (128, 96), 2.0).cut(BOX, 80, 35.0)), (0.3, 0.6), atol=0.01)


def test_outside_the_image_its_edge_is_repeated() -> None:
    white = Image.new("RGB", (30, 30), (250, 250, 250))
    crop = Picture(white, (30, 30)).cut((-40.0, -40.0, 20.0, 20.0), 32, 45.0)
    assert (crop > 240).all()


def test_a_crop_has_at_least_a_pixel() -> None:
    picture = Image.new("RGB", (30, 30))
    for angle in (0.0, 30.0):
        with pytest.raises(ConfigError, match="at least 1 pixel"):
            Picture(picture, (30, 30)).cut(BOX, 0, angle)
