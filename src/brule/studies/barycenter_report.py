"""What the study of the barycenter's size found: the law by which the error falls, a table, a plot and a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from brule.evaluation import Estimate
from brule.evaluation.intervals import RESAMPLES
from brule.files import write_text
from brule.plots import save_picture
from brule.plots.svg import sample_size_chart, two_shapes_chart
from brule.studies.barycenter_size import SizeStudy

DRAWN = 10  # the paper's number of shapes: the barycenter that the picture shows beside that of all


@dataclass(frozen=True)
class PowerLaw:
    """``error² ≈ factor · n^-exponent · (K - n) / (K - 1)``.

    Attributes:
        exponent: a, with its 95 % bootstrap interval over the draws.
        factor: the squared error of a single shape, as the fit has it.
        total: K, how many shapes there are.
    """

    exponent: Estimate
    factor: float
    total: int

    def __call__(self, n: np.ndarray) -> np.ndarray:
        """The squared error of the barycenter of n shapes."""
        return self.factor * n**-self.exponent.value * (self.total - n) / (self.total - 1)


def fit_power_law(errors: Sequence[tuple[int, float]], total: int, *, seed: int = 0) -> PowerLaw | None:
    r"""Fit ``error² ∝ n^-a`` to draws without replacement by least squares on logarithms.

    .. math:: \log e^2 - \log \frac{K - n}{K - 1} = c - a \log n

    The second term is what draws from a finite number K of shapes take away from the variance of a mean: at ``n = K`` nothing
    is left of it. Without it, errors would seem to fall faster than they do wherever n isn't small against K.

    Args:
        errors: size and squared error of each draw; those of all K shapes, and errors of 0, take no part.
        total: K.
        seed: of the bootstrap, which draws anew within each size.

    Returns:
        The law; ``None`` if draws of fewer than two sizes are left.
    """
    by_size: dict[int, list[float]] = {}
    for n, squared in errors:
        if n < total and squared > 0:
            by_size.setdefault(n, []).append(np.log(squared) - np.log((total - n) / (total - 1)))
    if len(by_size) < 2:
        return None
    x = np.log(np.array(list(by_size), dtype=np.float64))
    weights = np.array([len(values) for values in by_size.values()], dtype=np.float64)
    centred = weights * (x - np.average(x, weights=weights))
    generator = np.random.default_rng(seed)
    means = np.stack([np.mean(values) for values in by_size.values()])
    drawn = np.stack(
        [
            np.array(values)[generator.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
            for values in by_size.values()
        ]
    )  # (sizes, resamples)
    slopes, slope = centred @ drawn / (centred @ x), float(centred @ means / (centred @ x))
    low, high = np.quantile(-slopes, [0.025, 0.975])
    offset = np.average(means, weights=weights) - slope * np.average(x, weights=weights)
    return PowerLaw(Estimate(-slope, float(low), float(high)), float(np.exp(offset)), total)


@dataclass(frozen=True)
class SizeLaws:
    """The two laws of a study, in (% of the normalising distance)².

    Attributes:
        w2: of W₂².
        nme: of the squared index-matched error.
    """

    w2: PowerLaw | None
    nme: PowerLaw | None

    @classmethod
    def of(cls, study: SizeStudy) -> SizeLaws:
        """Fitted to a study's draws."""
        w2 = fit_power_law([(draw.n, draw.w2_squared) for draw in study.draws], study.n_shapes)
        return cls(w2, fit_power_law([(draw.n, draw.nme**2) for draw in study.draws], study.n_shapes))


def report_barycenter_size(directory: Path, study: SizeStudy) -> str:
    """Write ``barycenter-size.json`` and ``.md``, the plot ``.svg``, and the two barycenters, ``barycenters.svg``.

    Returns:
        The table, as Markdown.
    """
    laws = SizeLaws.of(study)
    table = size_table(study, laws)
    content = asdict(study) | {"laws": {"w2_squared": _as_dict(laws.w2), "nme_squared": _as_dict(laws.nme)}}
    write_text(directory / "barycenter-size.json", json.dumps(content, allow_nan=False) + "\n")
    write_text(directory / "barycenter-size.md", table)
    _draw(directory, study, laws)
    return table


def size_table(study: SizeStudy, laws: SizeLaws) -> str:
    """One row per size: median and quartiles of W₂², W₂ and the index-matched error; then the fitted exponents."""
    lines = [
        f"Error of the barycenter of n shapes against that of all {study.n_shapes}; median (quartiles) of the draws, in % of",
        f"the {study.normaliser} of the latter.",
        "",
        "| n | draws | W₂² (%²) | W₂ (%) | index-matched (%) |",
        "|---|---|---|---|---|",
    ]
    for n in sorted({draw.n for draw in study.draws}):
        drawn = [draw for draw in study.draws if draw.n == n]
        squared, nme = np.array([draw.w2_squared for draw in drawn]), np.array([draw.nme for draw in drawn])
        lines.append(f"| {n} | {len(drawn)} | {_quartiles(squared)} | {_quartiles(squared**0.5)} | {_quartiles(nme)} |")
    lines += ["", f"A single shape is {study.spread:.2f} % (root of the mean W₂²) from the barycenter of all."]
    for what, law in (("W₂²", laws.w2), ("The squared index-matched error", laws.nme)):
        if law is not None:
            lines.append(f"{what} falls like n^-a with a = {_exponent(law)}; 1/n would be a = 1.")
    return "\n".join(lines) + "\n"


def _quartiles(values: np.ndarray) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} … {high:.2f})" if len(values) > 1 else f"{middle:.2f}"


def _exponent(law: PowerLaw) -> str:
    return f"{law.exponent.value:.2f} ({law.exponent.low:.2f} … {law.exponent.high:.2f})"


def _as_dict(law: PowerLaw | None) -> dict[str, float] | None:
    if law is None:
        return None
    value, low, high = law.exponent
    return {"exponent": value, "exponent_low": low, "exponent_high": high, "factor": law.factor}


def _draw(directory: Path, study: SizeStudy, laws: SizeLaws) -> None:
    squared: dict[int, list[float]] = {}
    matched: dict[int, list[float]] = {}
    for draw in study.draws:
        if draw.w2_squared > 0 and draw.nme > 0:  # the axes are logarithmic
            squared.setdefault(draw.n, []).append(draw.w2_squared)
            matched.setdefault(draw.n, []).append(draw.nme**2)
    if squared:
        x = np.geomspace(min(squared), max(squared), 100)
        named = (("W₂²: n^-a, a =", laws.w2), ("index-matched: a =", laws.nme))
        lines = {f"{name} {_exponent(law)}": (x, law(x)) for name, law in named if law is not None}
        errors = {"W₂²": squared, "index-matched, squared": matched}
        unit = f"% of the {study.normaliser}, squared"
        save_picture(sample_size_chart(errors, lines, unit=unit), directory / "barycenter-size.svg")
    few = min(study.draws, key=lambda draw: (abs(draw.n - DRAWN), draw.number))
    names = (f"barycenter of all {study.n_shapes} shapes", f"barycenter of {few.n}, the first draw")
    save_picture(two_shapes_chart(study.reference, few.points, names=names), directory / "barycenters.svg")
