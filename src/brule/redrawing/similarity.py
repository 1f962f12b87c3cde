"""How similar two images are: mean difference and structural similarity; images in, one number each out."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from brule.arrays import Array
from brule.errors import DataError

WINDOW, SIGMA = 11, 1.5  # pixels (Wang et al. 2004, §III.C)
C_1, C_2 = 0.01**2, 0.03**2  # for values from 0 to 1
_AT_A_TIME = 64  # images: bounds the memory that the float64 maps take


def mean_absolute_difference(x: ArrayLike, y: ArrayLike) -> Array:
    """L1: the mean of ``|x − y|`` over pixels and channels, for each pair of images.

    Args:
        x: ``(B, H, W, C)`` or ``(B, H, W)``, uint8.
        y: of the same shape.

    Returns:
        ``(B,)`` in percent of the way from black to white.

    Raises:
        DataError: if the two don't fit each other, or aren't bytes.
    """
    first, second = check_images(x, y)
    axes = tuple(range(1, first.ndim))
    parts = [
        np.abs(first[i : i + _AT_A_TIME].astype(np.int16) - second[i : i + _AT_A_TIME]).mean(axis=axes, dtype=np.float64)
        for i in range(0, len(first), _AT_A_TIME)
    ]
    return 100 / 255 * np.concatenate(parts)


def structural_similarity(x: ArrayLike, y: ArrayLike) -> Array:
    r"""SSIM (Wang, Bovik, Sheikh, Simoncelli 2004), for each pair of images.

    .. math:: \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)}

    with means, variances and the covariance under a Gaussian window of 11 × 11 pixels and σ = 1.5, averaged over all places
    where the window lies inside the image, and over the channels; ``C_1 = 0.01²``, ``C_2 = 0.03²`` for values from 0 to 1.

    Args:
        x: ``(B, H, W, C)`` or ``(B, H, W)``, uint8.
        y: of the same shape.

    Returns:
        ``(B,)``: 1 for equal images, near 0 for unrelated ones, below 0 for negatives.

    Raises:
        DataError: if the two don't fit each other, aren't bytes, or are smaller than the window.
    """
    first, second = check_images(x, y)
    if min(first.shape[1:3]) < WINDOW:
        raise DataError(
            f"structural similarity: expected images of at least {WINDOW} × {WINDOW} pixels, its window, got "
            f"{first.shape[1]} × {first.shape[2]}"
        )
    parts = [
        _similarity(to_unit(first[i : i + _AT_A_TIME]), to_unit(second[i : i + _AT_A_TIME]))
        for i in range(0, len(first), _AT_A_TIME)
    ]
    return torch.cat(parts).numpy()


def check_images(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Two batches of images of the same shape, bytes.

    Raises:
        DataError: if they aren't.
    """
    first, second = np.asarray(x), np.asarray(y)
    if first.shape != second.shape or first.ndim not in (3, 4) or 0 in first.shape:
        raise DataError(f"images: expected two batches (B, H, W, C) of one shape, got {first.shape} and {second.shape}")
    if first.dtype != np.uint8 or second.dtype != np.uint8:
        raise DataError(f"images: expected uint8, got {first.dtype} and {second.dtype}")
    return first, second


def to_unit(images: Array) -> Tensor:
    """Bytes ``(B, H, W, C)`` or ``(B, H, W)`` → float64 ``(B, C, H, W)``, black 0 and white 1."""
    stack = images[..., None] if images.ndim == 3 else images
    return torch.from_numpy(stack.astype(np.float64)).permute(0, 3, 1, 2) / 255


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C_1) / (mean_x**2 + mean_y**2 + C_1)
    return (luminance * (2 * covariance + C_2) / (variances + C_2)).mean((1, 2, 3))


def _windowed(images: Tensor) -> Tensor:
    """The Gaussian mean about each pixel whose window lies inside, by two one-dimensional convolutions."""
    places = torch.arange(WINDOW, dtype=images.dtype) - WINDOW // 2
    weights = torch.exp(-(places**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    flat = images.flatten(0, 1)[:, None]  # (B·C, 1, H, W)
    flat = F.conv2d(F.conv2d(flat, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))
    return flat[:, 0].unflatten(0, images.shape[:2])
