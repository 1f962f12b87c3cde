"""What a detector finds in all images of a project: one line of JSON per image, so that large files are read in parts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from brule.annotating.missing import with_missing
from brule.annotating.project import PREDICTIONS, RUNS, Project
from brule.annotating.template import shortened
from brule.data.formats.record import Annotation
from brule.data.formats.values import load_json
from brule.data.renaming import names_of, order_of_detector, order_since, round_note
from brule.errors import DataError
from brule.files import atomic_write, json_object, parse_json, write_text
from brule.tracking.run_files import DESCRIPTION

FORMAT = "brule-predictions-1"
_MAX_BATCH, _MIN_BATCH, _STEPS = 32, 4, 16  # images; in how many steps the progress of a small project is shown at least


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a detector found in one image.

    Args:
        points: ``(N, 2)`` in pixels, NaN where it found nothing.
        spread: ``(N,)`` in pixels, how far off each point may be.
        uncertainty: of the whole; the higher, the sooner it should be looked at.
        expected: error in pixels; None where the detector isn't calibrated, and of flagged predictions.
        flagged: whether the detector itself holds it to be wrong.
    """

    points: np.ndarray
    spread: np.ndarray
    uncertainty: float
    expected: float | None = None
    flagged: bool = False

    def ordered(self, order: Sequence[int | None]) -> Prediction:
        """The same with other landmarks: for each its index among these, None for one that isn't among them.

        Landmarks that are missing among these make it flagged; those that the detector never learnt don't.
        """
        flagged = self.flagged or not np.isfinite(self.points).all()
        places = [-1 if index is None else index for index in order]
        points = np.vstack([self.points, [[np.nan, np.nan]]])[places]
        return replace(self, points=points, spread=np.append(self.spread, np.nan)[places], flagged=bool(flagged))


class Predictions:
    """The predictions of one run, each read when it is asked for.

    Args:
        path: the file.
        project: whose landmarks they are to be of; where it has other ones by now, predictions are brought to these.

    Raises:
        DataError: there is no such file, it is something else, or it holds predictions of other landmarks.
    """

    def __init__(self, path: Path, project: Project) -> None:
        self.path = path
        self.uncertainty: dict[str, float] = {}
        self.expected: dict[str, float | None] = {}
        self._places: dict[str, int] = {}
        try:
            with path.open("rb") as file:
                self.head = _head(path, file.readline())
                place = file.tell()
                for line in file:
                    self._note(line, place)
                    place += len(line)
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror})") from None
        # Earlier versions of brule didn't note which landmarks these are, nor what landmarks were called before.
        since, settings = self.head.get("template", 0), project.settings
        order = order_since(since, settings.renamings, project.template.names) if isinstance(since, int) else []
        count = int(self.head["landmarks"])
        if all(index is None for index in order) or count != len(names_of(since, settings.renamings, project.template.names)):
            raise DataError(f"{path}: predictions of {count} landmarks that the project doesn't have now; predict again")
        self._order = order

    @property
    def run(self) -> str:
        """The name of the run."""
        return self.path.stem

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def of(self, name: str) -> Prediction | None:
        """The prediction of an image; None if there is none."""
        place = self._places.get(name)
        if place is None:
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(place)
                content = parse_json(file.readline())
            points = np.array([[np.nan if v is None else v for v in point] for point in content["points"]], dtype=np.float64)
            spread = np.array([np.nan if v is None else v for v in content["spread"]], dtype=np.float64)
            found = Prediction(points, spread, content["uncertainty"], content["expected"], bool(content.get("flagged")))
            return found.ordered(self._order)
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None

    def _note(self, line: bytes, place: int) -> None:
        try:
            content = parse_json(line)
            self.uncertainty[content["name"]] = float(content["uncertainty"])
            self.expected[content["name"]] = content["expected"]
            self._places[content["name"]] = place
        except (ValueError, KeyError, TypeError):
            return  # a line that is being written


