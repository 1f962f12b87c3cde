"""One run of a study: trained, measured, and kept, so that a study that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from brule.data import SampleList, Shapes, draw_shapes
from brule.detector import CHECKPOINT, LandmarkDetector, measure_detector
from brule.errors import CheckpointError
from brule.files import write_text

SCORE = "score.json"


@dataclass(frozen=True)
class Arm:
    """One of the settings that a study compares.

    Attributes:
        name: what a table calls it.
        overrides: dotted settings that differ from the study's own.
    """

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower()).strip("-")


@dataclass(frozen=True)
class StudyMaterial:
    """What every run of a study learns from and is measured on.

    Attributes:
        images: unlabelled.
        shapes: annotated ones; every seed draws its own.
        n_shapes: how many a run gets; ``None`` for all.
        measured: annotated images that no run learns from.
    """

    images: SampleList
    shapes: Shapes
    n_shapes: int | None
    measured: SampleList

    def drawn(self, seed: int) -> Shapes:
        """The shapes of a seed."""
        return self.shapes if self.n_shapes is None else draw_shapes(self.shapes, self.n_shapes, seed=seed)


@dataclass(frozen=True)
class Score:
    """How one run ended.

    Attributes:
        arm: the arm's name.
        seed: of the run, its shapes included.
        nme: mean over the images, % of the normalising distance.
        w1: the same, free of indices.
        floor_nme: of the constant prediction of the barycenter.
        errors: NME of every image.
        iterations: done.
        seconds: spent in training.
        settings: what differed from the preset.
    """

    arm: str
    seed: int
    nme: float
    w1: float
    floor_nme: float
    errors: list[float]
    iterations: int
    seconds: float
    settings: dict[str, Any]


def run_arm(
    directory: Path,
    arm: Arm,
    seed: int,
    material: StudyMaterial,
    *,
    preset: str,
    overrides: Mapping[str, Any],
    quiet: bool = False,
) -> Score | None:
    """Train and measure one arm with one seed, or read what an earlier call found.

    Args:
        directory: of the study; the run's own folder is ``ARM/seed-SEED`` in it.
        arm: the setting.
        seed: of everything random.
        material: what is learnt from and measured on.
        preset: where settings start.
        overrides: settings that all arms share.
        quiet: no progress bar.

    Returns:
        The score; ``None`` if Ctrl-C ended the training, which the next call takes up.

    Raises:
        CheckpointError: if the folder holds a run with other settings.
    """
    folder = directory / arm.folder / f"seed-{seed}"
    settings = {**overrides, **arm.overrides, "seed": seed}
    if (folder / SCORE).is_file():
        return read_score(folder, settings)
    resume = (folder / CHECKPOINT).exists()
    detector = LandmarkDetector(preset, quiet=quiet, **settings)
    detector.fit(
        material.images, shapes=None if resume else material.drawn(seed), directory=folder, resume=resume, skip_bad=True
    )
    if not detector.finished_:
        return None
    found, _ = measure_detector(detector, material.measured, skip_bad=True)
    score = Score(
        arm.name,
        seed,
        found.scores.nme,
        found.scores.w1,
        found.scores.floor_nme,
        [float(error) for error in found.errors],
        detector.progress_.iteration,
        detector.progress_.elapsed,
        {key: value if isinstance(value, (int, float, bool)) else str(value) for key, value in settings.items()},
    )
    write_text(folder / SCORE, json.dumps(asdict(score), indent=1) + "\n")
    return score


def read_score(folder: Path, settings: Mapping[str, Any]) -> Score:
    """What a run of a study found.

    Raises:
        CheckpointError: if it can't be read, or was found with other settings.
    """
    path = folder / SCORE
    try:
        score = Score(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); remove the file, and the run is measured anew") from None
    wanted = {key: str(value) for key, value in settings.items()}
    had = {key: str(value) for key, value in score.settings.items()}
    if wanted != had:
        other = next(key for key in sorted(wanted.keys() | had.keys()) if wanted.get(key) != had.get(key))
        raise CheckpointError(
            f"{path}: this run had {other}={had.get(other, 'as in the preset')}, now it is "
            f"{wanted.get(other, 'as in the preset')}; choose another folder for another study"
        )
    return score
