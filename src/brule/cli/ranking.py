"""Which predictions most need a person's look."""

from __future__ import annotations

from dataclasses import dataclass, field
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
SHOWN = 10
HEADER = ("rank", "path", "object", "uncertainty", "expected_error_px", "worst_landmark")


@dataclass
class Ranking:
    """Predictions in the order in which they should be looked at.

    Attributes:
        calibrated: whether the spreads are expected errors.
        wanted: whether somebody will ask; otherwise nothing is kept.
        rows: uncertainty, path, object's number in its image, mean spread in pixels, 0-based index of the largest spread.
    """

    calibrated: bool
    wanted: bool = True
    rows: list[tuple[float, str, int, float, int]] = field(default_factory=list)

    def add(self, batch: list[Sample], landmarks: Landmarks, objects: list[int]) -> None:
        """Take a batch in; ``objects`` numbers the objects of each image, from 1."""
        if not self.wanted:
            return
        assert landmarks.uncertainty is not None
        for sample, spread, uncertainty, number in zip(batch, landmarks.spread, landmarks.uncertainty, objects, strict=True):
            self.rows.append((float(uncertainty), str(sample.path), number, float(spread.mean()), int(spread.argmax())))

    def ordered(self) -> list[tuple[float, str, int, float, int]]:
        """The least sure first; equal ones by path."""
        return sorted(self.rows, key=lambda row: (-row[0], row[1:]))

    def write(self, folder: Path) -> Path:
        """Write ``rank.csv``, whole or not at all; returns its path.

        The uncertainty of a calibrated detector is the expected error in percent of the crop's side, so that large images don't
        come first for being large; that of another has no unit, and the error in pixels stays empty.
        """
        path = folder / RANK
        rows = [
            [rank, name, number, f"{100 * uncertainty:.4f}", f"{pixels:.3f}" if self.calibrated else "", worst]
            for rank, (uncertainty, name, number, pixels, worst) in enumerate(self.ordered(), 1)
        ]
        write_text(path, csv_text([HEADER, *rows]))
        return path

    def tell(self) -> None:
        """Print the first of them."""
        if not self.calibrated:
            note(
                "this detector isn't calibrated: the order shows which images are least certain, but not how large their "
                "errors are; brule calibrate adds that"
            )
        say("check these first:" + ("  (expected error in % of the crop's side, in pixels)" if self.calibrated else ""))
        for uncertainty, name, number, pixels, _ in self.ordered()[:SHOWN]:
            figures = f"{100 * uncertainty:6.2f} %  {pixels:7.1f} px  " if self.calibrated else "  "
            say(f"{figures}{printable(name, one_line=True)}{f' (object {number})' if number > 1 else ''}")