def predict_project(
    project: Project, run: Path, *, name: str | None = None, progress: Callable[[int, int], object] = lambda done, total: None
) -> Path:
    """Find the landmarks of all images of a project.

    Args:
        project: whose images.
        run: the folder of a run, or of a saved detector.
        name: of the predictions; by default that of the folder.
        progress: called as ``progress(done, total)``.

    Returns:
        The file with the predictions.

    Raises:
        CheckpointError: there is no detector.
        DataError: it has other landmarks than the project, or the project has no image.
        OutputError: the file can't be written.
    """
    if not project.entries:  # an empty list would replace earlier predictions
        raise DataError(with_missing(project, f"{project.folder}: the project has no images to predict"))
    from brule.detector import LandmarkDetector

    detector = LandmarkDetector.load(run)
    order = _order(detector, project, run) if project.template.names else list(range(len(detector.barycenter_)))
    target = predictions_file(project, name or run.resolve().name)
    calibrated = detector.calibration_ is not None
    with atomic_write(target) as temporary, temporary.open("w", encoding="utf-8") as file:
        head = {"format": FORMAT, "landmarks": len(order), "template": project.settings.version, "calibrated": calibrated}
        file.write(json.dumps(head) + "\n")
        total = len(project.entries)
        batch = min(_MAX_BATCH, max(_MIN_BATCH, total // _STEPS))
        for done, (image, found) in enumerate(_found(detector, project, batch), 1):
            file.write(json.dumps({"name": image, **_content(found.ordered(order), calibrated)}) + "\n")
            if done % batch == 0 or done == total:
                file.flush()  # the page counts the lines
                progress(done, total)
    return target


def keep_predictions(project: Project, table: Path, items: Sequence[Annotation], *, order: Sequence[int]) -> int:
    """Keep what ``brule predict`` wrote, for the page to show for review; named after its folder.

    Args:
        project: whose images they are of.
        table: the list that the predictions were read from.
        items: what was read, images by their absolute path; a prediction of another image is left out.
        order: for each landmark of the project its index among theirs.

    Returns:
        How many were kept.

    Raises:
        OutputError: the file can't be written.
    """
    names = {os.path.abspath(entry.path): entry.name for entry in project.entries.values()}
    found = {names[item.image]: item for item in items if item.points is not None and item.image in names}
    listed = _listed(table)
    head = {"format": FORMAT, "landmarks": len(order), "template": project.settings.version, "calibrated": False}
    lines = [json.dumps(head)]
    for name, item in found.items():
        own = listed.get(os.path.basename(item.image), {})
        spread = np.array(own.get("spread") or [np.nan] * len(item.points), dtype=np.float64)  # type: ignore[arg-type]
        uncertainty = float(np.nanmean(spread)) if np.isfinite(spread).any() else 0.0
        points, flagged = np.asarray(item.points, dtype=np.float64), bool(own.get("flagged"))
        prediction = Prediction(points, spread, uncertainty, flagged=flagged).ordered(order)
        lines.append(json.dumps({"name": name, **_content(prediction, False)}))
    target = predictions_file(project, table.parent.name or "predictions")
    write_text(target, "".join(f"{line}\n" for line in lines))
    return len(found)


def _listed(table: Path) -> dict[str, dict[str, Any]]:
    """The entries of a list of predictions by their image's name, where that is in one folder alone."""
    if table.suffix != ".json":
        return {}
    entries: dict[str, list[dict[str, Any]]] = {}
    for entry in load_json(table)["images"]:
        entries.setdefault(os.path.basename(entry["path"]), []).append(entry)
    return {name: own[0] for name, own in entries.items() if len(own) == 1}


def predictions_file(project: Project, name: str) -> Path:
    """Where the predictions of a run are kept."""
    return project.folder / PREDICTIONS / f"{name}.jsonl"


def order_of(project: Project, run: Path, *, names: Sequence[str] | None, count: int) -> Sequence[int | None] | None:
    """For each landmark of a project its index in what a detector finds; None altogether if it finds other landmarks.

    Args:
        project: whose landmarks.
        run: the folder of the detector; a round's landmarks are those of the project when it was trained.
        names: of the detector's landmarks as its folder has them, if they have any.
        count: of them.
    """
    settings, since = project.settings, trained_for(project, run)
    return order_of_detector(names, count, since=since, renamings=settings.renamings, present=project.template.names)


def _order(detector: Any, project: Project, run: Path) -> Sequence[int | None]:
    """For each landmark of a project its index in what a detector finds: a round's as they were when it was trained.

    Other detectors' by their names.

    Raises:
        DataError: it finds other landmarks.
    """
    own, count, names = project.template.names, len(detector.barycenter_), detector.landmark_names_
    found = order_of(project, run, names=_stored_names(run) or names, count=count)
    if found is None or all(index is None for index in found):
        which = f" ({shortened(names)})" if names else ""
        raise DataError(
            f"{run}: finds {count} landmarks{which}, but the project has {len(own)} ({shortened(own)}); "
            "use a detector of these landmarks"
        )
    return found


def _stored_names(run: Path) -> list[str] | None:
    """The landmarks' names in the file of a detector; once it is loaded, a round's are those that the project has now."""
    names = json_object(run / DESCRIPTION).get("names")
    return list(map(str, names)) if isinstance(names, list) else None


def trained_for(project: Project, run: Path) -> int | None:
    """The version of a project's landmarks that one of its rounds was trained for; None where that isn't known."""
    folder = Path(os.path.abspath(run))  # so that "." has a name and a parent
    if folder.parent != project.folder / RUNS:
        return None
    version = noted(project, folder.name).get("landmarks")
    return version if isinstance(version, int) else None


def noted(project: Project, run: str) -> dict[str, Any]:
    """What a round was trained on: the names of the annotated images, the version of the landmarks; empty if unknown."""
    return json_object(round_note(project.folder, run))


def _found(detector: Any, project: Project, batch_size: int) -> Iterator[tuple[str, Prediction]]:
    names = {str(entry.path): entry.name for entry in project.entries.values()}
    for batch, landmarks in detector.iter_predict(list(names), batch_size=batch_size, skip_bad=True):
        uncertainty = landmarks.uncertainty
        for k, sample in enumerate(batch):
            points, spread = landmarks.points[k].numpy(), landmarks.spread[k].numpy()
            order = float(np.nanmean(spread)) if uncertainty is None else float(uncertainty[k])
            flagged = getattr(landmarks, "flagged", None)
            yield names[str(sample.path)], Prediction(points, spread, order, None, bool(flagged is not None and flagged[k]))


def _content(found: Prediction, calibrated: bool) -> dict[str, Any]:
    # An expected error holds where the object was found, so a flagged prediction has none.
    known = calibrated and not found.flagged and np.isfinite(found.spread).any()
    expected = float(np.nanmean(found.spread)) if known else None
    return {
        "uncertainty": found.uncertainty if np.isfinite(found.uncertainty) else 1e9,
        "expected": None if expected is None else round(expected, 3),
        "flagged": found.flagged,
        "points": [[_number(x), _number(y)] for x, y in found.points.tolist()],
        "spread": [_number(value) for value in found.spread.tolist()],
    }


def _number(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def _head(path: Path, line: bytes) -> dict[str, Any]:
    try:
        content = parse_json(line)
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("landmarks"), int):
        raise DataError(f"{path}: expected predictions of an annotation project ({FORMAT}), this is something else")
    return content
