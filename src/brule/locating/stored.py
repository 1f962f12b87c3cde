"""Reading what a file says about a locator: values are checked, and damage is a :class:`CheckpointError`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brule.arrays import Array
from brule.errors import CheckpointError
from brule.locating.features import CHANNELS
from brule.locating.filters import Filter

_ADVICE = "use another copy of the detector, or train again"


@contextmanager
def damage_reported(what: str) -> Iterator[None]:
    """Turn the errors of a damaged or foreign state into a :class:`CheckpointError` that names ``what`` was read."""
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f"{what}: damaged or incomplete: expected an entry {error}, found none; {_ADVICE}") from error
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise CheckpointError(f"{what}: damaged or incomplete: {error}; {_ADVICE}") from error


def named_values(value: object, name: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected named values, got {value!r:.60}")
    return value


def finite_numbers(value: object, name: str, *, shape: tuple[int, ...] = ()) -> Array:
    """A JSON number, or nested lists of numbers, as an array of float64.

    Raises:
        ValueError: they are something else than finite numbers, or of another shape.
    """
    expected = f"{name}: expected {' × '.join(map(str, shape)) + ' finite numbers' if shape else 'a finite number'}"
    try:
        numbers = np.asarray(value)
    except ValueError:  # lists of different lengths
        raise ValueError(f"{expected}, got {value!r:.60}") from None
    if numbers.dtype.kind not in "iuf" or numbers.shape != shape or not np.isfinite(numbers).all():
        raise ValueError(f"{expected}, got {value!r:.60}")
    return numbers.astype(np.float64)


def stored_filters(tensors: Mapping[str, Tensor], facts: object) -> tuple[Filter, ...]:
    """Filters from their weights, ``filter/0`` and so on, and from the list of their biases and angles.

    Raises:
        KeyError: a bias or an angle is missing.
        ValueError: there are no filters, or other weights than theirs; weights have another shape than ``(31, h, w)``; a
            number isn't finite.
    """
    if not isinstance(facts, list) or not facts:
        raise ValueError(f"filters: expected a list of one filter or more, got {facts!r:.60}")
    names = [f"filter/{k}" for k in range(len(facts))]
    if set(named_values(tensors, "tensors")) != set(names):
        raise ValueError(
            f"expected the weights of {len(names)} filters, {names[0]} to {names[-1]}, got {sorted(tensors)!s:.80}"
        )
    filters = []
    for name, one in zip(names, facts, strict=True):
        known = named_values(one, name)
        bias, angle = (float(finite_numbers(known[key], f"{name}: {key}")) for key in ("bias", "angle"))
        filters.append(Filter(_checked_weights(tensors[name], name), bias, angle))
    return tuple(filters)


def _checked_weights(weights: Tensor, name: str) -> Tensor:
    if not isinstance(weights, Tensor) or not weights.is_floating_point():
        raise ValueError(f"{name}: expected a tensor of floating-point weights, got {getattr(weights, 'dtype', type(weights))}")
    if weights.ndim != 3 or len(weights) != CHANNELS or not weights.numel():
        raise ValueError(f"{name}: expected weights of shape ({CHANNELS}, h, w), got {tuple(weights.shape)}")
    if not torch.isfinite(weights).all():
        raise ValueError(f"{name}: expected finite weights, got NaN or infinity")
    return weights
