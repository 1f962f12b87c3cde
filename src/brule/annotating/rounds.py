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
from brule.annotating.predictions import Predictions, noted, order_of, predictions_file
from brule.annotating.project import PREDICTIONS, RUNS, Project
from brule.annotating.statistics import ShapeStatistics
from brule.data.renaming import round_note
from brule.data.samples import landmark_box
from brule.errors import ConfigError, DataError
from brule.files import json_object, make_folder, write_text
from brule.tracking.run_files import DECODER, DESCRIPTION, RECORD

ROUND = re.compile(r"round-([0-9]{1,6})")


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
    return json_object(run / DESCRIPTION).get("finished") is True


def newest_predictions(project: Project, read: Callable[[str], Predictions | None] | None = None) -> Predictions | None:
    """Those of the newest round that has any, else the latest ones of another detector.

    Args:
        project: whose predictions.
        read: returns the predictions of a given name, ``None`` if they are missing or damaged.
    """
    read = read or (lambda name: _readable(project, name))
    names = [path.name for path in reversed(rounds(project))]
    whole = (project.folder / PREDICTIONS).glob("[!.]*.jsonl")  # one that is being written begins with a dot
    files = sorted(whole, key=_written, reverse=True)
    return next((found for name in [*names, *(path.stem for path in files)] if (found := read(name)) is not None), None)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # removed meanwhile
        return 0.0


def _readable(project: Project, name: str) -> Predictions | None:
    try:
        return Predictions(predictions_file(project, name), project)
    except DataError:  # none, damaged, or of other landmarks
        return None


def has_detector(run: Path) -> bool:
    """Whether a run holds a detector, of its end or of a checkpoint."""
    return (run / DESCRIPTION).is_file()


def detects(run: Path, project: Project) -> bool:
    """Whether a run holds a detector of a project's landmarks, in their order, whatever they were called at that time."""
    content, own = json_object(run / DESCRIPTION), project.template.names
    names, count = content.get("names"), content.get("landmarks")
    if count != len(own):
        return False
    order = order_of(project, run, names=names if isinstance(names, list) else None, count=count)
    return order is not None and list(order) == list(range(count))


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
        minutes: time limit; None for that of the preset, which may have none. The setting ``time_limit`` takes precedence.
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
    limited = any(one.partition("=")[0].strip() == "time_limit" for one in settings)
    words += ["--time-limit", f"{minutes:g}"] if minutes is not None and not limited else []
    template = project.template
    if template.lines:
        words += ["--edges", ", ".join(f"{a}:{b}" for a, b in template.lines)]
    if template.pairs:
        words += ["--mirror-pairs", ", ".join(f"{a}:{b}" for a, b in template.pairs)]
    words += ["--start-from", str(start_from)] if start_from is not None else []
    return [*words, "--skip-bad", "--quiet", *(["--set", *settings] if settings else [])]


def note_round(project: Project, run: Path, *, start_from: Path | None = None) -> None:
    """Note which images a run is to be trained on, and for which landmarks, before it begins.

    Args:
        project: whose images they are.
        run: the folder of the new run.
        start_from: an earlier run that it begins with.
    """
    names = [project.entry(image).name for image in project.accepted()]
    content: dict[str, Any] = {"trained_on": names, "landmarks": project.settings.landmarks_version}
    if start_from is not None:
        content["start_from"] = str(start_from)
    note = round_note(project.folder, run.name)
    make_folder(note.parent)
    write_text(note, json.dumps(content) + "\n")


def trained_on(project: Project, run: str) -> set[str]:
    """The names of the annotated images that a run was trained on, or one of the runs whose detectors it started from.

    It reads them itself, later than they are noted, so its own record decides once that exists. The record names images without
    folder and suffix: where several are called so, the note decides, and all of them count where it doesn't know enough.
    """
    found: set[str] = set()
    seen: set[Path] = set()
    folder: Path | None = project.folder / RUNS / run
    while folder is not None and folder not in seen:
        seen.add(folder)
        own = folder.parent == project.folder / RUNS
        note = noted(project, folder.name) if own else {}
        found |= _learnt(project, folder, note)
        folder = _before(project, folder, note)
    return found


def _before(project: Project, run: Path, note: dict[str, Any]) -> Path | None:
    """The run or detector that a run started from; one of the project's rounds wherever the project is by now."""
    record = json_object(run / RECORD)
    named = record.get("start_from", note.get("start_from"))
    if not isinstance(named, str) or not named:
        return None
    path = Path(os.path.normpath(os.path.join(str(record.get("working_directory", "")), named)))
    moved = project.folder / RUNS / path.name
    return moved if not path.is_dir() and path.parent.name == RUNS and moved.is_dir() else path


def _learnt(project: Project, run: Path, note: dict[str, Any]) -> set[str]:
    """The names of the annotated images that a run itself was trained on."""
    names = note.get("trained_on")
    known = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    read = _read_by(run)
    if read is None:
        return known
    found: set[str] = set()
    for stem, own in _by_stem((entry.name for entry in project.entries.values()), read).items():
        sure = [name for name in own if name in known]
        found.update(sure if len(sure) >= read[stem] else own)
    return found


def _read_by(run: Path) -> Counter[str] | None:
    """How many annotated images of each name, without folder and suffix, a run has read; None where it hasn't noted that."""
    names = json_object(run / RECORD).get("shapes")
    return Counter(map(str, names)) if isinstance(names, list) else None


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
        "decoder": (run / DECODER).is_file(),
    }


def _paths(folders: Sequence[ImageFolder]) -> list[str]:
    found = []
    for folder in folders:
        found += [os.path.join(folder.path, file) for file in folder.files] or [str(folder.path)]
    return found
