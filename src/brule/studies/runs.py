"""One run of a study: trained, measured, and kept, so that a study that was stopped can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np

from brule.detector import LandmarkDetector, measure_detector
from brule.errors import CheckpointError
from brule.evaluation import compare_errors
from brule.files import parse_json, write_text
from brule.studies.failures import Results, check_readable
from brule.studies.study_data import PRESET, StudyData, asked_for
from brule.tracking.run_files import CHECKPOINT
from brule.training.config import load_config

SCORE = "score.json"
ASKED = "asked.json"  # what a run was started with: settings, preset and data
Watch = Callable[[LandmarkDetector], object]
_Kept = TypeVar("_Kept")


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

    def run(self, directory: Path, seed: int) -> Path:
        """The folder of its run with a seed, in that of the study."""
        return directory / self.folder / f"seed-{seed}"


FLOOR = (
    "Constant prediction (floor): the mean of the run's annotated shapes (their barycenter if they differ in number of "
    "points), placed in the true box"
)


@dataclass(frozen=True)
class Score:
    """The result of one run.

    Attributes:
        arm: the arm's name.
        seed: of the run, its shapes included.
        nme: mean over the images, % of the normalising distance.
        w1: the same, free of indices.
        floor_nme: of the constant prediction (:data:`FLOOR`), on the same images.
        errors: NME of every image.
        iterations: done.
        seconds: spent in training.
        settings: what differed from the preset.
        whole_nme: mean over whole images, no boxes given, where the run has a locator; ``None`` where it has none.
        found: share of the objects that are found there.
        preset: where settings started; ``None`` if an earlier version of brule has measured the run.
        data: what the run learnt from and was measured on, as :meth:`StudyData.facts` has it; ``None`` as before.
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
    whole_nme: float | None = None
    found: float | None = None
    preset: str | None = None
    data: dict[str, str] | None = None

    def line(self) -> str:
        """What a study prints when the run ends."""
        given = f"NME {self.nme:.2f} %, W1 {self.w1:.2f} %, constant prediction (floor) {self.floor_nme:.2f} %"
        if self.whole_nme is None or self.found is None:
            return f"{self.arm}, seed {self.seed}: {given}"
        whole = f"on whole images NME {self.whole_nme:.2f} %, {100 * self.found:.0f} % found"
        return f"{self.arm}, seed {self.seed}: {whole}; boxes given, {given}"


@dataclass(frozen=True)
class Protocol:
    """How the runs of a study were made, for its table and below its chart.

    Attributes:
        preset: where settings start.
        settings: what all arms have changed in it.
        images: unlabelled ones learnt from.
        labelled: annotated ones that a run learns from.
        shapes: annotated ones that a run gets; ``None`` for those of the annotated images.
        measured: images measured on.
        image_size: side of the crops, px.
        start_from: an earlier run or detector whose weights every run starts with.
    """

    preset: str
    settings: dict[str, str]
    images: int
    labelled: int
    shapes: int | None
    measured: int
    image_size: int
    start_from: str | None = None

    @classmethod
    def of(cls, data: StudyData, *, preset: str, overrides: Mapping[str, Any]) -> Protocol:
        """The protocol of runs on this data."""
        shapes = None if data.shapes is None else data.n_shapes or len(data.shapes)
        labelled = len(data.labelled or ()) if data.n_labelled is None else data.n_labelled
        settings = {key: str(value) for key, value in overrides.items()}
        size = load_config(preset, overrides).crop.image_size
        start = None if data.start_from is None else str(data.start_from)
        return cls(
            preset=preset,
            settings=settings,
            images=len(data.images or ()),
            labelled=labelled,
            shapes=shapes,
            measured=len(data.measured),
            image_size=size,
            start_from=start,
        )

    def describe(self, scores: Sequence[Score]) -> str:
        """In words, with the seeds and iterations of the runs that were made."""
        learnt = [f"{self.images} unlabelled images"] if self.images else []
        learnt += [f"{self.labelled} annotated images"] if self.labelled else []
        learnt += [f"{self.shapes} annotated shapes per seed"] if self.shapes is not None else []
        changed = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return (
            f"Protocol: preset {self.preset}{f' with {changed}' if changed else ''}; crops of {self.image_size} px; "
            f"{f'started with the weights of {self.start_from}; ' if self.start_from else ''}"
            f"learnt from {', '.join(learnt)}; measured on {self.measured} images, boxes given{_without_boxes(scores)}. "
            f"Seeds {_distinct(score.seed for score in scores)}; {_distinct(score.iterations for score in scores)} iterations."
        )


