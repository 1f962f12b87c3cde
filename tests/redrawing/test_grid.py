"""The grid of landmark sets and styles."""

from __future__ import annotations

import numpy as np
import pytest

from brule.errors import DataError
from brule.plots import index_colours
from brule.redrawing import style_grid

CENTRE = np.full((2, 1, 2), 0.5)
GAP = 2  # of tiles of 32 pixels


def coloured() -> np.ndarray:
    """Two rows and three columns of images, each of one colour of its own."""
    drawn = np.zeros((2, 3, 8, 8, 3), np.uint8)
    drawn[..., 0] = 40 * (1 + np.arange(2))[:, None, None, None]
    drawn[..., 1] = 60 * (1 + np.arange(3))[None, :, None, None]
    return drawn


def tile(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = GAP + row * (32 + GAP), GAP + column * (32 + GAP)
    return picture[top : top + 32, left : left + 32]


def test_every_image_has_its_place() -> None:
    picture = np.asarray(style_grid(coloured(), CENTRE, tile=32))
    assert picture.shape == (2 * 34 + GAP, 4 * 34 + GAP, 3)
    for row in range(2):
        for column in range(3):
            assert (tile(picture, row, 1 + column) == (40 * (1 + row), 60 * (1 + column), 0)).all()


def test_landmarks_lie_on_the_left_on_their_image_where_there_is_one() -> None:
    original = np.full((64, 64, 3), 200, np.uint8)
    points = np.array([[[0.25, 0.5]], [[0.75, 0.5]]])
    picture = np.asarray(style_grid(coloured(), points, originals=[original, None], tile=32)).astype(int)
    first, second = tile(picture, 0, 0), tile(picture, 1, 0)
    assert (first[:8] == 200).all() and (second[:8] < 80).all()
    for own, x in ((first, 7.5), (second, 23.5)):
        near = own[15:17, int(x) : int(x) + 2].reshape(-1, 3)
        assert np.abs(near - index_colours(1)[0]).max(axis=1).min() <= 6


def test_what_styles_were_read_off_stands_above_them() -> None:
    model = np.full((16, 16, 3), 222, np.uint8)
    picture = np.asarray(style_grid(coloured(), CENTRE, models=[None, model, None], tile=32))
    assert picture.shape[0] == 3 * 34 + GAP
    assert (tile(picture, 0, 2) == 222).all() and (tile(picture, 0, 1) < 80).all() and (tile(picture, 0, 0) < 80).all()
    assert (tile(picture, 1, 1) == (40, 60, 0)).all()
    assert style_grid(coloured(), CENTRE, models=[None] * 3, tile=32).height == 2 * 34 + GAP  # none given: no such row


@pytest.mark.parametrize(
    ("drawn", "points", "options", "message"),
    [
        (coloured()[0], CENTRE, {}, r"\(R, C, S, S, 3\)"),
        (coloured() / 255, CENTRE, {}, "uint8"),
        (coloured(), CENTRE[:1], {}, r"\(2, N, 2\)"),
        (coloured(), CENTRE, {"originals": [None]}, "originals: expected 2"),
        (coloured(), CENTRE, {"models": [None]}, "models: expected 3"),
        (coloured(), CENTRE, {"tile": 0}, "at least 1 pixel"),
    ],
)
def test_what_does_not_fit_is_refused(drawn, points, options, message) -> None:
    with pytest.raises(DataError, match=message):
        style_grid(drawn, points, **options)
