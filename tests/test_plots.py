"""Pictures: the dot lies where the landmark is, in the colour of its index; files are whole; no global state."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from brule.errors import BruleError, DataError, OutputError
from brule.plots import (
    barycenter_picture,
    draw_landmarks,
    index_colours,
    overlay_grid,
    preview_sheet,
    save_picture,
)
from brule.plots.svg import ced_chart

NAN = np.nan


def blank(height: int = 80, width: int = 100, value: int = 128) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def changed(picture: object, before: object) -> np.ndarray:
    """How much each pixel changed, (H, W)."""
    return np.abs(np.asarray(picture, dtype=float)[..., :3] - np.asarray(before, dtype=float)[..., :3]).sum(axis=2)


def centre_of(weights: np.ndarray) -> np.ndarray:
    y, x = np.indices(weights.shape)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


def nearest_colour_gap(picture: object, point: np.ndarray, colour: np.ndarray) -> float:
    """The smallest difference from a colour, in any channel, among the pixels within one pixel of a point."""
    pixels = np.asarray(picture, dtype=float)[..., :3]
    x, y = (int(v) for v in np.round(point))
    part = pixels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
    return float(np.abs(part - colour).max(axis=2).min())


# --- colours ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 68, 194])
def test_every_index_has_its_own_colour(n):
    colours = index_colours(n)
    assert colours.shape == (n, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == n


def test_near_indices_look_nearer_than_far_ones():
    colours = index_colours(68).astype(float)
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    # A sudden change of colour along the way would tell a lie about the order.
    assert 2 * steps.max() < np.linalg.norm(colours[:-20] - colours[20:], axis=1).min()


def test_no_colours_for_no_landmarks():
    assert index_colours(0).shape == (0, 3)


# --- dots on a picture -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [(20, 30), (20.3, 31.7), (50.5, 40.5)])
def test_a_dot_lies_on_its_landmark(point):
    drawn = draw_landmarks(blank(), [point], radius=3)
    assert centre_of(changed(drawn, blank())) == pytest.approx(point, abs=0.1)


def test_dots_have_the_colour_of_their_index():
    points = np.array([[10, 10], [50.4, 20.6], [90, 70], [5, 60]])
    for radius in (None, 2, 6):
        drawn = draw_landmarks(blank(), points, radius=radius)
        for point, colour in zip(points, index_colours(4), strict=True):
            assert nearest_colour_gap(drawn, point, colour) <= 1


def test_a_dot_has_a_dark_rim_and_ends_there():
    drawn = np.asarray(draw_landmarks(blank(), [(50, 40)], radius=5), dtype=float)
    assert drawn[40, 50 + 6].max() < 60
    assert (drawn[40, 50 + 10] == 128).all()


def test_dots_grow_with_the_image_and_shrink_in_a_crowd():
    def area(size: int, gap: float) -> float:
        image = blank(size, size)
        points = size / 2 + gap * np.array([[0, 0], [1, 0], [0, 1]])
        return float((changed(draw_landmarks(image, points), image) > 0).sum())

    assert area(800, 200) > 3 * area(200, 50)
    assert area(800, 6) < area(800, 200)


def test_the_image_that_was_given_is_left_alone():
    array, picture = blank(), Image.fromarray(blank())
    for image in (array, picture):
        drawn = draw_landmarks(image, [(5, 5)])
        assert drawn.size == (100, 80)
        assert drawn.mode == "RGB"
    assert (array == 128).all()
    assert (np.asarray(picture) == 128).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_other_kinds_of_image_are_drawn_on(mode):
    assert draw_landmarks(Image.new(mode, (30, 20)), [(5, 5)]).mode == "RGB"


def test_grey_arrays_are_drawn_on():
    assert draw_landmarks(blank()[..., 0], [(5, 5)]).size == (100, 80)


def test_points_that_are_missing_or_outside_leave_no_trace():
    points = [[NAN, NAN], [NAN, 3], [np.inf, 3], [-500, 40], [50, 1e30]]
    assert changed(draw_landmarks(blank(), points, edges=[(0, 1), (0, 3)]), blank()).sum() == 0
    assert changed(draw_landmarks(blank(), points[:4], numbers=True), blank()).sum() == 0
    assert changed(draw_landmarks(blank(), np.zeros((0, 2)), numbers=True), blank()).sum() == 0


def test_numbers_of_points_at_absurd_distances_are_left_out():
    assert changed(draw_landmarks(blank(), [[50, 1e30]], numbers=True), blank()).sum() == 0


def test_a_missing_point_keeps_the_colours_of_the_others():
    drawn = draw_landmarks(blank(), [[NAN, NAN], [50, 40], [80, 40]])
    assert nearest_colour_gap(drawn, np.array([50, 40]), index_colours(3)[1]) <= 1


def test_a_dot_on_the_border_is_cut_off():
    assert nearest_colour_gap(draw_landmarks(blank(), [(-0.5, -0.5)], radius=3), np.array([0, 0]), index_colours(1)[0]) <= 1


def test_edges_run_between_their_points():
    points = [(10, 10), (90, 10), (10, 70)]
    bare, joined = (draw_landmarks(blank(), points, edges=edges) for edges in (None, [(0, 1)]))
    difference = changed(joined, bare)
    assert (difference[10, 20:80] > 0).all()
    assert difference[30:].sum() == 0
    # Where it changed, not how much: the colour runs from one end's to the other's.
    assert centre_of(difference > 0) == pytest.approx((50, 10), abs=0.5)


def test_an_edge_between_equal_points_is_harmless():
    assert np.isfinite(np.asarray(draw_landmarks(blank(), [(10, 10), (10, 10)], edges=[(0, 1)]))).all()


def test_numbers_add_ink_beside_the_dots():
    points = [(30, 40), (70, 40)]
    bare, numbered = (draw_landmarks(blank(), points, numbers=on) for on in (False, True))
    x = np.flatnonzero(changed(numbered, bare).sum(axis=0))
    assert x.min() < 30  # away from each other: to the left of the left one
    assert x.max() > 70
    assert not ((x > 40) & (x < 60)).any()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((blank(), np.zeros((1, 4, 2))), {}, r"\(N, 2\), got the shape \(1, 4, 2\)"),
        ((blank().astype(float), [(1, 1)]), {}, "uint8, got .* float64"),
        ((blank(), [(1, 1)]), {"edges": [(0, 1)]}, "indices from 0 to 0"),
        ((blank(), [(1, 1)]), {"edges": [0, 0, 0]}, "pairs of indices"),
        ((blank(), [(1, 1)]), {"radius": 0}, "radius of a dot must be positive"),
    ],
)
def test_bad_drawings_are_refused(arguments, options, message):
    with pytest.raises(DataError, match=message):
        draw_landmarks(*arguments, **options)


# --- contact sheet ---------------------------------------------------------------------------------------------------


def test_preview_sheet_is_tiled_row_by_row():
    images = np.stack([blank(32, 32, value) for value in (40, 120, 200)])
    sheet = preview_sheet(images, np.full((3, 1, 2), NAN), columns=2)
    pixels = np.asarray(sheet)
    gap = (sheet.width - 2 * 192) // 3
    assert sheet.size == (2 * 192 + 3 * gap, 2 * 192 + 3 * gap)
    middles = [(gap + 96 + row * (192 + gap), gap + 96 + column * (192 + gap)) for row, column in ((0, 0), (0, 1), (1, 0))]
    assert [int(pixels[middle][0]) for middle in middles] == [40, 120, 200]


def test_preview_sheet_has_no_empty_columns_and_keeps_the_aspect():
    sheet = preview_sheet(np.zeros((2, 30, 60, 3), dtype=np.uint8), np.full((2, 1, 2), NAN), columns=6)
    gap = (sheet.width - 2 * 192) // 3
    assert sheet.size == (2 * 192 + 3 * gap, 96 + 2 * gap)


def test_a_dot_lands_on_what_is_painted_in_the_preview():
    """A 3 × 3 block around pixel (20, 40) of 64, and a landmark at that pixel's centre in the unit square."""
    painted, black = (np.zeros((1, 64, 64, 3), dtype=np.uint8) for _ in range(2))
    painted[0, 39:42, 19:22] = 255
    nothing, here = np.full((1, 1, 2), NAN), np.array([[[20.5, 40.5]]]) / 64
    empty = preview_sheet(black, nothing)
    painted_at = centre_of(changed(preview_sheet(painted, nothing), empty))
    assert centre_of(changed(preview_sheet(black, here), empty)) == pytest.approx(painted_at, abs=0.3)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_a_dot_lands_on_what_is_painted_in_the_grid():
    painted, black = (np.zeros((2, 64, 64, 3), dtype=np.uint8) for _ in range(2))
    painted[1, 39:42, 19:22] = 255
    nothing = np.full((2, 1, 2), NAN)
    here = nothing.copy()
    here[1] = np.array([20.5, 40.5]) / 64
    empty = overlay_grid(black, nothing, columns=2)
    painted_at = centre_of(changed(overlay_grid(painted, nothing, columns=2), empty))
    dot = overlay_grid(black, here, columns=2)
    assert painted_at[0] > empty.width / 2  # the second image is to the right of the first
    assert centre_of(changed(dot, empty)) == pytest.approx(painted_at, abs=1)
    assert nearest_colour_gap(dot, painted_at, index_colours(1)[0]) <= 6
    crossed = overlay_grid(black, nothing, truth=here, columns=2)
    assert centre_of(changed(crossed, empty)) == pytest.approx(painted_at, abs=1)
    assert nearest_colour_gap(crossed, painted_at, np.full(3, 255)) < 60


