"""Images whose boxes are for other landmarks than the detector's: five points of a face where it has 68."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from torch import Tensor

from brule.data import Sample, SampleList
from brule.data.box_fitting import MANY, BoxFit, fitted_sample
from brule.detector.inputs import Unlabelled

Setting = Literal["auto", "never"] | tuple[float, float, float]


class BoxFitter:
    """Makes boxes fit a detector's landmarks, according to the setting ``crop.fit_boxes``.

    Args:
        setting: of the run.
        shapes: ``(K, N, 2)`` of the detector, in any frame.
    """

    def __init__(self, setting: Setting, shapes: Tensor) -> None:
        self.landmarks = shapes.shape[1]
        self.automatic = isinstance(setting, str)
        self.fit: BoxFit | None = None
        if not isinstance(setting, str):
            scale, x, y = setting
            self.fit = BoxFit(scale, (x, y))
        elif setting == "auto" and self.landmarks == MANY:
            self.fit = BoxFit.of_shapes(list(shapes.numpy().astype(np.float64)))

    def sample(self, sample: Sample) -> Sample:
        """A sample with a box for the detector's landmarks."""
        if self.fit is None:
            return sample
        return fitted_sample(sample, self.fit, landmarks=self.landmarks, five_only=self.automatic)

    def unlabelled(self, images: Unlabelled) -> tuple[Unlabelled, int]:
        """Images with boxes for the detector's landmarks, and how many boxes were changed."""
        if self.fit is None:
            return images, 0
        if images.boxes is not None:
            if self.automatic:
                return images, 0
            boxes = [None if box is None else self.fit(box) for box in images.boxes]
            return replace(images, boxes=boxes), sum(box is not None for box in boxes)
        assert isinstance(images.images, SampleList)
        fitted = [self.sample(sample) for sample in images.images]
        changed = sum(new is not old for new, old in zip(fitted, images.images, strict=True))
        return Unlabelled(images.images.replaced(fitted)), changed
