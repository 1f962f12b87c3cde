"""Test-time augmentation: several views of one image (unchanged, mirrored, rotated a little), each prediction mapped back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brule.errors import ConfigError
from brule.geometry import SynchronizedWarp, mirrored
from brule.model import BruleModel

# Degrees and zoom. A rotation by 5° moves the corners out of the crop, a zoom by 1.08 brings them in again.
_MOVES = ((0.0, 1.0), (5.0, 1.08), (-5.0, 1.08), (0.0, 0.93), (8.0, 1.0), (-8.0, 1.0))
MAX_TTA = len(_MOVES)


def one_tta(tta: int, views: int | None, *, default: int = 1) -> int:
    """The number of views, which may be given under either of its two names.

    Raises:
        ConfigError: both are given, and differ.
    """
    if views is None:
        return tta
    if tta not in (default, views):
        raise ConfigError(f"tta={tta} and views={views} are two names of one option; give one of them")
    return views


@dataclass(frozen=True)
class View:
    """One view of a crop.

    Attributes:
        flip: whether it is mirrored first, left to right.
        angle: by how many degrees it is then rotated.
        zoom: how many times larger it is shown.
    """

    flip: bool = False
    angle: float = 0.0
    zoom: float = 1.0

    def warp(self, batch: int, device: torch.device) -> SynchronizedWarp:
        """Rotation and zoom about the centre of the square, the same for every image of a batch."""
        angle = math.radians(self.angle)
        cosine, sine = math.cos(angle) / self.zoom, math.sin(angle) / self.zoom
        inverse = torch.tensor([[cosine, sine], [-sine, cosine]])
        warp = SynchronizedWarp.identity(batch)
        return SynchronizedWarp(inverse.expand(batch, 2, 2), warp.shift, warp.field).to(device)


@dataclass(frozen=True)
class TtaPredictions:
    """A detector's predictions for several views of a batch, in the unit square of the unchanged crop.

    Attributes:
        points: ``(V, B, N, 2)``.
        heatmap_spread: ``(V, B, N)``, the standard deviation of each heatmap along one axis.
    """

    points: Tensor
    heatmap_spread: Tensor

    def first(self, count: int) -> TtaPredictions:
        """The predictions for the first views: those of a call with that many views."""
        return TtaPredictions(self.points[:count], self.heatmap_spread[:count])

    def on_cpu(self) -> TtaPredictions:
        """The same as float32 on the CPU."""
        return TtaPredictions(self.points.float().cpu(), self.heatmap_spread.float().cpu())

    @property
    def mean(self) -> Tensor:
        """The mean prediction, ``(B, N, 2)``."""
        return self.points.mean(0)

    @property
    def spread(self) -> Tensor:
        r"""Standard deviation along one axis of the mixture of all heatmaps, ``(B, N)``.

        The mean of the variances plus the variance of the means, ``σ² = mean_v σ_v² + mean_v ‖p_v - p̄‖² / 2``. With a
        single view it is the heatmap's own.
        """
        between = (self.points - self.mean).square().sum(-1).mean(0) / 2
        return (self.heatmap_spread.square().mean(0) + between).sqrt()


def tta_transforms(count: int, *, mirror: bool) -> tuple[View, ...]:
    """The first ``count`` views; those of a smaller count are among them, and the first is the unchanged crop.

    Args:
        count: how many, 1 … :data:`MAX_TTA`.
        mirror: whether the detector knows which landmark is which in a mirrored image.

    Raises:
        ConfigError: another count.
    """
    if not 1 <= count <= MAX_TTA:
        raise ConfigError(f"tta: expected 1 to {MAX_TTA} views, got {count}")
    plain = [View(False, angle, zoom) for angle, zoom in _MOVES]
    if mirror:
        # The mirror image differs most and costs no pixel of the border, so it comes first.
        turned, reflected = plain[1:3], [View(True, angle, zoom) for angle, zoom in _MOVES[3:]]
        plain = [plain[0], View(True), *turned, *reflected]
    return tuple(plain[:count])


@torch.no_grad()
def predict_views(model: BruleModel, images: Tensor, *, views: int = 1, mirror: Tensor | None = None) -> TtaPredictions:
    """Predict the landmarks of several views of the same crops. V views take V times as long.

    Args:
        model: a trained one, in evaluation mode.
        images: ``(B, C, S, S)`` in ``[-1, 1]``, on its device.
        views: how many, 1 … :data:`MAX_TTA`.
        mirror: the permutation of the landmarks under mirroring, ``(N,)``; ``None`` leaves mirrored views out.

    Raises:
        ConfigError: too many views, or none.
    """
    points, heatmap_spread = [], []
    for view in tta_transforms(views, mirror=mirror is not None):
        shown = images.flip(-1) if view.flip else images
        unmoved = view.angle == 0 and view.zoom == 1
        warp = None if unmoved else view.warp(len(images), images.device)
        found = model.encode(shown if warp is None else warp.image(shown))
        back, own = found.points if warp is None else warp.inverse_points(found.points), found.spread / view.zoom
        if view.flip and mirror is not None:
            back, own = mirrored(back, mirror), own[:, mirror]
        points.append(back)
        heatmap_spread.append(own)
    return TtaPredictions(torch.stack(points), torch.stack(heatmap_spread))


def joined_predictions(parts: Sequence[TtaPredictions]) -> TtaPredictions:
    """The predictions for several batches, one after the other."""
    points = torch.cat([part.points for part in parts], dim=1)
    return TtaPredictions(points, torch.cat([part.heatmap_spread for part in parts], dim=1))
