"""Bootstrap intervals: laws, and the limit that theory knows."""

from __future__ import annotations

import numpy as np
import pytest

from brule.errors import DataError
from brule.evaluation import bootstrap_interval, cumulative_error_distribution, estimate, mean_estimates
from brule.evaluation.intervals import ced_band

NAN = np.nan


def test_bootstrap_agrees_with_the_central_limit_theorem():
    values = np.random.default_rng(1).normal(5, 2, 1000)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_bootstrap_laws():
    values = np.random.default_rng(2).gamma(3, size=50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    low, high = bootstrap_interval(values, confidence=0.8)
    wider = bootstrap_interval(values, confidence=0.99)
    assert wider[0] < low < values.mean() < high < wider[1]
    assert bootstrap_interval([4.0, 4.0, 4.0]) == bootstrap_interval([4.0]) == (4, 4)


def test_images_stay_whole():
    values = np.random.default_rng(0).gamma(2, size=40)
    one, mirrored, moved = mean_estimates(np.stack([values, -values, values + 3], axis=1))
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx((-one.value, -one.high, -one.low))
    assert (moved.value, moved.low, moved.high) == pytest.approx((one.value + 3, one.low + 3, one.high + 3))


def test_missing_values_take_no_part():
    values = np.array([[1.0, NAN, NAN], [3.0, 4.0, NAN], [NAN, 4.0, NAN]])
    first, second, third = mean_estimates(values)
    assert first.value == 2 and 1 <= first.low <= first.high <= 3
    assert tuple(second) == (4, 4, 4)
    assert np.isnan(third).all()


def test_few_values_and_much_room_give_the_same_as_one_large_chunk(monkeypatch):
    values = np.random.default_rng(1).normal(size=(30, 2))
    whole = mean_estimates(values)
    monkeypatch.setattr("brule.evaluation.intervals._CHUNK", 30 * 7)
    assert np.array(mean_estimates(values)) == pytest.approx(np.array(whole))


def test_an_estimate_of_the_mean_is_that_of_the_mean():
    values = np.random.default_rng(2).normal(size=25)
    assert tuple(estimate(lambda chosen: values[chosen].mean(axis=1), 25)) == pytest.approx(
        tuple(mean_estimates(values[:, None])[0])
    )


def test_bad_tables_are_refused():
    for table in (np.zeros(3), np.zeros((0, 2)), [[np.inf]]):
        with pytest.raises(DataError, match="one row of finite numbers"):
            mean_estimates(table)


def test_the_band_of_the_ced_holds_the_curve_and_is_closed_where_all_agree():
    """Below the smallest error and from the largest on, every resample says the same."""
    errors = np.random.default_rng(3).exponential(size=80)
    grid = np.array([errors.min() / 2, np.median(errors), errors.max()])
    low, high = ced_band(errors, grid)
    curve = cumulative_error_distribution(errors, grid)
    assert (low <= curve).all() and (curve <= high).all()
    np.testing.assert_array_equal([low[[0, 2]], high[[0, 2]]], [[0, 1], [0, 1]])
    # About 1.96 √(p(1 - p)/B) to each side at the median.
    assert high[1] - low[1] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(80), rel=0.15)
