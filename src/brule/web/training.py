"""Training and prediction from the page: commands that run independently of it, and what the page shows of them."""

from __future__ import annotations

import logging
import shlex
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from brule.annotating import Project
from brule.annotating.jobs import Job
from brule.annotating.predictions import Prediction, Predictions, predictions_file
from brule.annotating.project import RUNS
from brule.annotating.rounds import (
    HeldOut,
    HeldOutErrors,
    describe,
    detects,
    has_detector,
    newest_predictions,
    next_round,
    note_round,
    rounds,
    training_words,
)
from brule.arrays import evenly_spread
from brule.errors import BruleError, ConfigError, DataError
from brule.files import json_object
from brule.tracking.run_files import CHECKPOINT, DESCRIPTION, STAGE
from brule.tracking.run_state import LogLines, RunState, is_finite
from brule.tracking.term_labels import term_label
from brule.web.events import Hub

_log = logging.getLogger("brule.web")

MAX_CURVE = 300  # points of a term's curve
PAUSE = 1.0  # seconds between looks at what runs
INTERIM, MAX_INTERIM = 240.0, 300  # seconds between predictions by the detector under training; images that are few enough
MIN_HELD_OUT = 3  # images that say whether a detector is better than a guess


class Training:
    """The page's training.

    Args:
        project: that is trained on.
        hub: hears of every change.
    """

    def __init__(self, project: Project, hub: Hub) -> None:
        self._project, self._hub = project, hub
        self._train = Job(project.own / "jobs", "train")
        self._predict = Job(project.own / "jobs", "predict")
        self._predictions: dict[str, tuple[tuple[int, int], Predictions | None]] = {}
        self._errors: dict[str, HeldOutErrors] = {}
        self._guard = threading.Lock()
        self._tried: dict[str, int] = {}  # by round: of which detector all images were predicted last
        self._lines = _Lines()
        self._log = LogLines()
        self._curves: tuple[list[dict[str, Any]], dict[str, list[list[float]]]] = ([], {})
        self._last = time.monotonic()
        self._ending = threading.Event()
        threading.Thread(target=self._watch, name="training", daemon=True).start()

    def start(self, *, minutes: float | None, preset: str | None, start_from: bool, settings: Sequence[str]) -> dict[str, Any]:
        """Start a new round.

        Raises:
            ConfigError: one is running already.
        """
        if self._train.running:
            raise ConfigError("a training is already running; stop it, or wait until it has ended")
        run = next_round(self._project)
        last = self.last_detector()
        words = training_words(
            self._project,
            run,
            minutes=minutes,
            preset=preset,
            settings=settings,
            start_from=last if start_from else None,
        )
        note_round(self._project, run, start_from=last if start_from else None)
        self._last = time.monotonic()
        self._train.start(words, run=run.name)
        return self.state()

    def last_detector(self) -> Path | None:
        """The newest round that has a detector of the project's landmarks, which another round can start from."""
        return next((path for path in reversed(rounds(self._project)) if detects(path, self._project)), None)

    def resume(self) -> dict[str, Any]:
        """Continue the round that was stopped.

        Raises:
            ConfigError: there is none.
        """
        state = self.state()
        if state["state"] not in ("stopped", "failed") or state["run"] is None:
            raise ConfigError("no training was stopped that could be continued")
        if not state["can_resume"]:
            raise ConfigError(f"{state['run']} has no checkpoint yet that it could be continued from; train again")
        run = self._project.folder / RUNS / state["run"]
        self._train.start(["train", "-o", str(run), "--resume", "--skip-bad", "--quiet"], run=run.name)
        return self.state()

    def stop(self) -> dict[str, Any]:
        """Stop the training, after its current step."""
        self._train.stop()
        return self.state()

    @property
    def busy_with(self) -> str | None:
        """What is running, in words; None if nothing is."""
        return "training" if self._train.running else "prediction of all images" if self._predict.running else None

    def state(self) -> dict[str, Any]:
        """What the page shows of the training."""
        facts = self._train.facts
        found: dict[str, Any] = {
            "state": "idle", "run": facts.get("run"), "share": None, "seconds": 0, "seconds_left": None, "iteration": 0,
            "curve": {}, "term_labels": {}, "preview": None, "message": None, "command": shlex.join(facts.get("command", [])),
            "stage": None, "can_resume": False,
        }  # fmt: skip
        if not facts.get("run"):
            return found
        running = self._train.running
        run = self._project.folder / RUNS / str(facts["run"])
        try:
            state = RunState.read(run, self._log)
        except DataError:
            state = None
        if state is not None:
            if self._curves[0] is not state.records:
                self._curves = (state.records, curves(state))
            found |= {
                "share": state.share,
                "seconds": round(state.seconds, 1),
                "seconds_left": None if state.seconds_left is None else round(state.seconds_left, 1),
                "iteration": state.iteration,
                "curve": self._curves[1],
                "term_labels": {name: term_label(name) for name in state.terms},
                "preview": f"/api/train/preview?v={state.preview.stem}" if state.preview else None,
            }
        if running:
            found["state"] = "stopping" if facts.get("stopping") else "running"
            found["stage"] = _stage(run)
        elif state is not None and state.finished:
            found["state"] = "finished"
        else:
            found["message"] = self._train.problem()
            found["state"] = "failed" if found["message"] else "stopped"
            found["can_resume"] = (run / CHECKPOINT).is_file()
        return found

    def preview(self) -> Path | None:
        """The newest preview picture."""
        run = self._train.facts.get("run")
        try:
            return RunState.read(self._project.folder / RUNS / str(run), self._log).preview if run else None
        except DataError:
            return None

    def predict(self, run: str | None = None) -> dict[str, Any]:
        """Predict all images with a run, by default with the newest that has a detector.

        Raises:
            ConfigError: there is none.
        """
        known = {path.name: path for path in rounds(self._project) if has_detector(path)}
        if not known or (run is not None and run not in known):
            raise ConfigError("there is no detector yet: train one first")
        chosen = run or list(known)[-1]
        if not self._predict.running:
            words = ["annotate", "-o", str(self._project.folder), "--predict", str(known[chosen])]
            self._predict.start(words, run=chosen)
        return self.predicting()

    def predicting(self) -> dict[str, Any]:
        """What the page shows of the prediction of all images."""
        facts = self._predict.facts
        total = len(self._project.entries)
        if not facts.get("run"):
            return {"state": "idle", "run": None, "done": 0, "total": total, "message": None}
        run = str(facts["run"])
        target = predictions_file(self._project, run)
        if self._predict.running:
            return {"state": "running", "run": run, "done": self._lines.done(target), "total": total, "message": None}
        problem = self._predict.problem()
        done = target.is_file() and problem is None
        shown = None if done else problem or "prediction was stopped"
        return {
            "state": "finished" if done else "failed",
            "run": run,
            "done": total if done else 0,
            "total": total,
            "message": shown,
        }

    def predictions(self) -> Predictions | None:
        """Those of the newest run that has any."""
        return newest_predictions(self._project, self._read)

    def prediction(self, image: str) -> tuple[str, Prediction] | None:
        """The newest prediction of an image, with its run."""
        known = self.predictions()
        found = None if known is None else known.of(self._project.entry(image).name)
        return None if known is None or found is None else (known.run, found)

    def runs(self) -> list[dict[str, Any]]:
        """All rounds, oldest first."""
        return [describe(self._project, run, self._held_out(self._read(run.name))) for run in rounds(self._project)]

    def held_out_px(self) -> float | None:
        """The newest detector's error on finished images that it hasn't seen, where there are enough."""
        found = self._held_out(self.predictions())
        return found.error_px if found is not None and found.n >= MIN_HELD_OUT else None

    def close(self) -> None:
        """Stop watching; a running training continues."""
        self._ending.set()

    def _held_out(self, predictions: Predictions | None) -> HeldOut | None:
        """The errors of a run."""
        if predictions is None:
            return None
        known = self._errors.get(predictions.run)
        if known is None or known.predictions is not predictions:
            known = self._errors[predictions.run] = HeldOutErrors(self._project, predictions)
        return known.now()

    def _read(self, name: str) -> Predictions | None:
        path = predictions_file(self._project, name)
        try:
            stamp = (path.stat().st_mtime_ns, self._project.settings.version)
        except OSError:
            return None
        with self._guard:
            known = self._predictions.get(name)
            if known is not None and known[0] == stamp:
                return known[1]
            found = None
            with suppress(DataError):  # damaged, or of other landmarks
                found = Predictions(path, self._project)
            self._predictions[name] = (stamp, found)
            return found

    def _watch(self) -> None:
        """Publish every change; predict with the detector under training, and again when a round has ended."""
        before: tuple[Any, Any] = (None, None)
        failed = ""
        while not self._ending.wait(PAUSE):
            try:
                before, failed = self._look(before), ""
            except Exception as error:  # such as a full disk: the page goes on, and so does the watch
                if failed != repr(error):  # the same problem each second is told once
                    _log.exception("watching training and prediction failed")
                failed = repr(error)

    def _look(self, before: tuple[Any, Any]) -> tuple[Any, Any]:
        """Publish what has changed since ``before``; returns what is so now."""
        now = (self.state(), self.predicting())
        if now[0] != before[0]:
            self._hub.publish("train", now[0])
        if now[1] != before[1]:
            self._hub.publish("predict", now[1])
            if before[1] is not None and now[1]["state"] == "finished":
                self._hub.publish("project", {})
        if now[0]["run"] and now[1]["state"] != "running":
            self._keep_predicted(now[0]["run"], now[0]["state"])
        return now

    def _keep_predicted(self, name: str, state: str) -> None:
        """Predict with a round whose detector is newer than its predictions: at its end, and now and then before it."""
        run = self._project.folder / RUNS / name
        newest = _stamp(run / DESCRIPTION)
        if newest is None or newest <= max(_stamp(predictions_file(self._project, name)) or 0, self._tried.get(name, 0)):
            return
        if state != "finished" and not (state == "running" and self._time_for_another()):
            return
        self._tried[name] = newest
        self._last = time.monotonic()
        with suppress(BruleError):  # such as a full disk; the next checkpoint is tried again
            self.predict(name)

    def _time_for_another(self) -> bool:
        """Whether predicting all images with the detector under training would take little of the training's time."""
        few = len(self._project.entries) <= MAX_INTERIM
        return few and time.monotonic() - self._last > INTERIM


