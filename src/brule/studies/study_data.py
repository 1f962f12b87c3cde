"""What the runs of a study learn from, and what decides a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brule.data import SampleList, Shapes, draw_shapes

PRESET = "preset"


@dataclass(frozen=True)
class StudyData:
    """What every run of a study learns from and is measured on.

    Attributes:
        images: unlabelled; ``None`` to learn from annotated ones alone.
        shapes: annotated ones; every seed draws its own. ``None`` for those of the annotated images.
        n_shapes: how many a run gets; ``None`` for all.
        measured: annotated images that no run learns from.
        labelled: annotated images to learn from; every seed draws its own.
        n_labelled: how many of these a run gets; ``None`` for all.
        start_from: an earlier run or detector whose weights every run begins with.
    """

    images: SampleList | None
    shapes: Shapes | None
    n_shapes: int | None
    measured: SampleList
    labelled: SampleList | None = None
    n_labelled: int | None = None
    start_from: Path | None = None

    def drawn(self, seed: int) -> Shapes | None:
        """The shapes of a seed."""
        if self.shapes is None or self.n_shapes is None:
            return self.shapes
        return draw_shapes(self.shapes, self.n_shapes, seed=seed)

    def drawn_labels(self, seed: int) -> SampleList | None:
        """The annotated images of a seed, in their order."""
        if self.labelled is None or self.n_labelled is None:
            return self.labelled
        chosen = np.random.default_rng(seed).choice(len(self.labelled), self.n_labelled, replace=False)
        return self.labelled.replaced([self.labelled[i] for i in sorted(chosen.tolist())])

    def facts(self) -> dict[str, str]:
        """How many there are of each kind, with a fingerprint of names and landmarks: by these, other data are known."""
        named = {"unlabelled images": self.images, "annotated images": self.labelled, "measured images": self.measured}
        found = {
            kind: _fingerprint((sample.path.name, sample.points) for sample in samples or ()) for kind, samples in named.items()
        }
        shapes = () if self.shapes is None else zip(self.shapes.names, self.shapes.points, strict=True)
        found["shapes"] = _fingerprint(shapes)
        drawn = {"annotated images": self.n_labelled, "shapes": self.n_shapes}
        return {kind: text if drawn.get(kind) is None else f"{drawn[kind]} of {text}" for kind, text in found.items()}


def asked_for(settings: Mapping[str, Any], *, preset: str, data: StudyData) -> dict[str, str]:
    """What decides a run: its settings, its preset, and what it learns from and is measured on."""
    return {key: str(value) for key, value in settings.items()} | {PRESET: str(preset)} | data.facts()


def _fingerprint(items: Iterable[tuple[str, np.ndarray | None]]) -> str:
    """The number of named items, and a hash of the names and of what is annotated there."""
    lines = [f"{name}\0{'' if points is None else np.round(points, 4).tolist()}\n" for name, points in items]
    if not lines:
        return "none"
    hashed = hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape"))
    return f"{len(lines)} (fingerprint {hashed.hexdigest()[:12]})"
