"""Several barycenters: k-means in Wasserstein space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from brule.errors import BruleError
from brule.transport.barycenter import Barycenter, checked_set, commonest_size, free_support_barycenter, present
from brule.transport.distance import wasserstein2_squared

_ROUNDS = 20


def grouped_barycenters(
    sets: Sequence[Tensor], count: int, *, n_points: int | None = None, seed: int = 0
) -> tuple[list[Barycenter], list[int]]:
    r"""The barycenters of ``count`` groups of landmark sets, such as frontal and turned views.

    .. math:: \min_{\bar X_1 \dots \bar X_k} \sum_s \min_j W_2^2(\bar X_j, X_s)

    The paper names several barycenters as future work (§7). k-means with the Wasserstein distance: from a k-means++ start
    (Arthur & Vassilvitskii 2007), alternate the groups and :func:`free_support_barycenter`.

    Args:
        sets: one ``(N_k, 2)`` tensor a shape, all in one frame, as for :func:`free_support_barycenter`.
        count: ``k``, at most the number of sets.
        n_points: size of the barycenters; by default the commonest size among the sets.
        seed: of the start.

    Returns:
        The barycenters, that of the largest group first; and for each set the index of its own.

    Raises:
        BruleError: a number of groups that there can't be, or sets that :func:`free_support_barycenter` refuses.
    """
    if not 1 <= count <= len(sets):
        raise BruleError(f"barycenters: expected 1 to {len(sets)} groups, as many as there are shapes, got {count}")
    indexed = [checked_set(own, k) for k, own in enumerate(sets)]
    n = commonest_size(indexed) if n_points is None else n_points
    if count == 1:
        return [free_support_barycenter(sets, n_points=n, seed=seed)], [0] * len(sets)
    clouds = [own[present(own)] for own in indexed]
    centres = _start(clouds, count, np.random.default_rng(seed))
    labels: np.ndarray | None = None
    for _ in range(_ROUNDS):
        apart = _apart(clouds, centres)
        now = apart.argmin(axis=1)
        for empty in np.setdiff1d(np.arange(count), now):  # gets the set that is furthest from its own centre
            own = apart[np.arange(len(clouds)), now]
            own[np.bincount(now, minlength=count)[now] == 1] = -1.0  # but doesn't leave another group empty
            now[own.argmax()] = empty
        if labels is not None and np.array_equal(now, labels):
            break
        labels = now
        groups = [[own for own, label in zip(sets, labels, strict=True) if label == j] for j in range(count)]
        found = [free_support_barycenter(group, n_points=n, seed=seed) for group in groups]
        centres = [one.points.double() for one in found]
    assert labels is not None
    order = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    return [found[j] for j in order], [int(np.flatnonzero(order == label)[0]) for label in labels]


def _start(clouds: list[Tensor], count: int, generator: np.random.Generator) -> list[Tensor]:
    """k-means++: each further centre is a set drawn with probability proportional to its squared distance to the nearest."""
    centres = [clouds[int(generator.integers(len(clouds)))]]
    while len(centres) < count:
        nearest = _apart(clouds, centres).min(axis=1)
        total = nearest.sum()
        chances = nearest / total if total > 0 else np.full(len(clouds), 1 / len(clouds))
        centres.append(clouds[int(generator.choice(len(clouds), p=chances))])
    return centres


def _apart(clouds: list[Tensor], centres: list[Tensor]) -> np.ndarray:
    """``(S, k)`` squared distances."""
    return np.array([[float(wasserstein2_squared(own[None], centre[None])) for centre in centres] for own in clouds])
