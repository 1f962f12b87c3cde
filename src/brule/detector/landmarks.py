"""Predicted landmarks of objects in images: what :meth:`LandmarkDetector.predict` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

UPRIGHT = 0.0


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Landmarks (keypoints) of M objects. All coordinates are pixels of the image, the centre of its first pixel at (0, 0).

    Attributes:
        points: ``(M, N, 2)``; NaN where nothing was found.
        image: ``(M,)`` which image each object is in: its index in the input, from 0.
        score: ``(M,)`` how sure the detector is that the answer is right, 0 to 1. A probability where the object was found by
            a locator; inside given boxes only its order counts. NaN where nothing was found.
        flagged: ``(M,)`` whether the answer is probably wrong, or there is no object.
        spread: ``(M, N)``, how far off each landmark may be. Of a calibrated detector the expected distance from the truth;
            otherwise a standard deviation along one axis, whose size means little (``docs/confidence.md``).
        uncertainty: ``(M,)``, which answers most need a person's look: the higher, the sooner. Of a calibrated detector the
            expected error in sides of the crop; otherwise only its order counts.
        box: ``(M, 4)`` the object's box that the landmarks were found in: left, top, right, bottom, in the object's upright
            frame. Turn it about its centre by ``angle`` to align it with the object.
        angle: ``(M,)`` degrees by which the object is turned, clockwise on the screen.
    """

    points: Tensor
    image: Tensor
    score: Tensor
    flagged: Tensor
    spread: Tensor
    uncertainty: Tensor
    box: Tensor
    angle: Tensor

    def __len__(self) -> int:
        """The number of objects."""
        return len(self.points)

    def of(self, image: int) -> Landmarks:
        """The objects of one image."""
        return self.chosen(self.image == image)

    def chosen(self, rows: Tensor | np.ndarray | Sequence[int]) -> Landmarks:
        """Some of the objects: booleans ``(M,)`` or indices."""
        index = torch.as_tensor(rows)
        return Landmarks(*(getattr(self, field.name)[index] for field in fields(self)))


def nothing_found(images: Sequence[int], landmarks: int) -> Landmarks:
    """One flagged row of NaN for each of the images in which nothing was found.

    Args:
        images: their indices in the input.
        landmarks: of an object.
    """
    count = len(images)
    gap = torch.full((count,), torch.nan)
    return Landmarks(
        points=torch.full((count, landmarks, 2), torch.nan),
        image=torch.as_tensor(images, dtype=torch.int64).reshape(count),
        score=gap,
        flagged=torch.ones(count, dtype=torch.bool),
        spread=torch.full((count, landmarks), torch.nan),
        uncertainty=gap,
        box=torch.full((count, 4), torch.nan),
        angle=gap,
    )


def joined(parts: Sequence[Landmarks]) -> Landmarks:
    """The objects of several results, one after the other."""
    return Landmarks(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Landmarks)))
