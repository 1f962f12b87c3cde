"""Charts as SVG: well-formed, without scripts and addresses, and true to their numbers."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from brule.errors import DataError
from brule.plots.svg import (
    ced_chart,
    confidence_chart,
    difference_chart,
    landmark_map,
    landmark_overlay,
    region_chart,
    risk_coverage_chart,
)
from brule.plots.svg.canvas import Canvas, Scale, nice_end, number, shortened, ticks

NAN = np.nan
FLAT = "{http://www.w3.org/2000/svg}"
ODD = "<b>&\"'"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def all_of(svg: str, tag: str, **attributes: str) -> list[ElementTree.Element]:
    return [one for one in parsed(svg).iter(FLAT + tag) if all(one.get(key) == value for key, value in attributes.items())]


def points_of(path: ElementTree.Element) -> np.ndarray:
    return np.array(re.findall(r"-?[\d.]+", path.get("d", "")), dtype=float).reshape(-1, 2)


def curves(svg: str) -> list[np.ndarray]:
    return [points_of(path) for path in all_of(svg, "path", fill="none")]


CHARTS = {
    "ced": lambda: ced_chart({ODD: [1, 2, 3], "b": [9]}, floors={ODD: [20, 30, 40]}),
    "risk": lambda: risk_coverage_chart([0.5, 1], [3, 4], [1, 4]),
    "regions": lambda: region_chart({ODD: (3, 2, 4), "none": (NAN, NAN, NAN)}, floors={ODD: 9, "none": NAN}),
    "differences": lambda: difference_chart({ODD: (-1, -2, 0.5), "b": (1, 0.5, 2)}),
    "map": lambda: landmark_map([[0, 0], [1, 1]], [3, NAN], lengths=[0.1, NAN], names=[ODD, "b"], edges=[[0, 1]]),
    "overlay": lambda: landmark_overlay([[0, 0], [1, 1]], [[0.5, 0.5], [NAN, NAN]]),
    "confidence": lambda: confidence_chart(np.arange(50), np.arange(50)),
}


@pytest.mark.parametrize("chart", CHARTS)
def test_charts_are_well_formed_and_need_nothing_else(chart: str) -> None:
    svg = CHARTS[chart]()
    root = parsed(svg)
    assert root.tag == f"{FLAT}svg" and len(root)
    assert "nan" not in svg.lower() and "<script" not in svg and "href" not in svg
    label = root.get("aria-label")
    assert (label and parsed(svg)[0].text == label and root.get("role") == "img") or root.get("aria-hidden") == "true"


def test_ced_curve_is_the_share() -> None:
    svg = ced_chart({"a": [1, 1, 3, 50]}, limits=(), end=4)
    (curve,) = curves(svg)
    height = curve[0, 1] - curve[-1, 1]  # from none to the share of errors up to 4
    left, right = curve[0, 0], curve[-1, 0]

    def share_at(error: float) -> float:
        row = np.argmin(np.abs(curve[:, 0] - (left + (right - left) * error / 4)))
        return 0.75 * (curve[0, 1] - curve[row, 1]) / height

    assert [share_at(e) for e in (0.5, 1.1, 2.9, 3.1, 4)] == pytest.approx([0, 0.5, 0.5, 0.75, 0.75], abs=1e-3)


def test_ced_states_means_and_breaks_the_lines_of_floors() -> None:
    svg = ced_chart({"mine": [1, 3]}, floors={"floor": [10, 20]})
    words = [one.text for one in all_of(svg, "text")]
    assert {"mine", "2.00 %", "floor", "15.00 %"} <= set(words)
    dashes = [path.get("stroke-dasharray") for path in all_of(svg, "path", fill="none")]
    assert sorted(d is None for d in dashes) == [False, True]


def test_region_bars_are_as_long_as_their_errors() -> None:
    svg = region_chart({"a": (4, 3, 5), "b": (2, 1, 3)}, floors={"a": 8})
    first, second = (float(bar.get("width", 0)) for bar in all_of(svg, "rect"))
    assert first == pytest.approx(2 * second, rel=1e-3)
    bar = all_of(svg, "rect")[0]
    (floor,) = [
        line
        for line in all_of(svg, "line", **{"stroke-width": "2.5"})
        if line.get("stroke-dasharray") and line.get("x1") == line.get("x2")
    ]
    assert float(floor.get("x1", 0)) - float(bar.get("x", 0)) == pytest.approx(2 * first, rel=1e-3)


def test_discs_of_the_map_are_true_to_scale() -> None:
    svg = landmark_map([[0.2, 0.2], [0.6, 0.2], [0.2, 0.8]], [10, 5, 1], lengths=[0.1, 0.05, 0.02])
    discs, dots = all_of(svg, "circle", **{"fill-opacity": "0.2"}), [c for c in all_of(svg, "circle") if len(c)]
    centres = np.array([[float(c.get("cx", 0)), float(c.get("cy", 0))] for c in dots])
    scale = (centres[1, 0] - centres[0, 0]) / 0.4
    assert (centres[2, 1] - centres[0, 1]) / 0.6 == pytest.approx(scale, rel=1e-3)  # the shape isn't stretched
    assert [float(c.get("r", 0)) / scale for c in discs] == pytest.approx([0.1, 0.05, 0.02], rel=0.01)
    assert [c[0].text for c in dots] == ["landmark 0: 10.00 %", "landmark 1: 5.00 %", "landmark 2: 1.00 %"]
    assert len({c.get("fill") for c in dots}) == 3


def test_overlay_lies_where_the_points_are() -> None:
    svg = landmark_overlay([[0.25, 0.5], [NAN, 0], [0.75, 0.1]], [[0.5, 0.5], [0.1, 0.1], [NAN, NAN]])
    dots = all_of(svg, "circle")
    assert parsed(svg).get("viewBox") == "0 0 100 100"
    assert [(c.get("cx"), c.get("cy")) for c in dots] == [("25", "50"), ("75", "10")]
    (gap,) = all_of(svg, "path", **{"class": "gap"})
    assert points_of(gap).tolist() == [[50, 50], [25, 50]]  # the only landmark that both have
    crosses = points_of(all_of(svg, "path", **{"class": "truth"})[0]).reshape(2, 4, 2)
    assert crosses.mean(axis=1).tolist() == pytest.approx(np.array([[50, 50], [10, 10]]))


def test_many_images_are_thinned_and_it_is_said() -> None:
    svg = confidence_chart(np.arange(4000), np.arange(4000))
    assert len(all_of(svg, "circle")) == 1500 and "1500 of 4000 images" in svg
    assert len(all_of(confidence_chart([1, 2], [3, 4]), "circle")) == 2


def test_whiskers_that_hold_zero_are_grey() -> None:
    certain, open_ = (all_of(difference_chart({"a": one}), "circle")[0].get("fill") for one in ((1, 0.5, 2), (1, -0.5, 2)))
    assert "series" in str(certain) and "floor" in str(open_)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (3, 3, [3])],
)
def test_ticks(low, high, expected) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_axes_end_on_a_tick_at_or_above() -> None:
    for value in (0.013, 1, 7.2, 99, 101, 1234.5):
        end = nice_end(value)
        assert value <= end <= 1.5 * value and end == pytest.approx(ticks(0, end)[-1])
    assert nice_end(0) == nice_end(NAN) == 1


def test_words() -> None:
    assert (number(-0.5), number(10.0)) == ("−0.5", "10")
    assert shortened("x" * 50, 10) == "xxxxx…xxxx" and shortened("short", 10) == "short"
    assert Scale(0, 10, 100, 0).at(2.5) == 75
    canvas = Canvas(1, 1, ODD)
    canvas.text(0, 0, ODD)
    assert parsed(canvas.svg())[1].text == ODD


@pytest.mark.parametrize(
    "draw",
    [
        lambda: ced_chart({}),
        lambda: ced_chart({"a": []}),
        lambda: ced_chart({"a": [NAN]}),
        lambda: risk_coverage_chart([1], [NAN], [1]),
        lambda: region_chart({}),
        lambda: difference_chart({}),
        lambda: landmark_map([[0, 0]], [1, 2]),
        lambda: landmark_map([[0, 0]], [1], edges=[[0, 1]]),
        lambda: landmark_overlay([[0, 0]], [[0, 0], [1, 1]]),
        lambda: confidence_chart([1], [1, 2]),
        lambda: confidence_chart([], []),
    ],
)
def test_bad_numbers_are_refused(draw) -> None:
    with pytest.raises(DataError):
        draw()
