"""Styles put together and interpolated."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from brule.errors import ConfigError, DataError
from brule.networks.style import ROWS


def mixed(coarse: Tensor, fine: Tensor) -> Tensor:
    """Style mixing: row 1 of one style, row 2 of the other.

    Args:
        coarse: ``(B, 2, style_dim)``, for the blocks below 16 × 16.
        fine: ``(B, 2, style_dim)``, for those from there on.

    Returns:
        ``(B, 2, style_dim)``.

    Raises:
        DataError: if the two differ in shape.
    """
    if coarse.shape != fine.shape or coarse.ndim != 3 or coarse.shape[1] != ROWS:
        raise DataError(f"styles: expected two of one shape (B, {ROWS}, D), got {tuple(coarse.shape)}, {tuple(fine.shape)}")
    return torch.stack([coarse[:, 0], fine[:, 1]], dim=1)


def interpolated_styles(styles: Tensor, steps: int) -> Tensor:
    """Styles with ``steps`` further ones between each two that follow each other, on straight lines.

    Args:
        styles: ``(K, 2, style_dim)``.
        steps: how many between two; 0 changes nothing.

    Returns:
        ``(K + (K − 1) · steps, 2, style_dim)``; every ``steps + 1``-th is one of the styles.

    Raises:
        ConfigError: if the steps are negative.
    """
    if steps < 0:
        raise ConfigError(f"styles: expected 0 steps or more between two, got {steps}")
    shares = torch.arange(steps + 1).view(-1, 1, 1) / (steps + 1)
    ways = [(1 - shares) * a + shares * b for a, b in itertools.pairwise(styles)]
    return torch.cat([*ways, styles[-1:]])
