"""Uncertainty features: numbers that indicate how large a prediction's error is, computed without the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brule.arrays import Array
from brule.detector.uncertainty.tta import TtaPredictions
from brule.geometry import ShapePrior

FEATURES = ("heatmap_spread", "disagreement", "energy")
# Below these a feature carries no information: a thousandth of a pixel of an encoder, an energy that no shape has.
_FLOORS = {"heatmap_spread": 1e-4, "disagreement": 1e-4, "energy": 1e-2}


@dataclass(frozen=True, eq=False)
class UncertaintyFeatures:
    """Three uncertainty features, each larger where an error is more likely.

    Attributes:
        heatmap_spread: ``(B, N)``, the standard deviation of the softmax heatmap along one axis, in sides of the crop.
        disagreement: ``(B, N)``, the standard deviation of the predictions for several views; ``None`` with a single view.
        energy: ``(B,)``, how unlikely the predicted shape is compared with the annotated ones (:meth:`ShapePrior.energy`, one
            on average); ``None`` if the detector has no shapes with the same number of points.
    """

    heatmap_spread: Array
    disagreement: Array | None = None
    energy: Array | None = None

    @classmethod
    def of(cls, predictions: TtaPredictions, prior: ShapePrior | None) -> UncertaintyFeatures:
        """Those of a batch.

        Args:
            predictions: for several views.
            prior: fitted to the annotated shapes, on the same device.
        """
        mean, count = predictions.mean, len(predictions.points)
        apart = None
        if count > 1:
            apart = ((predictions.points - mean).square().sum((0, 3)) / (2 * (count - 1))).sqrt().cpu().double().numpy()
        energy = None if prior is None else prior.energy(mean).cpu().double().numpy()
        return cls(predictions.heatmap_spread.square().mean(0).sqrt().cpu().double().numpy(), apart, energy)

    def some(self, chosen: Array) -> UncertaintyFeatures:
        """Those of the chosen images, by index or by a mask."""
        return UncertaintyFeatures(*(None if (own := getattr(self, name)) is None else own[chosen] for name in FEATURES))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.heatmap_spread)

    @property
    def names(self) -> tuple[str, ...]:
        """Those there are, in the order of :data:`FEATURES`."""
        return tuple(name for name in FEATURES if getattr(self, name) is not None)

    def logarithms(self, names: Sequence[str]) -> Array:
        """The logarithms of the named features, ``(B, N, K)``; what belongs to an image is repeated for its landmarks."""
        shape = self.heatmap_spread.shape
        columns = []
        for name in names:
            values = np.asarray(getattr(self, name), dtype=np.float64)
            columns.append(np.broadcast_to(values.reshape(len(values), -1), shape))
        floors = np.array([_FLOORS[name] for name in names])
        return np.log(np.maximum(np.stack(columns, axis=-1), floors))
