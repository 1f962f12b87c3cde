"""How good a decoder is: redrawn images compared with the originals, fakes with the landmarks they were drawn from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from brule.arrays import Array
from brule.errors import DataError
from brule.evaluation import normaliser as find_distance
from brule.evaluation.metrics import normalized_mean_error
from brule.redrawing.redrawer import Redrawer, as_crops, at_size
from brule.redrawing.similarity import check_images, mean_absolute_difference, structural_similarity
from brule.redrawing.two_samples import PatchDistance, patch_distance

HEADER = ("", "this decoder", "a constant", "real images")


@dataclass(frozen=True)
class DecoderScores:
    """What a decoder is worth on images that it hasn't learnt from, each figure beside that of a constant prediction.

    Attributes:
        l1: mean difference between the images and the same redrawn from their own landmarks and style, % of black to white.
        floor_l1: that of the mean image of the set, for every image.
        ssim: structural similarity between the same, 1 at best.
        floor_ssim: that of the mean image.
        consistency: the detector on fakes, against the landmarks they were drawn from: NME in % of the distance.
        floor_consistency: that of the mean landmark set, for every fake.
        patches: patch distance between real images and fakes with the same landmarks, halves of the set, in thousandths.
        floor_patches: that of the mean image.
        real_patches: that between one half of the real images and the other: about what a perfect decoder would reach.
        patch_levels: side of the pyramid's level → ``patches`` at it.
        real_patch_levels: side of the pyramid's level → ``real_patches`` at it.
        n: number of images.
        image_size: side of the decoder's images, pixels.
        normaliser: the distance in ``consistency``.
        styles: where the fakes' styles come from.
        seed: random seed.
    """

    l1: float
    floor_l1: float
    ssim: float
    floor_ssim: float
    consistency: float
    floor_consistency: float
    patches: float | None
    floor_patches: float | None
    real_patches: float | None
    patch_levels: dict[int, float]
    real_patch_levels: dict[int, float]
    n: int
    image_size: int
    normaliser: str
    styles: str
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON; the patch figures of a single image are missing (``None``)."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The figures as text, under :data:`HEADER`."""
        patches = ["" if v is None else f"{v:.1f}" for v in (self.patches, self.floor_patches, self.real_patches)]
        return [
            ("redrawn, L1", f"{self.l1:.2f} %", f"{self.floor_l1:.2f} %", "0"),
            ("redrawn, SSIM", f"{self.ssim:.3f}", f"{self.floor_ssim:.3f}", "1"),
            ("fakes, landmarks", f"{self.consistency:.2f} %", f"{self.floor_consistency:.2f} %", ""),
            ("fakes, patches", patches[0], patches[1], patches[2]),
        ]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a decoder drew for a set of images.

    Attributes:
        real: ``(B, S, S, 3)`` uint8, the images at the decoder's size.
        redrawn: the same from their own landmarks and style.
        fakes: drawn with other styles.
        points: ``(B, N, 2)``, the landmarks that ``redrawn`` and ``fakes`` were drawn from.
        found: ``(B, N, 2)``, the detector's landmarks of the fakes, in the same frame.
        styles: where the fakes' styles come from.
    """

    real: Array
    redrawn: Array
    fakes: Array
    points: Array
    found: Array
    styles: str


def evaluate_decoder(
    redrawer: Redrawer,
    crops: ArrayLike,
    *,
    points: ArrayLike | None = None,
    truth: ArrayLike | None = None,
    normaliser: str = "auto",
    seed: int = 0,
) -> DecoderScores:
    """Redraw images and make some up, and score both; see :class:`DecoderScores`.

    Args:
        redrawer: detector and decoder.
        crops: ``(B, S, S, 3)`` uint8 that were not trained on.
        points: ``(B, N, 2)``, the detector's landmarks of them, where they are known already.
        truth: ``(B, N, 2)`` annotations in the same unit square, which give the normalising distances; by default the
            detector's landmarks do. Nothing else is taken from them.
        normaliser: as ``kind`` of :func:`brule.evaluation.normaliser`.
        seed: of styles and patches.

    Returns:
        The figures. Fakes are drawn with random styles, or, where none were learnt (no adversarial term), each with the
        style of the image before.

    Raises:
        DataError: if there is no image, shapes don't fit, or an image has no normalising distance.
    """
    images = as_crops(crops)
    found = redrawer.landmarks_of(images) if points is None else torch.as_tensor(np.asarray(points), dtype=torch.float32)
    name, distance = find_distance(found.numpy() if truth is None else truth, normaliser)
    own = redrawer.styles_of(images)
    known = redrawer.knows_random_styles
    styles = redrawer.random_styles(len(images), seed=seed) if known else own.roll(1, 0)
    real = np.concatenate([at_size(part, redrawer.image_size) for part in redrawer.parts(images)])
    redrawn = redrawer.draw(found, own)
    fakes = redrawer.draw(found, styles)
    again = redrawer.landmarks_of(fakes).numpy()
    drawn = Drawn(real, redrawn, fakes, found.numpy(), again, "random" if known else "of another image")
    return score_decoder(drawn, distance=distance, normaliser=name, seed=seed)


def score_decoder(drawn: Drawn, *, distance: ArrayLike, normaliser: str, seed: int = 0) -> DecoderScores:
    """Every figure for what a decoder drew.

    Args:
        drawn: images and landmarks.
        distance: what the landmark errors are divided by, ``(B,)`` or a number, in the frame of the points.
        normaliser: its name.
        seed: of the patches.

    Raises:
        DataError: if the arrays don't fit each other, or the images are smaller than 11 pixels.
    """
    check_images(drawn.real, drawn.fakes)
    real = np.asarray(drawn.real)
    constant = np.broadcast_to(mean_image(real), real.shape)
    points = np.asarray(drawn.points, dtype=np.float64)
    if len(points) != len(real):
        raise DataError(f"decoder: expected a landmark set for each of {len(real)} images, got {len(points)}")
    mean_points = np.broadcast_to(points.mean(axis=0), points.shape)
    patches, floor, between_real = (
        _of_halves(real, drawn.fakes, seed),
        _of_halves(real, constant, seed),
        _of_halves(real, _halves_swapped(real), seed),
    )
    return DecoderScores(
        l1=float(mean_absolute_difference(drawn.redrawn, real).mean()),
        floor_l1=float(mean_absolute_difference(constant, real).mean()),
        ssim=float(structural_similarity(drawn.redrawn, real).mean()),
        floor_ssim=float(structural_similarity(constant, real).mean()),
        consistency=float(normalized_mean_error(drawn.found, points, distance=distance).mean()),
        floor_consistency=float(normalized_mean_error(mean_points, points, distance=distance).mean()),
        patches=patches.mean if patches else None,
        floor_patches=floor.mean if floor else None,
        real_patches=between_real.mean if between_real else None,
        patch_levels=patches.levels if patches else {},
        real_patch_levels=between_real.levels if between_real else {},
        n=len(real),
        image_size=int(real.shape[1]),
        normaliser=normaliser,
        styles=drawn.styles,
        seed=seed,
    )


def mean_image(images: ArrayLike) -> Array:
    """The mean over a set ``(B, H, W, C)`` of bytes, rounded to bytes ``(H, W, C)``."""
    return np.rint(np.asarray(images).mean(axis=0, dtype=np.float64)).astype(np.uint8)


def _of_halves(real: Array, other: ArrayLike, seed: int) -> PatchDistance | None:
    """The mean over the even and the odd images of their distances: sets of the size that two *real* ones can have."""
    if len(real) < 2:
        return None
    images = np.asarray(other)
    even = len(real) // 2 * 2
    halves = [patch_distance(real[start:even:2], images[start:even:2], seed=seed) for start in (0, 1)]
    levels = {side: (halves[0].levels[side] + halves[1].levels[side]) / 2 for side in halves[0].levels}
    return PatchDistance((halves[0].mean + halves[1].mean) / 2, levels)


def _halves_swapped(images: Array) -> Array:
    """Every even image in the place of the odd one that follows it, and the other way round."""
    even = len(images) // 2 * 2
    order = np.arange(len(images))
    order[:even] = order[:even].reshape(-1, 2)[:, ::-1].ravel()
    return images[order]
