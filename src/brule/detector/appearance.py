"""What training images look like, so that ``predict`` can warn of images of another kind: a face detector on X-rays."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from brule.arrays import Array
from brule.data import as_image, load_picture
from brule.errors import BruleError, CheckpointError
from brule.files import parse_json, write_text
from brule.tracking.run_files import APPEARANCE

FORMAT = "brule-appearance-1"
MAX_IMAGES = 400  # of training: more hardly move mean and covariance
MIN_IMAGES = 20  # of training: fewer show nothing of what else is usual
MIN_CHECKED = 5  # images of a folder: fewer are too few to speak of a folder
MAX_CHECKED = 200
_SIDE = 64  # pixels of the thumbnail
_QUANTILE = 0.95  # of the training images lie within the threshold
_MIN_THRESHOLD = 1.5  # about this quantile of d² where a Gaussian is right: χ² of 24 degrees of freedom, divided by 24
_FOLDS = 5
_DARK = 0.02  # added to the contrast: flat images have none
_BANDS = ((1, 3), (3, 6), (6, 12), (12, 20), (20, 32))  # cycles per image
_DIRECTIONS = 4
_BLOCKS = 3

_log = logging.getLogger("brule")


@dataclass(frozen=True, eq=False)
class Appearance:
    r"""A Gaussian over descriptors of whole training images.

    .. math:: d^2(x) = \tfrac1D (x - \mu)^\top C^{-1} (x - \mu)

    over the ``D`` numbers of :func:`descriptor`. It holds a mean and a covariance, no image and no thumbnail.

    Attributes:
        mean: ``μ``, ``(D,)``.
        precision: ``C⁻¹``, ``(D, D)``; the covariance is shrunk towards its diagonal the more, the fewer images there are, and
            no number varies less than among images of one kind in general: images of a single afternoon don't show what else
            is usual.
        threshold: 95 % of the training images have a smaller ``d²``, each under a Gaussian that was fitted without it and its
            neighbours in the order of the files, such as other frames of the same video. It is at least 1.5.
        count: how many images it was fitted to.
    """

    mean: Array
    precision: Array
    threshold: float
    count: int

    @classmethod
    def fit(cls, descriptors: Array) -> Appearance:
        """Fit to descriptors ``(M, D)`` of training images, similar ones next to each other."""
        held_out = np.empty(len(descriptors))
        for own in np.array_split(np.arange(len(descriptors)), _FOLDS):
            held_out[own] = _distances(descriptors[own], *_gaussian(np.delete(descriptors, own, axis=0)))
        threshold = max(float(np.quantile(held_out, _QUANTILE)), _MIN_THRESHOLD)
        return cls(*_gaussian(descriptors), threshold, len(descriptors))

    @classmethod
    def of(cls, sources: Sequence[Any], *, seed: int = 0) -> Appearance | None:
        """Fit to at most 400 of these images: paths, arrays or Pillow images. ``None`` if fewer than 20 can be read.

        A file that is named twice, as an annotated image among the unlabelled ones, counts once.
        """
        different = list({_identity(source): source for source in sources}.values())
        chosen = np.random.default_rng(seed).permutation(len(different))[:MAX_IMAGES]
        read = (_thumbnail_of(different[k]) for k in sorted(chosen.tolist()))
        found = [descriptor(image) for image in read if image is not None]
        return cls.fit(np.stack(found)) if len(found) >= MIN_IMAGES else None

    def unfamiliar(self, descriptors: Array) -> Array:
        """``(M,)`` booleans: images whose distance is exceeded by fewer than one in twenty training images."""
        return _distances(descriptors, self.mean, self.precision) > self.threshold

    def write(self, folder: Path) -> None:
        """Write ``appearance.json``, whole or not at all."""
        numbers = {"mean": self.mean.tolist(), "precision": self.precision.tolist(), "threshold": self.threshold}
        write_text(folder / APPEARANCE, json.dumps({"format": FORMAT, "count": self.count, **numbers}) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Appearance | None:
        """That of a detector's folder; ``None`` if it has none, as those of earlier versions.

        Raises:
            CheckpointError: the file is damaged.
        """
        path = folder / APPEARANCE
        if not path.is_file():
            return None
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
            mean, precision = (np.array(content[name], dtype=np.float64) for name in ("mean", "precision"))
            if content["format"] != FORMAT or precision.shape != (len(mean), len(mean)) or len(mean) != _LENGTH:
                raise ValueError(f"expected format {FORMAT} with {_LENGTH} numbers per image")
            if not (np.isfinite(mean).all() and np.isfinite(precision).all()):
                raise ValueError("numbers that aren't finite")
            # Earlier versions of brule took what the training images had in common for what all of their kind have.
            precision = np.linalg.inv(_widened(np.linalg.inv(precision)))
            return cls(mean, precision, max(float(content["threshold"]), _MIN_THRESHOLD), int(content["count"]))
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path}: damaged ({error}); without this file, brule can't warn of unusual images: remove it to continue"
            ) from None


@dataclass
class FolderCheck:
    """Checks the images of a prediction, and warns at its end if most of them look different from the training images.

    Attributes:
        appearance: of the training images; ``None`` checks nothing.
        found: a boolean for each image checked so far, at most 200: whether it is unfamiliar.
    """

    appearance: Appearance | None
    found: list[bool] = field(default_factory=list)

    def add(self, images: Iterable[Image.Image]) -> None:
        """Check images."""
        if self.appearance is None or len(self.found) >= MAX_CHECKED:
            return
        self.found.extend(self.appearance.unfamiliar(np.stack([descriptor(image) for image in images])).tolist())

    @property
    def outside(self) -> bool:
        """Whether more than half of the images, and of at least five, are unfamiliar."""
        return len(self.found) >= MIN_CHECKED and 2 * sum(self.found) > len(self.found)

    def warn(self) -> None:
        """Log a warning if the folder is outside of what training saw."""
        if self.outside and self.appearance is not None:
            _log.warning(
                f"{sum(self.found)} of {len(self.found)} images look unlike the {self.appearance.count} training images that "
                "this detector remembers: are they of the same kind? Its landmarks may mean nothing here"
            )


def descriptor(image: Image.Image) -> Array:
    """``(24,)``: brightness, contrast, colour, sharpness, directions and the layout of an image.

    Everything but brightness and contrast is of the standardised thumbnail, so that a darker photograph isn't another kind.
    """
    small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    rgb = np.asarray(small, dtype=np.float64) / 255
    grey = rgb @ np.array([0.299, 0.587, 0.114])
    contrast = grey.std() + _DARK
    standard = (grey - grey.mean()) / contrast
    red_green, yellow_blue = rgb[..., 0] - rgb[..., 1], (rgb[..., 0] + rgb[..., 1]) / 2 - rgb[..., 2]
    colour = [red_green.mean(), yellow_blue.mean(), np.log(red_green.std() + 0.01), np.log(yellow_blue.std() + 0.01)]
    third = _SIDE // _BLOCKS
    edge = _BLOCKS * third
    layout = standard[:edge, :edge].reshape(_BLOCKS, third, _BLOCKS, third).mean((1, 3)).ravel()
    return np.concatenate([[grey.mean(), np.log(contrast)], colour, _spectrum(standard), layout])


_LENGTH = 2 + 4 + len(_BANDS) + _DIRECTIONS + _BLOCKS**2
# How much each number of a descriptor varies among images of one kind at least: light, camera, background.
_USUAL_STD = np.repeat([0.1, 0.3, 0.05, 0.5, 0.5, 0.25, 0.35], [1, 1, 2, 2, len(_BANDS), _DIRECTIONS, _BLOCKS**2])


def _spectrum(standard: Array) -> Array:
    """Log power of a standardised thumbnail in bands of frequency, and its shares in four directions."""
    window = np.hanning(_SIDE)
    power = np.abs(np.fft.fft2(standard * np.outer(window, window))) ** 2
    cycles = np.fft.fftfreq(_SIDE) * _SIDE
    down, across = cycles[:, None], cycles[None]
    radius, angle = np.hypot(down, across), np.mod(np.arctan2(down, across), np.pi)
    bands = [power[(radius >= low) & (radius < high)].mean() for low, high in _BANDS]
    middle = (radius >= 2) & (radius < 20)
    direction = np.round(angle / (np.pi / _DIRECTIONS)).astype(int) % _DIRECTIONS
    shares = [power[middle & (direction == k)].sum() / max(power[middle].sum(), 1e-12) for k in range(_DIRECTIONS)]
    return np.log(np.array([*bands, *shares]) + 1e-3)


def _gaussian(descriptors: Array) -> tuple[Array, Array]:
    """Mean and inverse covariance; the correlations shrink by ``D / (D + M)``."""
    mean = descriptors.mean(axis=0)
    away = descriptors - mean
    count, length = away.shape
    share = length / (length + count)
    covariance = away.T @ away / count
    shrunk = (1 - share) * covariance + share * np.diag(np.diag(covariance))
    return mean, np.linalg.inv(_widened(shrunk))


def _widened(covariance: Array) -> Array:
    """The same with variances that are at least the usual ones."""
    return covariance + np.diag(np.maximum(_USUAL_STD**2 - np.diag(covariance), 0.0))


def _distances(descriptors: Array, mean: Array, precision: Array) -> Array:
    away = descriptors - mean
    return np.einsum("mi,ij,mj->m", away, precision, away) / len(mean)


def _identity(source: Any) -> str | int:
    """What is the same for two sources that are one image."""
    return os.path.realpath(source) if isinstance(source, (str, Path)) else id(source)


def _thumbnail_of(source: Any) -> Image.Image | None:
    """A training image, as small as its file can be decoded; ``None`` if it can't be read, which training itself reports."""
    try:
        if isinstance(source, (str, Path)):
            return load_picture(source, lambda width, height: 2 * _SIDE / max(width, height)).image
        return as_image(source)
    except (BruleError, OSError):
        return None
