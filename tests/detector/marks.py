"""An object that needs no training: three coloured discs, and a reader that takes the middle of each colour."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from brule.data import CROP_SCALE
from brule.data.cutting import Picture
from brule.model import CropLandmarks

_OFFSETS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.5]])  # of the discs, in sides of the object
SHAPE = 0.5 + _OFFSETS / CROP_SCALE  # in the unit square of the crop
_BACKGROUND = 40


def marks_at(x: float, y: float, side: float, degrees: float = 0.0) -> np.ndarray:
    """The landmarks ``(3, 2)`` of an object about a place, turned clockwise on the screen."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return _OFFSETS @ np.array([[c, s], [-s, c]]) * side + [x, y]


def scene(*objects: tuple[float, float, float, float], size: tuple[int, int] = (160, 120)) -> Picture:
    """A grey picture with objects: x, y, side and angle of each."""
    pixels = np.full((size[1], size[0], 3), _BACKGROUND, np.uint8)
    rows, columns = np.indices(pixels.shape[:2])
    for x, y, side, degrees in objects:
        for colour, (cx, cy) in enumerate(marks_at(x, y, side, degrees)):
            disc = np.hypot(columns - cx, rows - cy) <= max(0.12 * side, 1.5)
            pixels[disc] = [255 if k == colour else 0 for k in range(3)]
    image = Image.fromarray(pixels)
    return Picture(image, image.size)


def read_marks(crops: np.ndarray) -> CropLandmarks:
    """The middle of each colour in crops ``(M, S, S, 3)``; the crop's middle, and a large spread, where a colour is missing."""
    size = crops.shape[1]
    rows, columns = (np.indices((size, size)) + 0.5) / size
    points, spread = np.full((len(crops), 3, 2), 0.5), np.full((len(crops), 3), 0.3)
    for m, crop in enumerate(crops.astype(int)):
        for k in range(3):
            weight = np.clip(crop[..., k] - np.delete(crop, k, axis=2).max(axis=2) - 60, 0, None)
            if weight.sum() > 100:
                points[m, k] = [(weight * at).sum() / weight.sum() for at in (columns, rows)]
                spread[m, k] = 0.01
    return CropLandmarks(torch.from_numpy(points), torch.from_numpy(spread), torch.from_numpy(spread.mean(1)))
