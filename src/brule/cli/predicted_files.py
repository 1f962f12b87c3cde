"""The lists that ``brule predict`` writes while predictions come: ``landmarks.csv`` and ``landmarks.json``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
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
class Prediction:
    """What is written of one object: landmarks and spreads in pixels, and how sure the detector is.

    Attributes:
        points: ``(N, 2)``, NaN where nothing was found.
        spread: ``(N,)``.
        score: how sure the detector is.
        flagged: whether the prediction is probably wrong.
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

    def spread(self, prediction: Prediction) -> np.ndarray | None:
        """The spreads of a prediction; ``None`` where nothing was found.

        An expected error holds on condition that the object was found, so a flagged prediction has none.
        """
        return None if not prediction.found or (self.calibrated and prediction.flagged) else prediction.spread


@dataclass
class Counts:
    """What was written: how many objects, and of how many images.

    Attributes:
        what: what one image is called.
        flagged: how many objects are probably wrong.
    """

    what: str = "image"
    flagged: int = 0
    _objects: Counter[Hashable] = field(default_factory=Counter)  # of each image, also of one without any

    @property
    def images(self) -> int:
        """How many images there are, each counted once."""
        return len(self._objects)

    def count(self, image: Hashable, prediction: Prediction) -> None:
        """Take in one object of an image, or the row of an image in which nothing was found."""
        self._objects[image] += prediction.found
        self.flagged += prediction.found and prediction.flagged

    def text(self) -> str:
        """The counts in words."""
        text = f"{self.images:,} {self.what}{'s' if self.images != 1 else ''}"
        if any(count > 1 for count in self._objects.values()):
            text = f"{self._objects.total():,} objects in {text}"
        empty = sum(not count for count in self._objects.values())
        remarks = [f"{self.flagged:,} flagged as probably wrong"] if self.flagged else []
        remarks += [f"nothing found in {empty:,}"] if empty else []
        return f"{text} ({', '.join(remarks)})" if remarks else text


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

    def add(self, path: Any, prediction: Prediction) -> None:
        """Write one object's landmarks, pixels."""
        if self._file is not None:
            self._file.write(self._entry(path, prediction))

    def _head(self) -> str:
        raise NotImplementedError

    def _entry(self, path: Any, prediction: Prediction) -> str:
        raise NotImplementedError

    def _foot(self) -> str:
        return ""


class LandmarkTable(_Stream):
    """``path, x0, y0, …, spread, score, flagged``: one line per object; the spread is the mean over its landmarks.

    An image in which nothing was found has one line, without coordinates. Landmarks are counted from 0.

    Landmarks that have names are ``nose_x, nose_y, …``.

    Where an image has a scale, the width and height of its pixels in millimetres follow.
    """

    _place_names: tuple[str, ...] = ("path",)

    def _head(self) -> str:
        names = self._known.names
        plain = [f"{axis}{i}" for i in range(self._known.n_points) for axis in "xy"]
        axes = plain if names is None else [f"{name}_{axis}" for name in names for axis in "xy"]
        return csv_line([*self._place_names, *axes, "spread", "score", "flagged", *(SPACING if self._known.measured else ())])

    def _entry(self, path: Any, prediction: Prediction) -> str:
        spread = self._known.spread(prediction)
        figures = [*prediction.points.ravel().tolist(), math.nan if spread is None else float(spread.mean()), prediction.score]
        texts = [f"{value:.3f}" if math.isfinite(value) else "" for value in figures]
        spacing = (repr(float(value)) for value in prediction.spacing) if prediction.spacing is not None else ("", "")
        return csv_line([*self._place(path), *texts, str(int(prediction.flagged)), *(spacing if self._known.measured else ())])

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
            "expected distance from the truth where the object was found, none for flagged predictions"
            if calibrated
            else "standard deviation of the heatmap along one axis"
        )
        names = {} if self._known.names is None else {"names": list(self._known.names)}
        facts = {"landmarks": self._known.n_points, **names, "frame": frame, "spread": f"{spread}, pixels"}
        return json.dumps(facts)[:-1] + ', "images": ['

    def _entry(self, path: Any, prediction: Prediction) -> str:
        import json

        spread = self._known.spread(prediction)
        entry = {
            **self._place(path),
            "points": [[round(float(x), 3), round(float(y), 3)] for x, y in prediction.points] if prediction.found else None,
            "spread": None if spread is None else [round(float(value), 3) for value in spread],
            "score": round(prediction.score, 4) if math.isfinite(prediction.score) else None,
            "flagged": prediction.flagged,
        }
        if prediction.spacing is not None:
            entry["mm_per_pixel"] = list(prediction.spacing)
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
