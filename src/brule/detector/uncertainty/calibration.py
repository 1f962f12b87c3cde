r"""The model from uncertainty features to an expected error, and its file.

The expected error of landmark n in image b, in sides of the crop, is

.. math:: \mu_{bn} = s_n \prod_k f_{bnk}^{w_k}, \qquad w_k \ge 0

with one scale ``s_n`` per landmark and one exponent ``w_k`` per feature: monotone in every feature, moderate where a
feature leaves the calibrated range, and with few enough parameters for a few images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brule.arrays import Array
from brule.detector.uncertainty.features import FEATURES, UncertaintyFeatures
from brule.detector.verification import read_json
from brule.errors import CheckpointError, ConfigError, DataError
from brule.files import write_text
from brule.tracking.run_files import CALIBRATION

FORMAT = "brule-calibration-1"
UNIT = "expected distance from the truth, in sides of the crop"

_RENAMED = {"belief": "heatmap_spread"}  # in files of earlier versions
_PRIOR_IMAGES = 6.0  # a landmark's scale is drawn to the common one with the weight of this number of images
_MIN_VARIATION = 0.05  # of a feature's logarithm: one that varies by less than 5 % shall not decide by its noise
_MIN_ERROR = 1e-6  # sides of the crop: an error of exactly zero has no logarithm


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """Predicts an expected error from uncertainty features, for one number of views.

    Attributes:
        exponents: ``w_k`` by the name of the feature, none negative.
        scale: ``s_n``, ``(N,)``, positive.
    """

    exponents: Mapping[str, float]
    scale: Array

    def expected(self, features: UncertaintyFeatures) -> Array:
        """``(B, N)`` in sides of the crop."""
        names = tuple(self.exponents)
        weights = np.array([self.exponents[name] for name in names])
        return np.asarray(self.scale * np.exp(features.logarithms(names) @ weights))

    @classmethod
    def fit(cls, features: UncertaintyFeatures, errors: Array) -> ErrorModel:
        r"""Fit scales and exponents to annotated images: a gamma regression with logarithmic link.

        Minimises ``Σ (e/μ + log μ)`` over all landmarks of all images, the likelihood of errors that are gamma distributed
        about ``μ``. It asks for the mean error rather than a typical one, whatever the distribution: afterwards the mean
        of ``e/μ`` is one. Convex, so there is one solution.

        Args:
            features: of B images.
            errors: ``(B, N)`` in sides of the crop, NaN where a landmark isn't annotated.

        Raises:
            DataError: no landmark is annotated.
        """
        names = features.names
        logarithms = features.logarithms(names)
        present = np.isfinite(errors)
        if not present.any():
            raise DataError("calibrate: expected annotated landmarks, all of them are missing")
        centre, width = logarithms.mean((0, 1)), np.maximum(logarithms.std((0, 1)), _MIN_VARIATION)
        scaled = (logarithms - centre) / width
        target = np.where(present, np.maximum(errors, _MIN_ERROR), 0.0)
        unit = target.sum() / present.sum()
        solution = _minimise(scaled, target / unit, present)
        n = errors.shape[1]
        exponents = solution[n:] / width
        scale = unit * np.exp(solution[:n] - centre @ exponents)
        return cls(dict(zip(names, exponents.tolist(), strict=True)), scale)


def _minimise(features: Array, target: Array, present: Array) -> Array:
    """Logarithms of the scales ``(N,)``, then the exponents ``(K,)``, for standardised features and errors of mean one."""
    from scipy.optimize import minimize

    n, k = features.shape[1:]

    def objective(parameters: Array) -> tuple[float, Array]:
        offsets, exponents = parameters[:n], parameters[n:]
        logarithm = offsets + features @ exponents
        ratio = target * np.exp(-logarithm)
        apart = offsets - offsets.mean()
        # The tiny pull of the exponents to zero decides where features say the same.
        value = ((ratio + logarithm) * present).sum() + (_PRIOR_IMAGES * (apart**2).sum() + (exponents**2).sum()) / 2
        slope = (1 - ratio) * present
        return float(value), np.concatenate(
            [slope.sum(axis=0) + _PRIOR_IMAGES * apart, np.einsum("bn,bnk->k", slope, features) + exponents]
        )

    bounds = [(None, None)] * n + [(0.0, None)] * k
    options = {"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-9}
    return np.asarray(minimize(objective, np.zeros(n + k), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The error models of a detector, one for every number of views that it was calibrated with.

    Attributes:
        maps: the error models by the number of views.
        images: how many annotated images they were fitted to.
        facts: what was measured then, for the reader.
    """

    maps: Mapping[int, ErrorModel]
    images: int
    facts: Mapping[str, Any]

    def expected(self, features: UncertaintyFeatures, views: int) -> Array:
        """Expected errors ``(B, N)`` in sides of the crop.

        Raises:
            ConfigError: it wasn't calibrated with that many views.
        """
        self.check_views(views)
        return self.maps[views].expected(features)

    def check_views(self, views: int) -> None:
        """Refuse a number of views that there is no error model for.

        Raises:
            ConfigError: it wasn't calibrated with that many.
        """
        if views not in self.maps:
            raise ConfigError(
                f"tta: this detector is calibrated for 1 to {max(self.maps)} views, got {views}; calibrate it again with more "
                f"(brule calibrate --tta {views})"
            )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        maps = [
            {"views": views, "exponents": dict(one.exponents), "scale": [float(f"{value:.6g}") for value in one.scale]}
            for views, one in sorted(self.maps.items())
        ]
        return {"format": FORMAT, "unit": UNIT, "images": self.images, "maps": maps, "facts": dict(self.facts)}


