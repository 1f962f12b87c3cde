"""The lists that ``brule predict`` writes while predictions come: ``landmarks.csv`` and ``landmarks.json``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from brule.files import atomic_write

if TYPE_CHECKING:
    import numpy as np

SPACING = ("pixel_width_mm", "pixel_height_mm")


@dataclass(frozen=True)
class Answer:
    """What is written of one object: landmarks and spreads in pixels, and how sure the detector is.

    Attributes:
        points: ``(N, 2)``, NaN where nothing was found.
        spread: ``(N,)``.
        score: how sure the detector is.
        flagged: whether the answer is probably wrong.
        spacing: millimetres per pixel along x and y, where the image has a scale.
    """

    points: np.ndarray
    spread: np.ndarray
    score: float
    flagged: bool
    spacing: tuple[float, float] | None = None

    @property
    def found(self) -> bool:
        """Whether there are landmarks at all."""
        return bool(math.isfinite(float(self.points[0, 0])))


@dataclass(frozen=True)
class Described:
    """What all predictions of a call have in common.

    Attributes:
        n_points: how many landmarks an object has.
        names: of the landmarks, if they have any.
        calibrated: whether spreads are expected errors.
        measured: whether at least one image has a scale.
    """

    n_points: int
    names: tuple[str, ...] | None = None
    calibrated: bool = False
    measured: bool = False

    def spread(self, answer: Answer) -> np.ndarray | None:
        """The spreads of an answer; ``None`` where nothing was found.

        An expected error holds on condition that the object was found, so a flagged answer has none.
        """
        return None if not answer.found or (self.calibrated and answer.flagged) else answer.spread


@dataclass
class Counts:
    """How many objects were written, and of how many images."""

    images: set[Path] = field(default_factory=set)
    objects: int = 0
    flagged: int = 0

    def count(self, path: Path, answer: Answer) -> None:
        """Take one object in."""
        self.objects += answer.found
        self.flagged += answer.flagged
        if answer.found:
            self.images.add(path)

    def text(self, images: int) -> str:
        """The counts in words."""
        text = f"{images} images" if self.objects == images else f"{self.objects} objects in {images} images"
        return text + (f" ({self.flagged} flagged as probably wrong)" if self.flagged else "")


class _Stream:
    """A text file that grows while predictions come, and gets its name when all are in."""

    def __init__(self, path: Path, wanted: bool, known: Described) -> None:
        self._wanted, self._known = wanted, known
        self._whole = atomic_write(path)
        self._file: IO[str] | None = None

    def __enter__(self) -> _Stream:
        if self._wanted:
            temporary = self._whole.__enter__()
            with self._ending_well():
                self._file = temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="")
                self._file.write(self._head())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is None:
            return
        with self._ending_well(), self._file:  # closing writes what is left, which may fail as well
            if kind is None:
                self._file.write(self._foot())
        self._whole.__exit__(kind, error, trace)

    @contextmanager
    def _ending_well(self) -> Iterator[None]:
        """Leave nothing half-written where the file itself can't be written."""
        try:
            yield
        except OSError as error:
            self._whole.__exit__(type(error), error, error.__traceback__)  # which says it in words of ours
            raise

    def add(self, path: Any, answer: Answer) -> None:
        """Write one object's landmarks, pixels."""
        if self._file is not None:
            self._file.write(self._entry(path, answer))

    def _head(self) -> str:
        raise NotImplementedError

    def _entry(self, path: Any, answer: Answer) -> str:
        raise NotImplementedError

    def _foot(self) -> str:
        return ""


class LandmarkTable(_Stream):
    """``path, x0, y0, …, spread, score, flagged``: one line per object; the spread is the mean over its landmarks.

    Landmarks that have names are ``nose_x, nose_y, …``.

    Where an image has a scale, the width and height of its pixels in millimetres follow.
    """

    _place_names: tuple[str, ...] = ("path",)

    def _head(self) -> str:
        names = self._known.names
        plain = [f"{axis}{i}" for i in range(self._known.n_points) for axis in "xy"]
        axes = plain if names is None else [f"{name}_{axis}" for name in names for axis in "xy"]
        return csv_line([*self._place_names, *axes, "spread", "score", "flagged", *(SPACING if self._known.measured else ())])

    def _entry(self, path: Any, answer: Answer) -> str:
        spread = self._known.spread(answer)
        figures = [*answer.points.ravel().tolist(), math.nan if spread is None else float(spread.mean()), answer.score]
        texts = [f"{value:.3f}" if math.isfinite(value) else "" for value in figures]
        spacing = (repr(float(value)) for value in answer.spacing) if answer.spacing is not None else ("", "")
        return csv_line([*self._place(path), *texts, str(int(answer.flagged)), *(spacing if self._known.measured else ())])

    def _place(self, path: Any) -> list[str]:
        return [str(path)]


class LandmarkList(_Stream):
    """``{"landmarks": N, "names": […], "frame": …, "spread": …, "images": [{"path", "points", "spread", …}, …]}``."""

    _separator = "\n"

    def _head(self) -> str:
        import json

        frame = "pixels of the upright image, the centre of the first pixel at (0, 0)"
        calibrated = self._known.calibrated
        spread = (
            "expected distance from the truth where the object was found, none for flagged answers"
            if calibrated
            else "standard deviation of the heatmap along one axis"
        )
        names = {} if self._known.names is None else {"names": list(self._known.names)}
        facts = {"landmarks": self._known.n_points, **names, "frame": frame, "spread": f"{spread}, pixels"}
        return json.dumps(facts)[:-1] + ', "images": ['

    def _entry(self, path: Any, answer: Answer) -> str:
        import json

        spread = self._known.spread(answer)
        entry = {
            **self._place(path),
            "points": [[round(float(x), 3), round(float(y), 3)] for x, y in answer.points] if answer.found else None,
            "spread": None if spread is None else [round(float(value), 3) for value in spread],
            "score": round(answer.score, 4) if math.isfinite(answer.score) else None,
            "flagged": answer.flagged,
        }
        if answer.spacing is not None:
            entry["mm_per_pixel"] = list(answer.spacing)
        before, self._separator = self._separator, ",\n"
        return before + json.dumps(entry)

    def _place(self, path: Any) -> dict[str, Any]:
        return {"path": str(path)}

    def _foot(self) -> str:
        return "\n]}\n"


def csv_line(cells: Sequence[str]) -> str:
    """A line of a CSV file."""
    from brule.tables import csv_text

    return csv_text([cells])