def test_grid_colours_show_the_index():
    images = np.full((1, 64, 64, 3), 128, dtype=np.uint8)
    points = np.array([[[0.2, 0.2], [0.8, 0.2], [0.5, 0.5], [0.2, 0.8], [0.8, 0.8]]])
    picture = overlay_grid(images, points, columns=1, tile=256)
    gap = (picture.width - 256) / 2
    for point, colour in zip(points[0], index_colours(5), strict=True):
        assert nearest_colour_gap(picture, 256 * point - 0.5 + gap, colour) <= 6


def test_names_are_above_their_images():
    images, points = np.zeros((5, 16, 24), dtype=np.uint8), np.random.default_rng(0).random((5, 4, 2))
    points[0, 1] = NAN
    names = ["short.png", "a_very_long_name_indeed_of_some_image_that_has_no_room.png", "c\udce9", "d", ""]
    without = overlay_grid(images, points, columns=3)
    named = overlay_grid(images, points, names=names, columns=3, edges=[(0, 1), (2, 3)])
    assert named.width == without.width and named.height > without.height
    band = np.asarray(named)[: (named.height - without.height) // 2].max(axis=2) > 200  # white letters
    third = named.width / 3
    counts = [band[:, round(i * third) : round((i + 1) * third)].sum() for i in range(3)]
    assert 0 < counts[0] < counts[1] and counts[2] > 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.zeros((2, 8, 8, 3)), np.zeros((2, 1, 2))), {}, "uint8"),
        ((np.zeros((0, 8, 8, 3), dtype=np.uint8), np.zeros((0, 1, 2))), {}, "at least one"),
        ((np.zeros((2, 8, 8, 3), dtype=np.uint8), np.zeros((3, 1, 2))), {}, r"expected points \(2, N, 2\)"),
        ((np.zeros((2, 8, 8, 3), dtype=np.uint8), np.zeros((2, 1, 2))), {"columns": 0}, "columns must be at least 1"),
    ],
)
@pytest.mark.parametrize("draw", [overlay_grid, preview_sheet])
def test_bad_batches_are_refused(draw, arguments, options, message):
    with pytest.raises(DataError, match=message):
        draw(*arguments, **options)


