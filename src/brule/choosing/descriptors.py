"""Image descriptors, close to each other for similar images: from pixels, or from an encoder's features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brule.coordinates import resize
from brule.detector import LandmarkDetector
from brule.errors import DataError
from brule.tensors import to_input

_THUMBNAIL = 16  # pixels per side
_CELLS = 2  # features are pooled to this many cells per side: enough to see where the head points
_COMPONENTS = 32
_BATCH = 64


def plain_descriptors(crops: np.ndarray) -> np.ndarray:
    """Descriptors of images by their pixels, where nothing is trained yet.

    Thumbnails of 16 × 16 pixels, their brightness and contrast taken out, beside their gradients without sign.

    Args:
        crops: ``(B, S, S, 3)`` uint8.

    Returns:
        ``(B, D)`` float64; D depends on the images.

    Raises:
        DataError: if there is no image.
    """
    colours, slopes = [], []
    for images in _batches(crops):
        small = resize(images, _THUMBNAIL)
        small = small - small.mean((1, 2, 3), keepdim=True)
        small = small / small.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-3)
        grey = small.mean(1)
        colours.append(small.flatten(1))
        slopes.append(torch.cat([grey.diff(dim=1).abs().flatten(1), grey.diff(dim=2).abs().flatten(1)], 1))
    return _joined([torch.cat(colours), torch.cat(slopes)])


def encoder_descriptors(detector: LandmarkDetector, crops: np.ndarray) -> np.ndarray:
    """Descriptors of images by a trained detector: the deepest features of its encoder, and the shapes that it predicts.

    Args:
        detector: a trained one; without labels will do.
        crops: ``(B, S, S, 3)`` uint8, of the size it was trained for.

    Returns:
        ``(B, D)`` float64; D depends on the images.

    Raises:
        DataError: if there is no image.
        BruleError: if the detector isn't trained, or the crops have another size.
    """
    model = detector.reader().model
    features: list[Tensor] = []

    def keep(_module: nn.Module, _given: object, maps: Tensor) -> None:
        features.append(F.adaptive_avg_pool2d(maps.float(), _CELLS).flatten(1).cpu())

    hook = model.encoder.deepest.register_forward_hook(keep)
    try:
        shapes = [model.encode(images.to(model.barycenter.device)).points.flatten(1).cpu() for images in _batches(crops)]
    finally:
        hook.remove()
    deepest = torch.cat(features)
    deepest = (deepest - deepest.mean(0)) / deepest.std(0, correction=0).clamp_min(1e-6)
    return _joined([deepest, torch.cat(shapes)])


def _batches(crops: np.ndarray) -> Iterator[Tensor]:
    if crops.ndim != 4 or not len(crops):
        raise DataError(f"expected crops (B, S, S, 3), at least one, got {crops.shape}")
    for start in range(0, len(crops), _BATCH):
        yield to_input(torch.from_numpy(np.array(crops[start : start + _BATCH])))  # a copy: memory may be read-only


def _joined(blocks: list[Tensor]) -> np.ndarray:
    """The principal components of each block, all blocks of the same total variance, side by side."""
    parts = []
    for block in blocks:
        values = block.double().numpy()
        values = values - values.mean(axis=0)
        variance, directions = np.linalg.eigh(values.T @ values)
        main = values @ directions[:, variance.argsort()[::-1][:_COMPONENTS]]
        parts.append(main / max(float(np.sqrt((main**2).sum() / len(main))), 1e-12))
    return np.concatenate(parts, axis=1)
