"""Pictures: the dot lies where the landmark is, in the colour of its index; files are whole; no global state."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from brule.errors import BruleError, DataError, OutputError
from brule.plots import (
    barycenter_figure,
    ced_figure,
    draw_landmarks,
    index_colours,
    loss_curves,
    overlay_grid,
    preview_sheet,
    save_figure,
    training_curve,
)

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


def render(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


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
    seen = centre_of(changed(preview_sheet(painted, nothing), empty))
    assert centre_of(changed(preview_sheet(black, here), empty)) == pytest.approx(seen, abs=0.3)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_a_dot_lands_on_what_is_painted_in_the_grid():
    painted, black = (np.zeros((2, 64, 64, 3), dtype=np.uint8) for _ in range(2))
    painted[1, 39:42, 19:22] = 255
    nothing = np.full((2, 1, 2), NAN)
    here = nothing.copy()
    here[1] = np.array([20.5, 40.5]) / 64
    empty = render(overlay_grid(black, nothing, columns=2))
    seen = centre_of(changed(render(overlay_grid(painted, nothing, columns=2)), empty))
    dot = render(overlay_grid(black, here, columns=2))
    assert seen[0] > empty.shape[1] / 2  # the second image stands to the right of the first
    assert centre_of(changed(dot, empty)) == pytest.approx(seen, abs=1)
    assert nearest_colour_gap(dot, seen, index_colours(1)[0]) <= 6
    crossed = render(overlay_grid(black, nothing, truth=here, columns=2))
    assert centre_of(changed(crossed, empty)) == pytest.approx(seen, abs=1)
    assert nearest_colour_gap(crossed, seen, np.full(3, 255)) < 60


def test_grid_colours_tell_the_index():
    images = np.full((1, 64, 64, 3), 128, dtype=np.uint8)
    points = np.array([[[0.2, 0.2], [0.8, 0.2], [0.5, 0.5], [0.2, 0.8], [0.8, 0.8]]])
    figure = overlay_grid(images, points, columns=1)
    pixels = render(figure)
    for point, colour in zip(points[0], index_colours(5), strict=True):
        x, y = figure.axes[0].transData.transform(64 * point - 0.5)
        assert nearest_colour_gap(pixels, np.array([x, pixels.shape[0] - 1 - y]), colour) <= 6


def test_grid_options():
    images, points = np.zeros((5, 16, 24), dtype=np.uint8), np.random.default_rng(0).random((5, 4, 2))
    points[0, 1] = NAN
    names = ["short.png", "a_very_long_name_indeed_of_some_image.png", "c", "d", "e"]
    figure = overlay_grid(images, points, names=names, columns=3, edges=[(0, 1), (2, 3)], indices=True)
    render(figure)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "short.png"
    assert len(titles[1]) <= 26
    assert (titles[1][:6], titles[1][-4:]) == ("a_very", ".png")
    assert [len(axes.texts) for axes in figure.axes] == [3, 4, 4, 4, 4]  # a missing point has no number


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


def test_barycenter_figure():
    points = np.random.default_rng(0).random((7, 2))
    figure = barycenter_figure(points, [points + 0.01, points[:5]])
    render(figure)
    axes = figure.axes[0]
    assert axes.yaxis_inverted()  # y runs downwards, as in an image
    assert [text.get_text() for text in axes.texts] == [str(i) for i in range(7)]
    assert axes.collections[-1].get_offsets().data == pytest.approx(points)
    assert np.round(255 * axes.collections[-1].get_facecolors()[:, :3]) == pytest.approx(index_colours(7))
    assert "2 annotated sets" in figure.texts[0].get_text()
    assert not barycenter_figure(points, [points], indices=False).axes[0].texts


def test_ced_figure_draws_the_exact_steps():
    figure = ced_figure({"ours": [4, 2, 30, 4], "floor": [20.0]}, limit=10)
    render(figure)
    ours, floor = figure.axes[0].lines
    grid = np.array([0, 1.99, 2, 3.99, 4, 9.9])
    steps = np.searchsorted(ours.get_xdata(), grid, side="right") - 1
    assert ours.get_drawstyle() == "steps-post"
    assert ours.get_ydata()[steps] == pytest.approx([0, 0, 0.25, 0.25, 0.75, 0.75])
    assert floor.get_ydata()[0] == 0
    assert figure.axes[0].get_xlim() == (0, 10)
    assert "mean 10.00 %" in figure.axes[0].get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize("errors", [{}, {"a": []}, {"a": [1, NAN]}])
def test_ced_figure_refuses(errors):
    with pytest.raises(DataError):
        ced_figure(errors)


def test_loss_curves_have_a_panel_for_each_key():
    records = [{"iteration": 10 * i, "loss": 3.0, "name": "x", "ok": True} for i in range(200)]
    records[3]["loss"] = NAN
    records[5]["nme"] = 7.0
    figure = loss_curves(records)
    render(figure)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "nme"]
    smooth = figure.axes[0].lines[-1]
    assert smooth.get_ydata() == pytest.approx(np.full(199, 3.0))  # a running mean leaves a constant as it is, ends too
    assert smooth.get_xdata()[-1] == 1990
    assert len(loss_curves(records, ["nme"]).axes) == 1


def test_loss_curves_count_rows_without_a_step():
    assert loss_curves([{"a": 1}, {"a": 2}]).axes[0].lines[-1].get_xdata() == pytest.approx([0, 1])


def test_loss_curves_refuse_an_unknown_key():
    with pytest.raises(DataError, match="no numbers for R_x"):
        loss_curves([{"iteration": 1, "loss": 2}], ["loss", "R_x"])
    with pytest.raises(DataError, match="any key"):
        loss_curves([])


def test_training_curve_marks_the_best_and_the_floor():
    records = [
        {"iteration": 0, "nme": 17.0},
        {"iteration": 5, "loss": 1.0},
        {"iteration": 10, "nme": 7.25},
        {"iteration": 20, "nme": 8.0},
    ]
    figure = training_curve(records, floor=18.0)
    render(figure)
    curve, best, floor = figure.axes[0].lines
    assert (list(curve.get_xdata()), list(curve.get_ydata())) == ([0, 10, 20], [17, 7.25, 8])
    assert (float(best.get_xdata()[0]), float(best.get_ydata()[0])) == (10, 7.25)
    assert floor.get_ydata()[0] == 18
    assert figure.axes[0].get_ylim()[0] == 0
    with pytest.raises(DataError, match="no numbers for w1"):
        training_curve(records, "w1")


# --- files and state -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".svg", ".pdf"])
def test_figures_are_saved_into_new_folders(tmp_path, suffix):
    path = save_figure(ced_figure({"a": [1.0]}), tmp_path / "new" / f"ced{suffix}")
    assert path.stat().st_size > 1000
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_pillow_images_are_saved(tmp_path):
    path = save_figure(draw_landmarks(blank(), [(5, 5)]), str(tmp_path / "a.png"))
    assert Image.open(path).size == (100, 80)


@pytest.mark.parametrize("name", ["picture", "picture.nonsense"])
@pytest.mark.parametrize("make", [lambda: ced_figure({"a": [1.0]}), lambda: Image.new("RGB", (4, 4))])
def test_unknown_suffixes_are_refused(tmp_path, name, make):
    with pytest.raises(BruleError, match=r"such as picture\.png"):
        save_figure(make(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = save_figure(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    old = path.read_bytes()
    broken = Image.new("RGB", (9, 9))

    def half_a_file(target):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(broken, "save", half_a_file)
    with pytest.raises(OutputError, match=r"a\.png: can't be written: disk full"):
        save_figure(broken, path)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_missing_matplotlib_is_said_in_plain_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BruleError, match=r"pip install 'brule\[plot\]'"):
        ced_figure({"a": [1.0]})


def test_overlays_need_no_matplotlib_and_figures_no_pyplot():
    """In a process of its own, because another test may have imported either."""
    script = """
import sys, numpy as np
from brule import plots
images, points = np.zeros((2, 16, 16, 3), dtype=np.uint8), np.full((2, 3, 2), 0.5)
plots.draw_landmarks(images[0], 16 * points[0], numbers=True)
plots.preview_sheet(images, points)
assert "matplotlib" not in sys.modules, "matplotlib came with an overlay"
import matplotlib
before = matplotlib.rcParams.copy()  # dict(…) would import pyplot itself, to find the backend
rows = [{"iteration": i, "nme": 9.0 - i} for i in range(3)]
for figure in (plots.overlay_grid(images, points, truth=points, indices=True, edges=[(0, 1)]),
               plots.barycenter_figure(points[0], [points[0]]), plots.ced_figure({"a": [1.0]}),
               plots.loss_curves(rows), plots.training_curve(rows, floor=9.0)):
    figure.canvas.draw()
assert "matplotlib.pyplot" not in sys.modules, "pyplot was imported"
assert matplotlib.rcParams.copy() == before, "rcParams were changed"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
