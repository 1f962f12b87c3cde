"""``Redrawer``: images from landmarks and styles, by the decoder that a detector was trained with (BRULÈ, Fig. 6)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from brule.detector import LandmarkDetector
from brule.errors import CheckpointError, ConfigError, DataError
from brule.evaluation import normaliser as find_distance
from brule.evaluation.decoder import DecoderScores, Drawn, score_decoder
from brule.files import write_text
from brule.model import Decoder
from brule.networks.style import ROWS, draw_noise
from brule.tensors import resized, to_bytes, to_input

FORMAT = "brule-redrawing-1"
FRAME = "unit square of the crop"
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
        return torch.cat([self.decoder.style_of(self._input(part)).float().cpu() for part in self._parts(_as_crops(crops))])

    def landmarks_of(self, crops: ArrayLike) -> Tensor:
        """The detector's landmarks of crops ``(B, S, S, 3)`` uint8 of any size: ``(B, N, 2)`` in their unit square."""
        size = self.detector.config_.crop.image_size
        found = [self.detector.predict_crops(at_size(part, size)).points for part in self._parts(_as_crops(crops))]
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

    def _parts(self, crops: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(crops), self.batch_size):
            yield np.array(crops[start : start + self.batch_size])  # a copy: PyTorch warns of read-only memory

    def _input(self, crops: np.ndarray) -> Tensor:
        return resized(to_input(torch.from_numpy(crops)).to(self._device), self.image_size)


def mixed(coarse: Tensor, fine: Tensor) -> Tensor:
    """Style mixing: row 1 of one style, row 2 of the other.

    Args:
        coarse: ``(B, 2, style_dim)``, for the blocks below 16 × 16.
        fine: ``(B, 2, style_dim)``, for those from there on.

    Returns:
        ``(B, 2, style_dim)``.

    Raises:
        DataError: if the two differ in shape.
    """
    if coarse.shape != fine.shape or coarse.ndim != 3 or coarse.shape[1] != ROWS:
        raise DataError(f"styles: expected two of one shape (B, {ROWS}, D), got {tuple(coarse.shape)}, {tuple(fine.shape)}")
    return torch.stack([coarse[:, 0], fine[:, 1]], dim=1)


def interpolated_styles(styles: Tensor, steps: int) -> Tensor:
    """Styles with ``steps`` further ones between each two that follow each other, on straight lines.

    Args:
        styles: ``(K, 2, style_dim)``.
        steps: how many between two; 0 changes nothing.

    Returns:
        ``(K + (K − 1) · steps, 2, style_dim)``; every ``steps + 1``-th is one of the styles.

    Raises:
        ConfigError: if the steps are negative.
    """
    if steps < 0:
        raise ConfigError(f"styles: expected 0 steps or more between two, got {steps}")
    shares = torch.arange(steps + 1).view(-1, 1, 1) / (steps + 1)
    ways = [(1 - shares) * a + shares * b for a, b in itertools.pairwise(styles)]
    return torch.cat([*ways, styles[-1:]])


def at_size(images: np.ndarray, size: int) -> np.ndarray:
    """Bytes ``(B, S, S, 3)`` at another size, as the training makes them smaller: every pixel the mean of what it covers."""
    if images.shape[1:3] == (size, size):
        return images
    return to_bytes(resized(to_input(torch.from_numpy(images)), size))


def evaluate_decoder(
    redrawer: Redrawer,
    crops: ArrayLike,
    *,
    points: ArrayLike | None = None,
    truth: ArrayLike | None = None,
    normaliser: str = "auto",
    seed: int = 0,
) -> DecoderScores:
    """Redraw images and make some up, and score both; see :class:`brule.evaluation.decoder.DecoderScores`.

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
    images = _as_crops(crops)
    found = redrawer.landmarks_of(images) if points is None else torch.as_tensor(np.asarray(points), dtype=torch.float32)
    name, distance = find_distance(found.numpy() if truth is None else truth, normaliser)
    own = redrawer.styles_of(images)
    known = redrawer.knows_random_styles
    styles = redrawer.random_styles(len(images), seed=seed) if known else own.roll(1, 0)
    real = np.concatenate([at_size(part, redrawer.image_size) for part in redrawer._parts(images)])
    redrawn = redrawer.draw(found, own)
    fakes = redrawer.draw(found, styles)
    again = redrawer.landmarks_of(fakes).numpy()
    drawn = Drawn(real, redrawn, fakes, found.numpy(), again, "random" if known else "of another image")
    return score_decoder(drawn, distance=distance, normaliser=name, seed=seed)


@dataclass(frozen=True, eq=False)
class Recipe:
    """Landmark sets and styles: all that a grid of pictures is drawn from.

    Attributes:
        points: ``(R, N, 2)`` float32 in the unit square of the crop.
        names: of the landmark sets.
        styles: ``(C, 2, style_dim)`` float32.
        style_names: of the styles.
    """

    points: np.ndarray
    names: list[str]
    styles: Tensor
    style_names: list[str]

    def write(self, path: Path | str, **facts: Any) -> None:
        """Write it as JSON, with every digit that float32 has; ``facts`` are kept beside it for the reader."""
        content = {
            "format": FORMAT,
            "frame": FRAME,
            **facts,
            "names": self.names,
            "shapes": _digits(self.points),
            "style_names": self.style_names,
            "styles": _digits(self.styles.numpy()),
        }
        write_text(path, json.dumps(content) + "\n")

    @classmethod
    def read(cls, path: Path | str) -> Recipe | None:
        """That of a JSON file; ``None`` if the file is JSON of another kind, or no JSON.

        Raises:
            DataError: it is damaged, or can't be read.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror})") from error
        except (ValueError, RecursionError):
            return None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return None
        try:
            points = np.array(content["shapes"], dtype=np.float32)
            styles = torch.tensor(content["styles"], dtype=torch.float32)
            names, style_names = [str(name) for name in content["names"]], [str(name) for name in content["style_names"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{path}: damaged ({error}); brule generate writes it anew") from None
        if points.ndim != 3 or points.shape[2] != 2 or styles.ndim != 3 or styles.shape[1] != ROWS:
            raise DataError(f"{path}: damaged: its landmarks are {points.shape}, its styles {tuple(styles.shape)}")
        finite = np.isfinite(points).all() and bool(torch.isfinite(styles).all())
        if len(names) != len(points) or len(style_names) != len(styles) or not finite:
            raise DataError(f"{path}: damaged: names are missing, or numbers aren't finite")
        return cls(points, names, styles, style_names)


def _digits(values: np.ndarray) -> Any:
    """Nested lists with nine digits a number, which are enough to have the same float32 again."""
    if values.ndim > 1:
        return [_digits(part) for part in values]
    return [float(f"{value:.9g}") for value in values.astype(np.float64).tolist()]


def _as_crops(crops: ArrayLike) -> np.ndarray:
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