def write_calibration(folder: Path, calibration: Calibration) -> Path:
    """Write ``calibration.json`` into a detector's folder, whole or not at all; returns its path."""
    path = folder / CALIBRATION
    write_text(path, json.dumps(calibration.to_dict(), indent=1) + "\n")
    return path


def read_calibration(folder: Path, *, landmarks: int, features: tuple[str, ...] = FEATURES) -> Calibration | None:
    """That of a folder; ``None`` if the detector wasn't calibrated.

    Args:
        folder: of the detector.
        landmarks: how many it finds.
        features: the names of the uncertainty features that it can compute.

    Raises:
        CheckpointError: the file is damaged, or of another detector.
    """
    path = folder / CALIBRATION
    if not path.is_file():
        return None
    advice = "remove it, or calibrate the detector again"
    try:
        content = read_json(path, advice=advice)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"expected format {FORMAT}")
        maps = {int(one["views"]): _read_map(one) for one in content["maps"]}
        images, facts = int(content["images"]), dict(content.get("facts") or {})
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); {advice}") from None
    if sorted(maps) != list(range(1, len(maps) + 1)) or not maps:
        raise CheckpointError(f"{path}: damaged: expected maps for 1, 2, … views, got {sorted(maps)}; {advice}")
    for one in maps.values():
        unknown = [name for name in one.exponents if name not in features]
        if len(one.scale) != landmarks or unknown:
            raise CheckpointError(
                f"{path}: belongs to another detector: {len(one.scale)} landmarks instead of {landmarks}"
                f"{', features that this detector lacks: ' + ', '.join(unknown) if unknown else ''}; {advice}"
            )
    return Calibration(maps, images, facts)


def _read_map(content: Any) -> ErrorModel:
    scale = np.array(content["scale"], dtype=np.float64)
    exponents = {_RENAMED.get(str(name), str(name)): float(value) for name, value in content["exponents"].items()}
    values = np.array([*exponents.values(), 0.0])
    if scale.ndim != 1 or not np.isfinite(scale).all() or not (scale > 0).all():
        raise ValueError("scales aren't positive numbers")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("an exponent is negative or no number")
    return ErrorModel(exponents, scale)
