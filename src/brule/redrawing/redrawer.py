"""``Redrawer``: images from landmarks and styles, by the decoder that a detector was trained with (BRULÈ, Fig. 6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from brule.detector import LandmarkDetector
from brule.errors import CheckpointError, ConfigError, DataError
from brule.model import Decoder
from brule.networks.style import ROWS, draw_noise
from brule.tensors import resized, to_bytes, to_input

_HOW_TO_GET_ONE = "train one that has: brule train … --set gan.enabled=true (in Python: gan__enabled=True)"


class Redrawer:
    """Draws images from landmarks and styles.

    Everything is drawn in float32 and without pixel noise, so the same landmarks and styles give the same image.

    Args:
        detector: trained with a decoder.
        batch_size: images at a time.

    Attributes:
        detector: as given.
        decoder: its :class:`brule.model.Decoder`, in evaluation mode, on the detector's device.

    Raises:
        ConfigError: if the detector was trained without a decoder.

    Example:
        >>> from brule.data.synthetic import synthetic_faces
        >>> faces = synthetic_faces(12, size=64)
        >>> detector = LandmarkDetector(iterations=1, batch_size=4, quiet=True, gan__enabled=True)
        >>> redrawer = Redrawer(detector.fit(faces.images, shapes=faces.points[:5]))
        >>> redrawer.grid(redrawer.landmarks_of(faces.images[:3]), redrawer.random_styles(4, seed=1)).shape
        (3, 4, 32, 32, 3)
    """

    def __init__(self, detector: LandmarkDetector, *, batch_size: int = 64) -> None:
        decoder: Decoder | None = getattr(detector, "decoder_", None)
        if decoder is None:
            raise ConfigError(f"this detector was trained without a decoder, so it can't redraw; {_HOW_TO_GET_ONE}")
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected at least 1, got {batch_size}")
        self.detector, self.batch_size = detector, batch_size
        self._device = torch.device(detector.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.decoder = decoder.to(self._device).eval()

    @classmethod
    def load(cls, directory: Path | str, *, device: str | None = None, batch_size: int = 64) -> Redrawer:
        """That of a run, or of a saved detector.

        Raises:
            CheckpointError: if there is no detector, it is damaged, or it was trained without a decoder.
        """
        detector = LandmarkDetector.load(directory, device=device)
        if detector.decoder_ is None:
            raise CheckpointError(f"{directory}: was trained without a decoder, so it can't redraw; {_HOW_TO_GET_ONE}")
        return cls(detector, batch_size=batch_size)

    @property
    def n_points(self) -> int:
        """Landmarks of a set."""
        return len(self.detector.barycenter_)

    @property
    def image_size(self) -> int:
        """Side of what is drawn, in pixels."""
        return self.decoder.image_size

    @property
    def style_dim(self) -> int:
        """Entries of each of the two rows of a style."""
        return int(self.decoder.style_encoder.last.weight.shape[0]) // ROWS

    @property
    def knows_random_styles(self) -> bool:
        """Whether random styles were learnt: only the adversarial term teaches them."""
        return self.detector.config_.gan.adversarial > 0

    @torch.no_grad()
    def random_styles(self, n: int, *, seed: int = 0, mixing: float | None = None) -> Tensor:
        """``S_o(z)`` for random ``z``.

        Args:
            n: how many.
            seed: the same one gives the same styles.
            mixing: the share of them whose two rows come from two draws; by default that of the training.

        Returns:
            ``(n, 2, style_dim)`` float32 on the CPU: row 1 for the blocks below 16 × 16, row 2 for those from there on.

        Raises:
            ConfigError: if there is to be none, or the share isn't one.
        """
        share = self.decoder.mixing if mixing is None else mixing
        if n < 1:
            raise ConfigError(f"styles: expected at least 1, got {n}")
        if not 0 <= share <= 1:
            raise ConfigError(f"mixing: expected a share from 0 to 1, got {share}")
        mapping = self.decoder.style_mapping
        noise = draw_noise(n, mapping.noise_dim, mixing=share, generator=torch.Generator().manual_seed(seed))
        style: Tensor = mapping(noise.to(self._device))
        return style.float().cpu()

    @torch.no_grad()
    def styles_of(self, crops: ArrayLike) -> Tensor:
        """``S(I)`` of crops ``(B, S, S, 3)`` uint8 of any size: ``(B, 2, style_dim)`` float32 on the CPU."""
        return torch.cat([self.decoder.style_of(self._input(part)).float().cpu() for part in self.parts(as_crops(crops))])

    def landmarks_of(self, crops: ArrayLike) -> Tensor:
        """The detector's landmarks of crops ``(B, S, S, 3)`` uint8 of any size: ``(B, N, 2)`` in their unit square."""
        size = self.detector.config_.crop.image_size
        found = [self.detector.predict_crops(at_size(part, size)).points for part in self.parts(as_crops(crops))]
        return torch.cat(found).float()

    @torch.no_grad()
    def draw(self, points: ArrayLike | Tensor, styles: Tensor) -> np.ndarray:
        """``G(L(X), S)``: an image for each landmark set and its style.

        Args:
            points: ``(B, N, 2)`` in the unit square of the crop.
            styles: ``(B, 2, style_dim)``.

        Returns:
            ``(B, S, S, 3)`` uint8.

        Raises:
            DataError: if shapes don't fit the detector or each other.
        """
        sets, rows = self._checked(points, styles)
        if len(sets) != len(rows):
            raise DataError(
                f"draw: expected a style for each of {len(sets)} landmark sets, got {len(rows)}; grid pairs them all"
            )
        parts = []
        for start in range(0, len(sets), self.batch_size):
            part = slice(start, start + self.batch_size)
            with torch.autocast(self._device.type, enabled=False):
                parts.append(to_bytes(self.decoder(sets[part].to(self._device), rows[part].to(self._device))))
        return np.concatenate(parts)

    def grid(self, points: ArrayLike | Tensor, styles: Tensor) -> np.ndarray:
        """Every landmark set under every style.

        Args:
            points: ``(R, N, 2)`` in the unit square of the crop.
            styles: ``(C, 2, style_dim)``.

        Returns:
            ``(R, C, S, S, 3)`` uint8.

        Raises:
            DataError: if shapes don't fit the detector.
        """
        sets, rows = self._checked(points, styles)
        drawn = self.draw(sets.repeat_interleave(len(rows), 0), rows.repeat(len(sets), 1, 1))
        return drawn.reshape(len(sets), len(rows), *drawn.shape[1:])

    def _checked(self, points: ArrayLike | Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
        sets = torch.as_tensor(np.asarray(points), dtype=torch.float32)
        if sets.ndim != 3 or tuple(sets.shape[1:]) != (self.n_points, 2) or not len(sets):
            raise DataError(f"points: expected (B, {self.n_points}, 2), as the detector finds them, got {tuple(sets.shape)}")
        if not bool(torch.isfinite(sets).all()):
            raise DataError("points: expected finite coordinates, got NaN or infinity")
        if styles.ndim != 3 or tuple(styles.shape[1:]) != (ROWS, self.style_dim) or not len(styles):
            raise DataError(
                f"styles: expected (B, {ROWS}, {self.style_dim}), as this decoder has them, got {tuple(styles.shape)}"
            )
        return sets, styles.float()

    def parts(self, crops: np.ndarray) -> Iterator[np.ndarray]:
        """Crops in batches that fit in memory."""
        for start in range(0, len(crops), self.batch_size):
            yield np.array(crops[start : start + self.batch_size])  # a copy: PyTorch warns of read-only memory

    def _input(self, crops: np.ndarray) -> Tensor:
        return resized(to_input(torch.from_numpy(crops)).to(self._device), self.image_size)


def at_size(images: np.ndarray, size: int) -> np.ndarray:
    """Bytes ``(B, S, S, 3)`` at another size, as the training makes them smaller: every pixel the mean of what it covers."""
    if images.shape[1:3] == (size, size):
        return images
    return to_bytes(resized(to_input(torch.from_numpy(images)), size))


def as_crops(crops: ArrayLike) -> np.ndarray:
    """Crops as an array ``(B, S, S, 3)`` of bytes.

    Raises:
        DataError: they have another shape or type.
    """
    images = np.asarray(crops)
    if (
        images.ndim != 4
        or images.shape[3] != 3
        or images.shape[1] != images.shape[2]
        or images.dtype != np.uint8
        or not len(images)
    ):
        raise DataError(
            f"crops: expected square ones (B, S, S, 3) of uint8, at least one, got {images.shape} of {images.dtype}"
        )
    return images
