"""Checks of the arrays to be drawn; each returns the checked array in one form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from brule.arrays import Array
from brule.errors import DataError


def as_image(image: Image.Image | ArrayLike) -> Image.Image:
    """A Pillow image or a uint8 array ``(H, W)`` or ``(H, W, 3)`` as an RGB image."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] != 3):
        raise DataError(f"expected an image (H, W) or (H, W, 3) of uint8, got {array.shape} of {array.dtype}.")
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def check_landmarks(points: ArrayLike) -> Array:
    """Landmarks ``(N, 2)`` as float64."""
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise DataError(f"expected the landmarks of one image, (N, 2), got the shape {array.shape}.")
    return array


def check_batch(images: ArrayLike, points: ArrayLike) -> tuple[Array, Array]:
    """Images ``(B, H, W[, 3])`` uint8 and one landmark set ``(N, 2)`` for each."""
    stack = np.asarray(images)
    landmarks = np.asarray(points, dtype=np.float64)
    colour = stack.ndim == 4 and stack.shape[3] == 3
    if stack.dtype != np.uint8 or not (colour or stack.ndim == 3) or 0 in stack.shape:
        raise DataError(f"expected images (B, H, W, 3) of uint8, at least one, got {stack.shape} of {stack.dtype}.")
    if landmarks.ndim != 3 or landmarks.shape[2] != 2 or len(landmarks) != len(stack):
        raise DataError(f"expected points ({len(stack)}, N, 2), one set for each image, got the shape {landmarks.shape}.")
    return stack, landmarks


def check_edges(edges: ArrayLike | None, n: int) -> Array:
    """Edges ``(E, 2)`` between ``n`` landmarks; none at all for None."""
    if edges is None:
        return np.zeros((0, 2), dtype=np.int64)
    array = np.asarray(edges, dtype=np.int64).reshape(-1, 2) if np.size(edges) % 2 == 0 else np.full((1, 2), -1)
    if array.size and (array.min() < 0 or array.max() >= n):
        raise DataError(f"edges must be pairs of indices from 0 to {n - 1}, (E, 2).")
    return array


def check_columns(columns: int, n: int) -> int:
    """The number of columns for ``n`` tiles, no more than there are tiles."""
    if columns < 1:
        raise DataError(f"columns must be at least 1, got {columns}.")
    return min(columns, n)
