"""Logistic regression with both classes counting half, and with weights whose signs are known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from brule.arrays import Array


class LogisticModel(NamedTuple):
    """Log odds ``features @ weights + offset``: weights ``(K,)`` and a number."""

    weights: Array
    offset: float


def fit_logistic(
    features: Array, positive: Array, *, signs: Sequence[float], targets: Array | None = None, ridge: float = 0.0
) -> LogisticModel:
    r"""Fit a logistic regression in which the positive and the negative examples count half each.

    .. math:: \min_{w, b} \; \sum_i a_i \bigl(\log(1 + e^{z_i}) - t_i z_i\bigr) + \rho \lVert w \rVert^2,
        \qquad z_i = w \cdot x_i + b

    ``a_i`` is ``1 / (2 P)`` for each of P positive examples and ``1 / (2 Q)`` for each of Q negative ones. The problem is
    convex, so there is one minimum; L-BFGS-B finds it.

    Args:
        features: ``(M, K)``, finite.
        positive: ``(M,)`` booleans, at least one True and one False.
        signs: K times 1 or -1: each weight is 0 or has this sign, whatever the examples say.
        targets: ``(M,)`` ``t``, the probabilities that are aimed at; by default 1 and 0. See :func:`platt_targets`.
        ridge: ``ρ``. If it is 0, the weights of separable examples are bounded only with other targets than 0 and 1.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    positive = np.asarray(positive, dtype=bool)
    goal = positive.astype(np.float64) if targets is None else targets
    share = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())

    def loss(parameters: Array) -> tuple[float, Array]:
        weights, odds = parameters[:-1], features @ parameters[:-1] + parameters[-1]
        value = share @ (np.logaddexp(0, odds) - goal * odds) + ridge * weights @ weights
        miss = share * (expit(odds) - goal)
        return float(value), np.append(features.T @ miss + 2 * ridge * weights, miss.sum())

    bounds = [(0.0, None) if sign > 0 else (None, 0.0) for sign in signs] + [(None, None)]
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(loss, np.zeros(len(bounds)), jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    return LogisticModel(found[:-1], float(found[-1]))


def platt_targets(positive: Array) -> Array:
    """``(M,)``: Platt's targets for booleans ``(M,)``, ``(P + 1) / (P + 2)`` and ``1 / (Q + 2)`` (Platt 1999, §2.2).

    They are those of P positive and Q negative examples under a uniform prior, and keep the curve of separable examples finite.
    """
    positive = np.asarray(positive, dtype=bool)
    count = int(positive.sum())
    return np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
