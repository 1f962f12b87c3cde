"""The values of pixels: any depth and kind → RGB of 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from brule.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor as TensorLike

# By the orientation of EXIF data, what turns the stored image upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Resampling may overshoot 0…1 a little.
_FLOAT_SLACK = 1e-3


def to_8bit(values: np.ndarray, name: str = "image", *, extremes: tuple[float, float] | None = None) -> np.ndarray:
    """Bring grey or colour values to uint8.

    Floats are taken as 0…1. Integers are divided by the largest value of the smallest depth out of 8, 12 and 16 bits
    that holds them: X-rays of 12 bits are stored in 16-bit files and would be black otherwise.

    Args:
        values: of an image, or of a part of one.
        name: what to call it in an error.
        extremes: the least and the largest value of the whole image; by default of ``values``.

    Raises:
        DataError: NaN, floats outside 0…1, negative integers or integers of more than 16 bits.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "uif":
        raise DataError(f"{name}: expected uint8, uint16 or float values, got {values.dtype}")
    low, high = extremes or (float(values.min()), float(values.max()))
    if values.dtype.kind == "f":
        if not (low >= -_FLOAT_SLACK and high <= 1 + _FLOAT_SLACK):
            raise DataError(f"{name}: expected float values from 0 to 1, got {low:g} to {high:g}; divide them first")
        top = 1
    else:
        if low < 0 or high > 65535:
            raise DataError(f"{name}: expected integer values from 0 to 65535, got {low:g} to {high:g}")
        top = next(2**bits - 1 for bits in (8, 12, 16) if high < 2**bits)
    return np.clip(np.rint(values.astype(np.float32) * (255.0 / top)), 0, 255).astype(np.uint8)


def channels_last(tensor: TensorLike) -> np.ndarray:
    """A tensor ``(H, W)``, ``(C, H, W)`` or ``(H, W, C)`` as an array with its channels at the end.

    Where both orders are possible (3 × H × 3), the first axis holds the channels, as PyTorch has them.
    """
    found = tensor.detach().cpu()
    if found.dtype.is_floating_point:
        found = found.float()  # NumPy has no bfloat16
    array = np.asarray(found.numpy())
    return np.moveaxis(array, 0, 2) if array.ndim == 3 and array.shape[0] in (1, 3, 4) else array


def rgb(image: Image.Image) -> Image.Image:
    """A Pillow image of any mode as RGB; transparent parts become white."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(deep_to_8bit(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        opaque = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque).convert("RGB")
    return image.convert("RGB")


def deep_to_8bit(values: np.ndarray, extremes: tuple[float, float] | None = None) -> np.ndarray:
    """One-channel values of a file, which may be any number: those that :func:`to_8bit` refuses are stretched.

    Args:
        values: of an image, or of a part of one.
        extremes: the least and the largest finite value of the whole image; by default of ``values``.

    Raises:
        ValueError: no value is finite.
    """
    if extremes is not None:
        values = np.nan_to_num(values, nan=extremes[0], posinf=extremes[1], neginf=extremes[0])
    try:
        return to_8bit(values, extremes=extremes)
    except DataError:
        values = values.astype(np.float64)
        low, high = extremes or finite_extremes(values)
        return to_8bit(np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-30), 0.0, 1.0))


def finite_extremes(values: np.ndarray) -> tuple[float, float]:
    """The least and the largest finite value.

    Raises:
        ValueError: no value is finite.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ValueError("no pixel has a finite value")
    return float(finite.min()), float(finite.max())
