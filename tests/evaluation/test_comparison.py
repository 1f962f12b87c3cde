"""Paired tests: by hand, and laws."""

from __future__ import annotations

import numpy as np
import pytest

from brule.errors import DataError
from brule.evaluation import bootstrap_interval, compare_errors, holm


def test_a_pair_by_hand():
    (found,) = compare_errors({"a": [1, 2, 3, 4, 5], "b": [2, 4, 6, 8, 10]})
    assert (found.first, found.second, found.n) == ("a", "b", 5)
    assert found.difference == pytest.approx(3)  # of 1, 2, 3, 4, 5
    assert (found.low, found.high) == pytest.approx(bootstrap_interval([1, 2, 3, 4, 5]))
    assert found.p_value == pytest.approx(2 / 2**5)  # all five signs alike, one way or the other
    assert (found.p_adjusted, found.second_better) == (found.p_value, 0)


def test_exchanging_the_two_turns_the_sign():
    generator = np.random.default_rng(0)
    errors = {"a": generator.gamma(2, size=30), "b": generator.gamma(2, size=30)}
    (there,), (back,) = compare_errors(errors), compare_errors({"b": errors["b"], "a": errors["a"]})
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert back.p_value == pytest.approx(there.p_value)
    assert back.second_better == pytest.approx(1 - there.second_better)


def test_the_same_twice_is_no_difference():
    (found,) = compare_errors({"a": [3.0, 1.0], "b": [3.0, 1.0]})
    assert (found.difference, found.low, found.high, found.p_value, found.second_better) == (0, 0, 0, 1, 0)


def test_pairing_sees_what_the_spread_of_the_images_hides():
    hard = np.random.default_rng(1).gamma(1, 20, size=100)  # images differ by tens, the two predictions by a tenth
    (found,) = compare_errors({"a": hard, "b": hard - 0.1 - 0.01 * np.random.default_rng(2).random(100)})
    assert found.high < 0 and found.p_value < 1e-6 and found.second_better == 1


def test_every_pair_once():
    found = compare_errors({name: [1.0, 2.0, 4.0] for name in "abc"})
    assert [(one.first, one.second) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 · 0.01, 2 · 0.03, and 1 · 0.04 not below that
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([0.2]) == [0.2]


@pytest.mark.parametrize("errors", [{}, {"a": [1.0]}, {"a": [1.0, 2.0], "b": [1.0]}])
def test_nothing_to_compare(errors):
    with pytest.raises(DataError, match="at least two predictions on the same images"):
        compare_errors(errors)
