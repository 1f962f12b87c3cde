"""Logistic regression against solutions that are known otherwise: closed forms, another solver, the conditions of a minimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from brule.locating.learning import platt_curve
from brule.locating.logistic import fit_logistic, platt_targets


def examples(seed: int = 0, positives: int = 40, negatives: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = np.arange(positives + negatives) < positives
    return rng.normal(positive[:, None] * [1.0, -0.7, 0.0], 1.0), positive


def gradient(features: np.ndarray, positive: np.ndarray, *, model: tuple[np.ndarray, float], ridge: float) -> np.ndarray:
    """Of the loss that the docstring states, for weights and offset."""
    weights, offset = model
    share = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    miss = share * (expit(features @ weights + offset) - positive)
    return np.append(features.T @ miss + 2 * ridge * weights, miss.sum())


def test_one_binary_feature_has_a_closed_form() -> None:
    """Both classes count half, so the odds at a value are the ratio of the classes' shares that have it."""
    x = np.array([1.0] * 6 + [0.0] * 2 + [1.0] * 5 + [0.0] * 20)  # 6 of 8 positives, 5 of 25 negatives
    found = fit_logistic(x[:, None], np.arange(33) < 8, signs=[1])
    assert found.offset == pytest.approx(np.log((2 / 8) / (20 / 25)), abs=1e-6)
    assert found.offset + found.weights[0] == pytest.approx(np.log((6 / 8) / (5 / 25)), abs=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.1])
def test_the_gradient_is_zero_at_the_minimum(ridge: float) -> None:
    features, positive = examples()
    found = fit_logistic(features[:, :2], positive, signs=[1, -1], ridge=ridge)
    assert found.weights[0] > 0 > found.weights[1]
    assert np.abs(gradient(features[:, :2], positive, model=found, ridge=ridge)).max() < 1e-7


def test_a_weight_that_would_have_the_wrong_sign_is_zero() -> None:
    """Karush-Kuhn-Tucker: at the bound, the loss would only fall in the direction that isn't allowed."""
    features, positive = examples()
    found = fit_logistic(features[:, :2], positive, signs=[-1, -1], ridge=1e-3)
    slope = gradient(features[:, :2], positive, model=found, ridge=1e-3)
    assert found.weights[0] == 0 and slope[0] < 0
    assert np.abs(slope[1:]).max() < 1e-7


def test_another_solver_finds_the_same() -> None:
    """Nelder-Mead, which takes no gradient, on the mean log loss of a balanced sample."""
    features, positive = examples(positives=60, negatives=60)
    x = features[:, 0]

    def loss(parameters: np.ndarray) -> float:
        return float(-np.log(expit(np.where(positive, 1, -1) * (parameters[0] * x + parameters[1]))).mean())

    other = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15}).x
    found = fit_logistic(features[:, :1], positive, signs=[1])
    assert np.append(found.weights, found.offset) == pytest.approx(other, abs=1e-6)


def test_platt_targets_by_hand() -> None:
    assert platt_targets(np.array([True, False, True, False, False])) == pytest.approx([3 / 4, 1 / 5, 3 / 4, 1 / 5, 1 / 5])


def test_platt_curve_of_two_margins_passes_through_the_targets() -> None:
    slope, offset = platt_curve(np.array([2.0] * 3), np.array([-1.0] * 8))
    assert expit(2 * slope + offset) == pytest.approx(4 / 5, abs=1e-6)
    assert expit(-slope + offset) == pytest.approx(1 / 10, abs=1e-6)


def test_platt_curve_never_falls() -> None:
    """Margins that order the classes the wrong way round: a constant, with the odds of the mean target."""
    slope, offset = platt_curve(np.array([-1.0, -2.0]), np.array([1.0, 2.0, 3.0]))
    assert slope == 0
    assert offset == pytest.approx(brentq(lambda z: expit(z) - (3 / 4 + 1 / 5) / 2, -5, 5), abs=1e-6)
    assert offset == pytest.approx(logit((3 / 4 + 1 / 5) / 2), abs=1e-6)


def test_platt_curve_without_one_class() -> None:
    assert platt_curve(np.array([1.0]), np.empty(0)) == platt_curve(np.empty(0), np.array([1.0])) == (1, 0)


def test_far_examples_do_not_overflow() -> None:
    features = np.array([[-800.0], [800.0], [900.0], [-900.0]])
    found = fit_logistic(features, np.array([True, True, False, False]), signs=[1], ridge=1e-3)
    assert np.isfinite(found.weights).all() and np.isfinite(found.offset)
