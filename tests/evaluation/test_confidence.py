"""Confidence: by hand, and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from brule.errors import DataError
from brule.evaluation import rank_correlation, risk_coverage


def test_rank_correlation_by_hand():
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 99]).value == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]).value == pytest.approx(-1)
    # Differences of ranks 0, 1, 1, 0: 1 - 6 · 2 / (4 · 15)
    assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]).value == pytest.approx(0.8)


def test_rank_correlation_with_equal_values_agrees_with_scipy():
    generator = np.random.default_rng(3)
    x, y = generator.integers(0, 6, 50), generator.integers(0, 6, 50)
    found = rank_correlation(x, y)
    assert found.value == pytest.approx(spearmanr(x, y).statistic)
    assert found.low < found.value < found.high
    assert tuple(rank_correlation(np.exp(x), 3.0 * y)) == pytest.approx(tuple(found))  # only the order counts


@pytest.mark.parametrize(("spread", "errors"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [2, 2, 2])])
def test_rank_correlation_of_what_has_no_order(spread, errors):
    assert np.isnan(rank_correlation(spread, errors)).all()


def test_risk_coverage_by_hand():
    curve = risk_coverage([3, 1, 2], [1, 8, 3])  # by spread: 8, 3, 1; by error: 1, 3, 8
    assert curve.coverage == pytest.approx([1 / 3, 2 / 3, 1])
    assert curve.risk == pytest.approx([8, 5.5, 4])
    assert curve.oracle == pytest.approx([1, 2, 4])
    assert (curve.area, curve.oracle_area) == pytest.approx((17.5 / 3, 7 / 3))


def test_the_oracle_is_never_worse_and_all_images_have_the_mean():
    generator = np.random.default_rng(4)
    errors = generator.gamma(2, size=60)
    curve = risk_coverage(generator.normal(size=60), errors)
    assert (curve.oracle <= curve.risk + 1e-12).all()
    assert curve.risk[-1] == pytest.approx(errors.mean()) == curve.oracle[-1]
    assert risk_coverage(errors, errors).area == pytest.approx(curve.oracle_area)


def test_one_spread_for_each_error():
    with pytest.raises(DataError, match="one spread for each of 2"):
        risk_coverage([1, 2, 3], [1, 2])
