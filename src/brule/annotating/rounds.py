"""Rounds of training: what each detector was trained on, and its error on images that it wasn't trained on."""

from __future__ import annotations

import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brule.annotating.folders import ImageFolder
from brule.annotating.guessing import PosePrior, mean_guess, point_error
from brule.annotating.missing import with_missing
from brule.annotating.predictions import Predictions, noted, round_note, trained_for
from brule.annotating.project import RUNS, Project
from brule.annotating.statistics import ShapeStatistics
from brule.data.samples import landmark_box
from brule.errors import ConfigError, DataError
from brule.files import parse_json
from brule.tracking.run_state import DESCRIPTION, RunState

ROUND = re.compile(r"round-([0-9]{1,6})")
RECORD = "data.json"  # of a run, as :mod:`brule.detector.run_record` keeps it: what was read to train on


@dataclass(frozen=True)
class HeldOut:
    """Errors on finished images that a detector wasn't trained on.

    Args:
        n: images.
        error_px: mean distance in pixels, over the landmarks of an image, then over images.
        error_percent: the same, of the diagonal of the box around the landmarks.
        mean_shape_px: the floor: the error in pixels of the mean shape of the images that it was trained on, put where objects
            usually are in these; None where that isn't known.
    """

    n: int
    error_px: float
    error_percent: float
    mean_shape_px: float | None = None


def rounds(project: Project) -> list[Path]:
    """The folders of a project's runs, oldest first."""
    folder = project.folder / RUNS
    found = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    numbered = {path: int(match[1]) for path in found if (match := ROUND.fullmatch(path.name))}
    return sorted(numbered, key=lambda path: numbered[path])


def next_round(project: Project) -> Path:
    """Where the next run is to be kept."""
    known = rounds(project)
    last = ROUND.fullmatch(known[-1].name) if known else None
    return project.folder / RUNS / f"round-{int(last[1]) + 1 if last else 1}"


def finished(run: Path) -> bool:
    """Whether a run has finished."""
    try:
        return RunState.read(run).finished
    except DataError:
        return False


def has_detector(run: Path) -> bool:
    """Whether a run holds a detector, of its end or of a checkpoint."""
    return (run / DESCRIPTION).is_file()