def run_arm(
    directory: Path,
    arm: Arm,
    seed: int,
    *,
    data: StudyData,
    preset: str,
    overrides: Mapping[str, Any],
    quiet: bool = False,
    watch: Watch | None = None,
) -> Score | None:
    """Train and measure one arm with one seed, or read the result of an earlier call.

    Args:
        directory: of the study; the run's own folder is ``ARM/seed-SEED`` in it.
        arm: the setting.
        seed: random seed.
        data: what is learnt from and measured on.
        preset: where settings start.
        overrides: settings that all arms share.
        quiet: no progress bar.
        watch: called with the detector at every checkpoint of a training.

    Returns:
        The score; ``None`` if Ctrl-C ended the training, which the next call resumes.

    Raises:
        CheckpointError: if the folder holds a run with other settings, another preset or other data.
    """
    folder = arm.run(directory, seed)
    settings = {**overrides, **arm.overrides, "seed": seed}
    known = settings if data.start_from is None else settings | {"start_from": str(data.start_from)}
    if (folder / SCORE).is_file():
        return read_score(folder, known, preset=preset, data=data)
    resume = (folder / CHECKPOINT).exists()
    asked = asked_for(known, preset=preset, data=data)
    if not resume:
        write_text(folder / ASKED, json.dumps(asked, indent=1) + "\n")
    elif (folder / ASKED).is_file():  # earlier versions of brule kept none
        _check_same(folder / ASKED, wanted=asked, had=_read(folder / ASKED, dict))
    detector = LandmarkDetector(preset, quiet=quiet, **settings)
    detector.fit(
        data.images,
        shapes=None if resume else data.drawn(seed),
        labelled=data.drawn_labels(seed),
        directory=folder,
        resume=resume,
        start_from=None if resume else data.start_from,
        on_checkpoint=watch,
    )
    if not detector.finished_:
        return None
    located = detector.whereabouts_.locator is not None
    measured = measure_detector(detector, data.measured, boxes="both" if located else "given")
    found, whole = measured.detail, measured.whole
    score = Score(
        arm=arm.name,
        seed=seed,
        nme=found.scores.nme,
        w1=found.scores.w1,
        floor_nme=found.scores.floor_nme,
        errors=[float(error) for error in found.errors],
        iterations=detector.progress_.iteration,
        seconds=detector.progress_.elapsed,
        settings={key: value if isinstance(value, (int, float, bool)) else str(value) for key, value in known.items()},
        whole_nme=None if whole is None else whole.scores.nme,
        found=None if whole is None else whole.scores.found,
        preset=str(preset),
        data=data.facts(),
    )
    write_text(folder / SCORE, json.dumps(asdict(score), indent=1) + "\n")
    return score


def run_arms(
    directory: Path,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    *,
    data: StudyData,
    preset: str,
    overrides: Mapping[str, Any],
    quiet: bool = False,
    say: Callable[[str], object] = print,
) -> Results[Score] | None:
    """Run every arm with every seed, seed by seed; runs that are there already are read.

    Args:
        directory: of the study.
        arms: what is compared.
        seeds: of the runs.
        data: what is learnt from and measured on.
        preset: where settings start.
        overrides: settings that all arms share.
        quiet: no progress bars.
        say: called with a line when a run ends.

    Returns:
        All scores; ``None`` if Ctrl-C ended the study, which the next call resumes. A run that can't be trained is in
        ``failed`` of the result instead, and in ``failure.json`` of its folder; the next call tries it again.

    Raises:
        DataError: an image can't be read.
        TrainingError: no run can be trained.
    """
    runs = [(arm, seed, data) for seed in seeds for arm in arms]
    return run_each(directory, runs, preset=preset, overrides=overrides, quiet=quiet, say=say)


