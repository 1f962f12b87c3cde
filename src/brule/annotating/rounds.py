"""Rounds of training: what each detector was trained on, and its error on images that it wasn't trained on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brule.annotating.folders import ImageFolder
from brule.annotating.guessing import Whereabouts, mean_guess, point_error
from brule.annotating.predictions import Predictions, noted, round_note, trained_for
from brule.annotating.project import RUNS, Project
from brule.annotating.statistics import ShapeStatistics
from brule.data.samples import landmark_box
from brule.errors import ConfigError, DataError
from brule.files import parse_json
from brule.tracking.run_state import DESCRIPTION, RunState

ROUND = re.compile(r"round-([0-9]{1,6})")
NOTE = "round.json"
MIN_BATCH = 2


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
    batch_size: int = 24,
) -> list[str]:
    """What follows ``brule`` to train a detector on a project.

    Args:
        project: its images are the unlabelled ones, its finished annotations the labelled ones.
        run: the folder of the new run.
        minutes: time limit.
        preset: of the settings.
        settings: as ``--set`` takes them.
        start_from: an earlier run.
        batch_size: of the preset; with fewer images, it is theirs.

    Raises:
        ConfigError: no image is finished.
    """
    if not project.accepted():
        raise ConfigError("no image is finished yet: annotate some (ten are usual), then train")
    words = ["train", "--images", *_paths(project.settings.folders), "--labelled", str(project.folder), "-o", str(run)]
    words += ["--preset", preset] if preset else []
    words += ["--time-limit", f"{minutes:g}"] if minutes is not None else []
    template = project.template
    if template.lines:
        words += ["--edges", ", ".join(f"{a}:{b}" for a, b in template.lines)]
    if template.pairs:
        words += ["--mirror-pairs", ", ".join(f"{a}:{b}" for a, b in template.pairs)]
    words += ["--start-from", str(start_from)] if start_from is not None else []
    chosen = [*settings]
    if len(project.entries) < batch_size and not any(one.startswith("batch_size=") for one in chosen):
        chosen.append(f"batch_size={max(MIN_BATCH, len(project.entries))}")
    return [*words, "--skip-bad", "--quiet", *(["--set", *chosen] if chosen else [])]


def note_round(project: Project, run: Path) -> None:
    """Note which images a run is trained on, and for which landmarks, beside its own files."""
    from brule.files import make_folder, write_text

    names = [project.entry(image).name for image in project.accepted()]
    content = {"trained_on": names, "landmarks": project.settings.landmarks_version}
    make_folder(project.own / "rounds")
    write_text(round_note(project, run.name), json.dumps(content) + "\n")


def trained_on(project: Project, run: str) -> set[str]:
    """The names of the annotated images that a run was trained on."""
    names = noted(project, run).get("trained_on")
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def held_out(project: Project, predictions: Predictions, images: Sequence[str] | None = None) -> HeldOut | None:
    """How far off a run is on finished images that it wasn't trained on.

    Args:
        project: with the truth.
        predictions: of the run.
        images: ids; by default all finished ones.

    Returns:
        The errors; None where there is no such image.
    """
    names, trained = project.template.names, trained_on(project, predictions.run)
    constant = _mean_guess(project, trained)
    pixels, shares, floor = [], [], []
    for image in project.accepted() if images is None else images:
        entry = project.entry(image)
        if entry.name in trained or entry.name not in predictions:
            continue
        truth, found = project.record(image).marks.array(names), predictions.of(entry.name)
        if found is None:
            continue
        apart = np.linalg.norm(found.points - truth, axis=1)
        apart = apart[np.isfinite(apart)]
        try:
            left, top, right, bottom = landmark_box(truth)
        except DataError:
            continue
        if len(apart):
            pixels.append(float(apart.mean()))
            if constant is not None:
                floor.append(point_error(constant(project.record(image).image_size()), truth))
            shares.append(100 * float(apart.mean()) / float(np.hypot(right - left, bottom - top)))
    if not pixels:
        return None
    return HeldOut(len(pixels), float(np.mean(pixels)), float(np.mean(shares)), float(np.mean(floor)) if floor else None)


def _mean_guess(project: Project, images: set[str]) -> Callable[[tuple[int, int]], np.ndarray] | None:
    """From an image's size to the mean shape of some images, where objects usually are in them."""
    names = project.template.names
    records = [project.record(image) for image in project.accepted() if project.entry(image).name in images]
    shapes = [record.marks.array(names) for record in records]
    statistics = ShapeStatistics.of(np.stack(shapes)) if shapes else None
    if statistics is None or len(statistics.poses) != len(records):
        return None
    usual = Whereabouts(statistics, [record.image_size() for record in records])
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
