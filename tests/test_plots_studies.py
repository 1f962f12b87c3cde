"""Figures of the studies: what lies where on their axes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from brule.errors import DataError
from brule.plots import learning_curves_figure, sample_size_figure, sweep_figure, two_shapes_figure


def test_sizes_lie_on_two_logarithmic_axes() -> None:
    x = np.array([2.0, 8.0])
    figure = sample_size_figure({"W₂²": {2: [1.0, 3.0, 2.0], 8: [0.5]}}, {"law": (x, 4 / x)}, unit="%")
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    medians = axes.containers[0].lines[0]
    np.testing.assert_allclose(medians.get_xydata(), [[2, 2.0], [8, 0.5]])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "8"]
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"W₂²", "law"}


@pytest.mark.parametrize("errors", [{}, {"a": {}}, {"a": {2: []}}, {"a": {2: [0.0]}}, {"a": {2: [np.nan]}}])
def test_sizes_need_positive_errors(errors: dict[str, dict[int, list[float]]]) -> None:
    with pytest.raises(DataError, match="positive, finite"):
        sample_size_figure(errors)


def test_two_shapes_are_joined_index_by_index() -> None:
    first, second = np.array([[0, 0], [1, 1]]), np.array([[0, 0.5], [1, 0]])
    (axes,) = two_shapes_figure(first, second, names=("all", "ten")).axes
    joins = [line.get_xydata().tolist() for line in axes.lines[:2]]
    assert joins == [[[0, 0], [0, 0.5]], [[1, 1], [1, 0]]]
    with pytest.raises(DataError, match="as many landmarks, got 2 and 1"):
        two_shapes_figure(first, second[:1], names=("a", "b"))


def test_values_of_a_sweep_lie_on_a_logarithmic_axis_zero_at_its_left() -> None:
    (axes,) = sweep_figure({100.0: [9.0], 0.0: [30.0, 20.0], 1.0: [5.0, 7.0, 6.5]}, name="R_b", floor=19.0).axes
    assert axes.get_xscale() == "log"
    line = next(line for line in axes.lines if line.get_linewidth() == 2)
    x, y = line.get_xydata().T
    assert y.tolist() == [25.0, 6.5, 9.0]  # medians, by value
    assert 0 < x[0] < x[1] == 1
    assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "0", "1"]


@pytest.mark.parametrize("values", [["softmax", "convolution"], [True, False], [-1.0, 1.0], [0.0]])
def test_values_without_a_logarithm_stand_side_by_side(values: list[float | str]) -> None:
    (axes,) = sweep_figure({value: [5.0] for value in values}, name="x").axes
    assert axes.get_xscale() == "linear"
    line = next(line for line in axes.lines if line.get_linewidth() == 2)
    assert line.get_xdata().tolist() == list(range(len(values)))


def test_learning_curves_show_the_median_of_the_runs() -> None:
    runs = [[(10, 8.0, 7.0), (20, 6.0, 5.0)], [(10, 9.0, 8.0), (20, 7.0, 3.0)], [(10, 20.0, 1.0)]]
    (axes,) = learning_curves_figure({"alone": runs, "with": runs[:1]}, parts=["held out", "learnt from"]).axes
    thick = [line.get_xydata().tolist() for line in axes.lines if line.get_linewidth() == 2]
    assert thick == [[[10, 9]], [[10, 7]], [[10, 8], [20, 6]], [[10, 7], [20, 5]]]  # iteration 10 is what all runs have
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["alone, held out", "alone, learnt from", "with, held out", "with, learnt from"]


def test_empty_curves_are_refused() -> None:
    for curves in ({}, {"alone": []}, {"alone": [[]]}):
        with pytest.raises(DataError, match="at least one"):
            learning_curves_figure(curves, parts=["held out"])
    with pytest.raises(DataError, match="at least one value"):
        sweep_figure({}, name="x")