def run_each(
    directory: Path,
    runs: Iterable[tuple[Arm, int, StudyData]],
    *,
    preset: str,
    overrides: Mapping[str, Any],
    quiet: bool,
    say: Callable[[str], object],
) -> Results[Score] | None:
    """Do runs, each an arm with its seed and what it learns from; otherwise as :func:`run_arms`."""
    scores, runs = Results[Score](), list(runs)
    if not any((arm.run(directory, seed) / name).exists() for arm, seed, _ in runs for name in (SCORE, CHECKPOINT)):
        check_readable(samples for _, _, data in runs for samples in (data.measured, data.labelled, data.images))
    for arm, seed, data in runs:
        with scores.or_failure(arm.run(directory, seed), arm.name, seed, say=say):
            score = run_arm(directory, arm, seed, data=data, preset=preset, overrides=overrides, quiet=quiet)
            if score is None:
                return None
            say(score.line())
            scores.append(score)
    return scores.checked()


def read_score(folder: Path, settings: Mapping[str, Any], *, preset: str, data: StudyData) -> Score:
    """Read the result of a run of a study. Earlier versions of brule kept neither preset nor data: these aren't compared then.

    Raises:
        CheckpointError: it can't be read, or the run had other settings, another preset or other data.
    """
    path = folder / SCORE
    score = _read(path, lambda content: Score(**content))
    wanted = asked_for(settings, preset=preset, data=data)
    had = {key: str(value) for key, value in score.settings.items()}
    if score.preset is None:
        del wanted[PRESET]
    else:
        had[PRESET] = score.preset
    if score.data is None:
        wanted = {key: value for key, value in wanted.items() if key not in data.facts()}
    else:
        had |= score.data
    _check_same(path, wanted=wanted, had=had)
    return score


def _read(path: Path, build: Callable[[Any], _Kept]) -> _Kept:
    """What is built from a JSON file in a run's folder.

    Raises:
        CheckpointError: it can't be read.
    """
    try:
        return build(parse_json(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); remove the file to measure the run again") from None


def _check_same(path: Path, *, wanted: Mapping[str, str], had: Mapping[str, str]) -> None:
    """Refuse a run that was made with something else than is asked for.

    Raises:
        CheckpointError: it was; the message names the first difference.
    """
    if wanted == had:
        return
    other = next(key for key in sorted(wanted.keys() | had.keys()) if wanted.get(key) != had.get(key))
    raise CheckpointError(
        f"{path}: this run had {other}={had.get(other, 'as in the preset')}, the study now asks for "
        f"{wanted.get(other, 'as in the preset')}; choose another folder for another study"
    )


def _without_boxes(scores: Sequence[Score]) -> str:
    """What the arms whose runs have a locator reach on whole images."""
    parts = []
    for name, own in scores_by_arm(scores).items():
        figures = [(score.whole_nme, score.found) for score in own if score.whole_nme is not None and score.found is not None]
        if figures:
            nme, found = median(nme for nme, _ in figures), median(found for _, found in figures)
            parts.append(f"{name} {nme:.2f} % ({100 * found:.0f} % found)")
    return f"; on whole images, without boxes (median over seeds): {', '.join(parts)}" if parts else ""


def _distinct(values: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(values))))


def scores_by_arm(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Scores by the name of their arm, in the order in which arms first come, those of an arm by seed."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.arm, []).append(score)
    return {name: sorted(own, key=lambda score: score.seed) for name, own in found.items()}


def paired_difference(full: Sequence[Score], other: Sequence[Score]) -> str:
    """How much larger the other arm's error is on the same images, with the 95 % interval over images, as text.

    The errors of each image are averaged over the seeds that both arms have; empty if there are none.
    """
    mine, theirs = ({score.seed: np.array(score.errors) for score in scores} for scores in (full, other))
    shared = sorted(mine.keys() & theirs.keys())
    if not shared:
        return ""
    errors = {name: np.mean([own[seed] for seed in shared], axis=0) for name, own in (("full", mine), ("other", theirs))}
    (pair,) = compare_errors(errors)  # other − full
    return f"{pair.difference:+.2f} ({pair.low:+.2f} to {pair.high:+.2f})"