def curves(state: RunState) -> dict[str, list[list[float]]]:
    """Each logged term over the iterations, thinned."""
    found: dict[str, list[list[float]]] = {}
    for record in state.records:
        for name, value in record.items():
            if name not in ("iteration", "seconds") and is_finite(value):
                found.setdefault(name, []).append([record["iteration"], value])
    return {name: _thinned(points) for name, points in found.items()}


def _stage(run: Path) -> str | None:
    """What a run is busy with outside its iterations, in words; None during these."""
    stage = json_object(run / STAGE).get("stage")
    return stage if isinstance(stage, str) else None


def _stamp(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _thinned(points: list[list[float]]) -> list[list[float]]:
    return [points[k] for k in evenly_spread(len(points), MAX_CURVE)]


class _Lines:
    """Counts the predictions in a file that is being written; what was counted once isn't read again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._file: Path | None = None
        self._place, self._count = 0, 0  # bytes, and the line ends in them

    def done(self, target: Path) -> int:
        """How many predictions there are so far.

        Args:
            target: what the file is to become.
        """
        parts = list(target.parent.glob(f".{target.stem}.*.part{target.suffix}"))
        with self._guard:
            try:
                newest = max(parts, key=lambda path: path.stat().st_mtime)
                if newest != self._file:
                    self._file, self._place, self._count = newest, 0, 0
                with newest.open("rb") as file:
                    file.seek(self._place)
                    for block in iter(lambda: file.read(1 << 20), b""):
                        self._place, self._count = self._place + len(block), self._count + block.count(b"\n")
            except (OSError, ValueError):  # not begun, or finished just now
                return 0
            return max(0, self._count - 1)  # without the head