def detects(run: Path, project: Project) -> bool:
    """Whether a run holds a detector of a project's landmarks, in their order."""
    since, template = trained_for(project, run), project.template
    if since is not None and since != project.settings.landmarks_version:
        return False
    try:
        content = parse_json((run / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(content, dict):
        return False
    names = content.get("names")
    return names == list(template.names) if names else content.get("landmarks") == len(template.names)


def training_words(
    project: Project,
    run: Path,
    *,
    minutes: float | None = None,
    preset: str | None = None,
    settings: Sequence[str] = (),
    start_from: Path | None = None,
) -> list[str]:
    """What follows ``brule`` to train a detector on a project.

    Args:
        project: its images are the unlabelled ones, its finished annotations the labelled ones.
        run: the folder of the new run.
        minutes: time limit.
        preset: of the settings.
        settings: as ``--set`` takes them.
        start_from: an earlier run.

    Raises:
        ConfigError: no image is finished.
    """
    if not project.accepted():
        raise ConfigError(with_missing(project, "no image is finished yet: annotate some (ten are usual), then train"))
    words = ["train", "--images", *_paths(project.settings.folders), "--labelled", str(project.folder), "-o", str(run)]
    words += ["--preset", preset] if preset else []
    words += ["--time-limit", f"{minutes:g}"] if minutes is not None else []
    template = project.template
    if template.lines:
        words += ["--edges", ", ".join(f"{a}:{b}" for a, b in template.lines)]
    if template.pairs:
        words += ["--mirror-pairs", ", ".join(f"{a}:{b}" for a, b in template.pairs)]
    words += ["--start-from", str(start_from)] if start_from is not None else []
    return [*words, "--skip-bad", "--quiet", *(["--set", *settings] if settings else [])]


def note_round(project: Project, run: Path) -> None:
    """Note which images a run is to be trained on, and for which landmarks, before it begins."""
    from brule.files import make_folder, write_text

    names = [project.entry(image).name for image in project.accepted()]
    content = {"trained_on": names, "landmarks": project.settings.landmarks_version}
    make_folder(project.own / "rounds")
    write_text(round_note(project, run.name), json.dumps(content) + "\n")


def trained_on(project: Project, run: str) -> set[str]:
    """The names of the annotated images that a run was trained on.

    It reads them itself, later than they are noted, so its own record decides once that exists. The record names images without
    folder and suffix: where several are called so, the note decides, and all of them count where it doesn't know enough.
    """
    names = noted(project, run).get("trained_on")
    known = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    read = _read_by(project.folder / RUNS / run)
    if read is None:
        return known
    found: set[str] = set()
    for stem, own in _by_stem((entry.name for entry in project.entries.values()), read).items():
        sure = [name for name in own if name in known]
        found.update(sure if len(sure) >= read[stem] else own)
    return found


def _read_by(run: Path) -> Counter[str] | None:
    """How many annotated images of each name, without folder and suffix, a run has read; None where it hasn't noted that."""
    try:
        names = parse_json((run / RECORD).read_text(encoding="utf-8"))["shapes"]
        return Counter(map(str, names))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _by_stem(names: Iterable[str], wanted: Container[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        stem = os.path.splitext(name.rpartition("/")[2])[0]
        if stem in wanted:
            found.setdefault(stem, []).append(name)
    return found


@dataclass(frozen=True)
class _Error:
    """An image's error in pixels, in percent of the diagonal of its landmarks' box, and that of the mean shape in pixels."""

    pixels: float
    percent: float
    floor: float | None


class HeldOutErrors:
    """How far off a run is on finished images that it wasn't trained on; only what has changed is worked out again.

    Args:
        project: with the truth.
        predictions: of the run.
    """

    def __init__(self, project: Project, predictions: Predictions) -> None:
        self.predictions = predictions
        self._project = project
        self._guard = threading.Lock()
        self._found: tuple[int, HeldOut | None] | None = None  # after how many changes of the project
        self._errors: dict[str, tuple[object, _Error | None]] = {}  # by image, with what they follow from
        self._constant: tuple[object, Callable[[tuple[int, int]], np.ndarray] | None] = (None, None)

    def now(self) -> HeldOut | None:
        """The errors; None where there is no such image. May be called from any thread."""
        with self._guard:
            changes = self._project.changes
            if self._found is None or self._found[0] != changes:
                self._found = (changes, self._mean())
            return self._found[1]

    def _mean(self) -> HeldOut | None:
        project, predictions = self._project, self.predictions
        trained = trained_on(project, predictions.run)
        accepted = project.accepted()
        learnt = [image for image in accepted if project.entry(image).name in trained]
        key = (project.template.names, *((image, project.summaries[image].stamp) for image in learnt))
        if self._constant[0] != key:
            self._constant = (key, _mean_guess(project, learnt))
        errors: dict[str, tuple[object, _Error | None]] = {}
        for image in accepted:
            name = project.entry(image).name
            if name not in trained and name in predictions:
                own, known = (project.summaries[image].stamp, key), self._errors.get(image)
                errors[image] = known if known is not None and known[0] == own else (own, self._error(image))
        self._errors = errors
        found = [one for _, one in errors.values() if one is not None]
        if not found:
            return None
        floor = [one.floor for one in found if one.floor is not None]
        return HeldOut(
            len(found),
            float(np.mean([one.pixels for one in found])),
            float(np.mean([one.percent for one in found])),
            float(np.mean(floor)) if floor else None,
        )

    def _error(self, image: str) -> _Error | None:
        """The error on one image; None where nothing can be compared."""
        record, constant = self._project.record(image), self._constant[1]
        truth, found = record.marks.array(self._project.template.names), self.predictions.of(record.entry.name)
        if found is None:
            return None
        try:
            left, top, right, bottom = landmark_box(truth)
        except DataError:
            return None
        pixels = point_error(found.points, truth)
        if not np.isfinite(pixels):
            return None
        floor = None if constant is None else point_error(constant(record.image_size()), truth)
        return _Error(pixels, 100 * pixels / float(np.hypot(right - left, bottom - top)), floor)


def held_out(project: Project, predictions: Predictions) -> HeldOut | None:
    """How far off a run is on finished images that it wasn't trained on; None where there is no such image."""
    return HeldOutErrors(project, predictions).now()


def _mean_guess(project: Project, images: Sequence[str]) -> Callable[[tuple[int, int]], np.ndarray] | None:
    """From an image's size to the mean shape of some images, where objects usually are in them."""
    names = project.template.names
    records = [project.record(image) for image in images]
    shapes = [record.marks.array(names) for record in records]
    statistics = ShapeStatistics.of(np.stack(shapes)) if shapes else None
    if statistics is None or len(statistics.poses) != len(records):
        return None
    usual = PosePrior(statistics, [record.image_size() for record in records])
    return lambda size: mean_guess(statistics, usual, size)


def describe(project: Project, run: Path, errors: HeldOut | None) -> dict[str, Any]:
    """A run, as the page shows it."""
    return {
        "name": run.name,
        "finished": finished(run),
        "trained_on": len(trained_on(project, run.name)),
        "held_out": None
        if errors is None
        else {
            "n": errors.n,
            "error_px": round(errors.error_px, 3),
            "error_percent": round(errors.error_percent, 3),
            "mean_shape_px": None if errors.mean_shape_px is None else round(errors.mean_shape_px, 3),
        },
        "decoder": (run / "decoder.safetensors").is_file(),
    }


def _paths(folders: Sequence[ImageFolder]) -> list[str]:
    found = []
    for folder in folders:
        found += [os.path.join(folder.path, file) for file in folder.files] or [str(folder.path)]
    return found