def test_grid_needs_a_name_for_each_image():
    with pytest.raises(DataError, match="1 names for 2 images"):
        overlay_grid(np.zeros((2, 8, 8, 3), dtype=np.uint8), np.zeros((2, 1, 2)), names=["a"])


def test_barycenter_picture():
    """Landmark 0 is at the upper left, in its colour; the sets are grey; y runs downwards."""
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]])
    picture = barycenter_picture(points, [points, [(0.25, 0.5)]], indices=False)
    pixels = np.asarray(picture).astype(int)
    found = []
    for colour in index_colours(3):
        y, x = np.nonzero(np.abs(pixels - colour).max(axis=2) <= 2)
        found.append((x.mean(), y.mean()))
    (left, top), (right, also_top), (middle, bottom) = found
    assert (
        left < middle < right and bottom - top == pytest.approx(right - left, abs=2) and also_top == pytest.approx(top, abs=1)
    )
    grey = (round(left + 0.25 * (right - left)), round(top + 0.5 * (bottom - top)))
    assert nearest_colour_gap(picture, np.array(grey), np.array([112, 120, 130])) <= 6
    numbered = barycenter_picture(points, [points, [(0.25, 0.5)]])
    assert changed(numbered, picture).max() > 0


# --- files and state -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".svg", ".SVG"])
def test_charts_are_saved_on_white_into_new_folders(tmp_path, suffix):
    path = save_picture(ced_chart({"a": [1.0]}), tmp_path / "new" / f"ced{suffix}")
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(path).getroot()
    first = root[0]
    assert (first.tag, first.get("fill")) == (f"{svg}rect", "#fff")
    assert root.get("viewBox") == " ".join(first.get(name, "") for name in ("x", "y", "width", "height"))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_pillow_images_are_saved(tmp_path):
    path = save_picture(draw_landmarks(blank(), [(5, 5)]), str(tmp_path / "a.png"))
    assert Image.open(path).size == (100, 80)


@pytest.mark.parametrize("name", ["picture", "picture.nonsense"])
def test_unknown_suffixes_are_refused(tmp_path, name):
    with pytest.raises(BruleError, match=r"such as picture\.png"):
        save_picture(Image.new("RGB", (4, 4)), tmp_path / name)
    with pytest.raises(BruleError, match=r"such as picture\.png"):
        save_picture(Image.new("RGB", (4, 4)), tmp_path / "image.svg")
    with pytest.raises(BruleError, match=r"such as chart\.svg"):
        save_picture(ced_chart({"a": [1.0]}), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = save_picture(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    old = path.read_bytes()
    broken = Image.new("RGB", (9, 9))

    def half_a_file(target):
        target.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(broken, "save", half_a_file)
    with pytest.raises(OutputError, match=r"a\.png: can't be written: disk full"):
        save_picture(broken, path)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
