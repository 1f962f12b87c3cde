"""The progress of a training, from the files in its folder; torch isn't imported."""

from __future__ import annotations

import math
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from brule.errors import DataError
from brule.files import json_object, parse_json
from brule.tracking.run_files import DESCRIPTION, LOG, PREVIEWS, SETTINGS

VALIDATION_NME, VALIDATION_W1 = "validation NME", "validation W1"  # terms of the log, in %: lines of their own
_RECENT = 20  # lines of the log that the speed is measured over
_COMPARED = 1000  # bytes before the place where reading continues: other ones mean that the file was written anew


@dataclass(frozen=True)
class RunState:
    """The progress of a run, from its folder.

    Attributes:
        run: the folder.
        records: the lines of its log, in order.
        iterations: how many there are to be; ``None`` if unknown.
        minutes: the time limit; ``None`` if there is none.
        finished: whether training has finished.
        preview: the newest preview picture.
        age: seconds since the log was written to.
    """

    run: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    iterations: int | None = None
    minutes: float | None = None
    finished: bool = False
    preview: Path | None = None
    age: float = 0.0

    @classmethod
    def read(cls, run: Path, lines: LogLines | None = None) -> RunState:
        """Read a run's folder; a line that is being written, or is damaged, is ignored.

        Args:
            run: the folder.
            lines: what was read of its log before, so that only what was added is read now.

        Raises:
            DataError: there is no run in the folder.
        """
        log, settings = run / LOG, json_object(run / SETTINGS)
        if not log.is_file() and not settings:
            raise DataError(
                f"{run}: expected the folder of a run, found neither {LOG} nor {SETTINGS}; give the -o of brule train"
            )
        previews = sorted(run.glob(f"{PREVIEWS}/*.png"))
        return cls(
            run,
            _records(log) if lines is None else lines.of(log),
            _number(settings.get("iterations"), int),
            _number(settings.get("time_limit"), float),
            json_object(run / DESCRIPTION).get("finished") is True,
            previews[-1] if previews else None,
            max(0.0, time.time() - log.stat().st_mtime) if log.is_file() else 0.0,
        )

    @property
    def iteration(self) -> int:
        """The last one logged."""
        return int(self.records[-1]["iteration"]) if self.records else 0

    @property
    def seconds(self) -> float:
        """Training time up to there."""
        return _seconds(self.records[-1]) if self.records else 0.0

    @property
    def share(self) -> float | None:
        """How much is done, 0 … 1: by iterations or by the clock, whichever ends the run first; ``None`` if unknown."""
        if self.finished:
            return 1.0
        shares = [self.iteration / self.iterations] if self.iterations else []
        shares += [self.seconds / (60 * self.minutes)] if self.minutes else []
        return min(1.0, max(shares)) if shares else None

    @property
    def speed(self) -> float | None:
        """Iterations per second over the last lines; ``None`` if there are too few."""
        recent = self.records[-_RECENT:] if len(self.records) > 1 else [{"iteration": 0, "seconds": 0.0}, *self.records]
        done = recent[-1]["iteration"] - recent[0]["iteration"]
        took = _seconds(recent[-1]) - _seconds(recent[0])
        return done / took if done > 0 and took > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Until the end at this speed; ``None`` if unknown."""
        left = []
        if self.iterations and self.speed:
            left.append(max(0.0, (self.iterations - self.iteration) / self.speed))
        if self.minutes:
            left.append(max(0.0, 60 * self.minutes - self.seconds))
        return min(left) if left and not self.finished else None

    @property
    def terms(self) -> dict[str, list[float]]:
        """Each logged term's values in order; what isn't a finite number is passed over."""
        found: dict[str, list[float]] = {}
        for record in self.records:
            for name, value in record.items():
                if name not in ("iteration", "seconds") and is_finite(value):
                    found.setdefault(name, []).append(float(value))
        return found

    @property
    def validation(self) -> list[tuple[int, float, float]]:
        """Iteration, NME and W₁ in % of every measurement on validation images, in order."""
        pairs = [(one, one.get(VALIDATION_NME), one.get(VALIDATION_W1)) for one in self.records]
        return [(int(one["iteration"]), nme, w1) for one, nme, w1 in pairs if is_finite(nme) and is_finite(w1)]


class LogLines:
    """The records of a log that grows: whole lines that were read once aren't read again. May be used from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._which: tuple[Path, int, int] | None = None
        self._place, self._end = 0, b""  # bytes that were read, and the last of them
        self._records: list[dict[str, Any]] = []

    def of(self, log: Path) -> list[dict[str, Any]]:
        """The records of a log so far; all are read again where it isn't the one that was read before, or was cut short."""
        with self._guard:
            try:
                with log.open("rb") as file:
                    status = os.fstat(file.fileno())
                    which = (log, status.st_dev, status.st_ino)
                    if which != self._which or not self._continues(file):
                        self._forget(which)
                    file.seek(self._place)
                    added = file.read()
            except FileNotFoundError:
                self._forget(None)
                return []
            whole = added[: added.rfind(b"\n") + 1]
            if whole:
                self._place += len(whole)
                self._end = whole[-_COMPARED:]
                self._records = [*self._records, *_parsed(whole)]  # another list: the one that was given out stays as it is
            return self._records

    def _continues(self, file: BinaryIO) -> bool:
        """Whether a file still holds what was read last, at its place."""
        file.seek(self._place - len(self._end))
        return file.read(len(self._end)) == self._end

    def _forget(self, which: tuple[Path, int, int] | None) -> None:
        self._which, self._place, self._end, self._records = which, 0, b"", []


def _records(log: Path) -> list[dict[str, Any]]:
    try:
        return _parsed(log.read_bytes())
    except FileNotFoundError:
        return []


def _parsed(lines: bytes) -> list[dict[str, Any]]:
    found = []
    for line in lines.decode("utf-8", "replace").splitlines():
        try:
            record = parse_json(line)
        except ValueError:
            continue
        if isinstance(record, dict) and is_finite(record.get("iteration")):
            found.append(record)
    return found


def _seconds(record: dict[str, Any]) -> float:
    value = record.get("seconds")
    return float(value) if is_finite(value) else 0.0


def _number(value: Any, kind: type) -> Any:
    return kind(value) if is_finite(value) and value > 0 else None


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a value of the log is a number, and a finite one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False
