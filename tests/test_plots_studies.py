"""Charts of the studies: what is where on their axes, and what is refused."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from brule.errors import DataError
from brule.plots.svg import ablation_chart, learning_curves_chart, sample_size_chart, sweep_chart, two_shapes_chart

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def text_places(svg: str, axis: str) -> dict[str, float]:
    """Where the ticks of an axis are: those of y are beside it, right-aligned, those of x centred."""
    anchor = {"x": "middle", "y": "end"}[axis]
    ticks = (one for one in ElementTree.fromstring(svg).iter(f"{SVG}text") if one.get("text-anchor") == anchor)
    return {one.text or "": float(one.get(axis, "nan")) for one in ticks}


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in ElementTree.fromstring(svg).iter(f"{SVG}circle")]


def thick_lines(svg: str) -> list[np.ndarray]:
    """The points of the lines that are drawn thickest: medians."""
    paths = [one for one in ElementTree.fromstring(svg).iter(f"{SVG}path") if one.get("stroke-width") == "2.2"]
    return [np.array(re.findall(r"-?[\d.]+", one.get("d", "")), dtype=float).reshape(-1, 2) for one in paths]


def test_bars_of_an_ablation_end_at_the_median() -> None:
    svg = ablation_chart({"full": [4.0, 6.0, 5.0], "without": [10.0]})
    bars = [one for one in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    ends = [float(bar.get("x", "")) + float(bar.get("width", "")) for bar in bars]
    x = [place for place, _ in circles(svg)]
    assert x[0] < x[2] < x[1]  # 4, the median 5, 6
    assert ends == pytest.approx([x[2], x[3]], abs=0.02)
    assert (x[3] - x[2]) == pytest.approx(5 * (x[2] - x[0]), abs=0.1)  # 10 − 5 and 5 − 4
    assert "5.00 %" in texts(svg)
    for wrong in ({}, {"a": []}, {"a": [np.nan]}):
        with pytest.raises(DataError, match="at least one variant"):
            ablation_chart(wrong)


def test_sizes_are_on_two_logarithmic_axes() -> None:
    svg = sample_size_chart({"W₂²": {2: [1.0, 3.0, 2.0], 8: [0.5], 4: [1.0]}}, {"law": ([2, 8], [2, 0.5])}, unit="%")
    two, four, eight = sorted(circles(svg))
    assert four[0] - two[0] == pytest.approx(eight[0] - four[0], abs=0.02)
    assert four[1] - two[1] == pytest.approx(eight[1] - four[1], abs=0.02)  # medians 2, 1, 0.5
    assert {"2", "4", "8", "W₂²", "law"} <= set(texts(svg))


@pytest.mark.parametrize("errors", [{}, {"a": {}}, {"a": {2: []}}, {"a": {2: [0.0]}}, {"a": {2: [np.nan]}}])
def test_sizes_need_positive_errors(errors: dict[str, dict[int, list[float]]]) -> None:
    with pytest.raises(DataError, match="positive, finite"):
        sample_size_chart(errors)


def test_two_shapes_are_joined_index_by_index() -> None:
    first, second = np.array([[0, 0], [1, 1]]), np.array([[0, 0.5], [1, 0]])
    svg = two_shapes_chart(first, second, names=("all", "ten"))
    joins = [one.get("d", "") for one in ElementTree.fromstring(svg).iter(f"{SVG}path")]
    ends = [np.array(re.findall(r"-?[\d.]+", path), dtype=float).reshape(2, 2) for path in joins]
    (a, b), (c, d) = ends
    assert b[1] - a[1] == pytest.approx(0.5 * (c[1] - a[1])) and d[1] == a[1] and b[0] == a[0] and c[0] == d[0]
    with pytest.raises(DataError, match="same number of landmarks, got 2 and 1"):
        two_shapes_chart(first, second[:1], names=("a", "b"))


def test_values_of_a_sweep_are_on_a_logarithmic_axis_zero_at_its_left() -> None:
    svg = sweep_chart({100.0: [9.0], 0.0: [30.0, 20.0], 1.0: [5.0, 7.0, 6.5], 10.0: [8.0]}, name="R_b", floor=19.0)
    x = text_places(svg, "x")
    assert x["0"] < x["1"] < x["10"] < x["100"]
    assert x["10"] - x["1"] == pytest.approx(x["100"] - x["10"], abs=0.02)
    (line,) = thick_lines(svg)
    assert line[:, 0] == pytest.approx([x[name] for name in ("0", "1", "10", "100")], abs=0.02)
    height = {value: text_places(svg, "y")[str(value)] - 4 for value in (0, 10)}  # a text's baseline is 4 below its middle
    assert line[:, 1] == pytest.approx([height[0] + (height[10] - height[0]) * y / 10 for y in (25.0, 6.5, 8.0, 9.0)], abs=0.05)
    assert "19.00 %" in texts(svg)


@pytest.mark.parametrize("values", [["softmax", "convolution", "mlp"], [True, False], [-1.0, 1.0], [0.0]])
def test_values_without_a_logarithm_are_side_by_side(values: list[float | str]) -> None:
    (line,) = thick_lines(sweep_chart({value: [5.0] for value in values}, name="x"))
    assert len(line) == len(values) and np.ptp(np.diff(line[:, 0])) < 0.02 if len(values) > 2 else True


def test_learning_curves_show_the_median_of_the_runs() -> None:
    runs = [[(10, 8.0, 7.0), (20, 6.0, 5.0)], [(10, 9.0, 8.0), (20, 7.0, 3.0)], [(10, 20.0, 1.0)]]
    svg = learning_curves_chart({"alone": runs, "with": runs[:1]}, parts=["held out", "learnt from"])
    y = text_places(svg, "y")
    unit = (y["0"] - y["20"]) / 20
    found = [((y["0"] - 4 - line[:, 1]) / unit).tolist() for line in thick_lines(svg)]
    expected = [[9], [7], [8, 6], [7, 5]]  # iteration 10 is what all runs have
    assert [len(one) for one in found] == [1, 1, 2, 2]
    assert np.concatenate(found) == pytest.approx(np.concatenate(expected), abs=0.05)
    assert {"alone, held out", "alone, learnt from", "with, held out", "with, learnt from"} <= set(texts(svg))


def test_empty_curves_are_refused() -> None:
    for curves in ({}, {"alone": []}, {"alone": [[]]}):
        with pytest.raises(DataError, match="at least one"):
            learning_curves_chart(curves, parts=["held out"])
    with pytest.raises(DataError, match="at least one value"):
        sweep_chart({}, name="x")


def test_long_names_of_variants_are_whole_on_two_lines() -> None:
    svg = ablation_chart({"full loss": [4.0], "without GAN and reconstruction": [5.0]})
    assert "…" not in svg and ">without GAN and<" in svg and ">reconstruction<" in svg
