"""The predictions that a person should check first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from brule.cli.output import note, say
from brule.errors import printable
from brule.files import write_text
from brule.tables import csv_text

if TYPE_CHECKING:
    from brule.data import Sample
    from brule.detector import Landmarks

RANK = "rank.csv"
MAX_LISTED = 10
_FIGURES = 22  # characters of the expected errors on the terminal
HEADER = (
    "rank", "path", "object", "uncertainty", "expected_error_px", "worst_landmark", "flagged", "worst_landmark_name"
)  # fmt: skip


@dataclass(frozen=True)
class Ranked:
    """A prediction that a person may have to check.

    Attributes:
        path: of the image.
        object: number of the object in its image, from 1.
        flagged: whether the prediction is probably wrong.
        uncertainty: the higher, the sooner; ``None`` if nothing was found.
        spread: mean over the landmarks, pixels; ``None`` if nothing was found. An expected error holds where the object was
            found, so of a flagged prediction it is none.
        worst: 0-based index of the landmark with the largest spread; ``None`` if nothing was found.
    """

    path: str
    object: int
    flagged: bool
    uncertainty: float | None = None
    spread: float | None = None
    worst: int | None = None

    @property
    def order(self) -> tuple[bool, bool, float, str, int]:
        """Sort key: images without a prediction, then flagged predictions, then by uncertainty; equal ones by path."""
        return self.uncertainty is not None, not self.flagged, -(self.uncertainty or 0.0), self.path, self.object


@dataclass
class Ranking:
    """Predictions in the order in which they should be checked.

    Attributes:
        calibrated: whether the spreads are expected errors.
        wanted: whether a ranking was asked for; otherwise nothing is kept.
        rows: the predictions.
        names: of the landmarks; ``None`` if they have none.
    """

    calibrated: bool
    wanted: bool = True
    rows: list[Ranked] = field(default_factory=list)
    names: tuple[str, ...] | None = None

    def add(self, batch: list[Sample], landmarks: Landmarks, objects: list[int]) -> None:
        """Add a batch; ``objects`` numbers the objects of each image, from 1."""
        if not self.wanted:
            return
        assert landmarks.uncertainty is not None
        for k, (sample, number) in enumerate(zip(batch, objects, strict=True)):
            one = Ranked(path=str(sample.path), object=number, flagged=bool(landmarks.flagged[k]))
            if bool(landmarks.points[k].isfinite().all()):
                uncertainty, spread = float(landmarks.uncertainty[k]), landmarks.spread[k]
                one = replace(one, uncertainty=uncertainty, spread=float(spread.mean()), worst=int(spread.argmax()))
            self.rows.append(one)

    def ordered(self) -> list[Ranked]:
        """In the order of :attr:`Ranked.order`."""
        return sorted(self.rows, key=lambda row: row.order)

    def expected(self, row: Ranked) -> float | None:
        """The expected error in pixels; ``None`` for flagged predictions and for a detector that isn't calibrated."""
        return row.spread if self.calibrated and not row.flagged else None

    def worst_name(self, row: Ranked) -> str:
        """What the landmark with the largest spread is called; empty if nothing was found."""
        if row.worst is None:
            return ""
        return f"landmark {row.worst + 1}" if self.names is None else self.names[row.worst]

    def write(self, folder: Path) -> Path:
        """Write ``rank.csv``, whole or not at all; returns its path.

        ``rank`` and ``object`` (its number in the image) count from 1. ``worst_landmark`` is the index of the landmark with the
        largest spread, counted from 0 like the columns of ``landmarks.csv``. ``worst_landmark_name`` is its name; without names
        it is ``landmark 1`` and so on, counted from 1 as on the pages.

        The uncertainty of a calibrated detector is the expected error in percent of the crop's side, so that large images don't
        come first because of their size. That of an uncalibrated one has no unit, and the error in pixels stays empty, as it
        does for flagged predictions.
        """
        path = folder / RANK
        rows: list[Sequence[object]] = [HEADER]
        for rank, row in enumerate(self.ordered(), 1):
            uncertainty = "" if row.uncertainty is None else f"{100 * row.uncertainty:.4f}"
            expected = self.expected(row)
            pixels = "" if expected is None else f"{expected:.3f}"
            worst = "" if row.worst is None else row.worst
            rows.append([rank, row.path, row.object, uncertainty, pixels, worst, int(row.flagged), self.worst_name(row)])
        write_text(path, csv_text(rows))
        return path

    def print_first(self) -> None:
        """Print the first ones."""
        if not self.calibrated:
            note(
                "this detector isn't calibrated: the order shows which images are least certain, but not how large their "
                "errors are; brule calibrate adds that"
            )
        say("check these first:")
        for row in self.ordered()[:MAX_LISTED]:
            figures, expected = "  ", self.expected(row)
            if expected is not None and row.uncertainty is not None:
                figures = f"{100 * row.uncertainty:6.2f} %  {expected:7.1f} px  "
            elif self.calibrated:
                figures = f"{'':{_FIGURES}}"
            remark = "  nothing found" if row.uncertainty is None else "  flagged" if row.flagged else ""
            say(f"{figures}{printable(row.path, one_line=True)}{f' (object {row.object})' if row.object > 1 else ''}{remark}")
        if self.calibrated:
            say("Expected error in % of the crop's side and in pixels, on condition that the")
            say("object was found; flagged predictions, which are probably wrong, have none.")
