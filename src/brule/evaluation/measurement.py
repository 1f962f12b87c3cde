"""A detector measured on whole images and inside the true boxes, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from brule.data import BadFiles
from brule.errors import DataError
from brule.evaluation.checks import check_names
from brule.evaluation.intervals import Estimate
from brule.evaluation.result import Evaluation

FEW_IMAGES = 20  # annotated images below which a figure isn't reliable
COLUMNS = {"none": "whole images", "given": "given boxes"}


@dataclass(frozen=True, eq=False)
class Measurement:
    """The evaluations of one detector on one set of annotated images.

    Attributes:
        whole: on whole images, without boxes: what a user gets; ``None`` if it wasn't asked for.
        given: inside the true boxes, which users don't have; ``None`` if it wasn't measured.
        objects: precision, recall and counts where images hold several objects or none; empty otherwise.
        repeat: error between two annotations of the same images, ``{"nme": …, "nme_px": …, "n": …}``; empty if there are none.
        warnings: what makes the figures unreliable, one plain sentence each.
        bad: files that were left out.
    """

    whole: Evaluation | None = None
    given: Evaluation | None = None
    objects: Mapping[str, float] = field(default_factory=dict)
    repeat: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    bad: BadFiles = field(default_factory=BadFiles)

    def __post_init__(self) -> None:
        if self.whole is None and self.given is None:
            raise DataError("measurement: expected an evaluation on whole images, inside given boxes, or both, got neither")

    @classmethod
    def of(cls, found: Evaluation | Measurement) -> Measurement:
        """A single evaluation as a measurement; a measurement as it is."""
        if isinstance(found, Measurement):
            return found
        return cls(whole=found) if found.boxes == "none" else cls(given=found)

    @property
    def first(self) -> Evaluation:
        """The evaluation whose figures come first: on whole images if there is one."""
        found = self.whole or self.given
        assert found is not None
        return found

    @property
    def detail(self) -> Evaluation:
        """The evaluation that shows where landmarks err: inside given boxes if there is one, so that misses hide nothing."""
        return self.given or self.first

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """Column heading → evaluation, the first one first."""
        return {COLUMNS[one.boxes]: one for one in (self.whole, self.given) if one is not None}

    def with_landmark_names(self, names: Sequence[str] | None) -> Measurement:
        """The same, with the names of the landmarks, in their order; unchanged if there are none.

        Raises:
            DataError: there are more or fewer names than landmarks.
        """
        known = check_names(names, len(self.first.centre))
        if known is None:
            return self
        whole, given = (None if one is None else replace(one, landmark_names=known) for one in (self.whole, self.given))
        return replace(self, whole=whole, given=given)

    @property
    def nme(self) -> float:
        """Mean error of the first evaluation, percent."""
        return self.first.scores.nme

    def verdict(self) -> str:
        """The result in plain words: a sentence or two."""
        first, scores = self.first, self.first.scores
        where = "on whole images" if first.boxes == "none" else "inside the true boxes"
        share = f"{100 * scores.found:.0f} % of {scores.n:,} objects are found"
        text = f"Mean error {scores.nme:.2f} % {where} (median {scores.median_nme:.2f} %); {share}"
        if scores.nme_found is not None and scores.found < 1:
            text += f", with a mean error of {scores.nme_found:.2f} %"
        if self.whole is not None and self.given is not None:
            text += f". Inside the true boxes: {self.given.scores.nme:.2f} %"
        text += f". A constant prediction (floor), the {first.floor_name} in the true box, has {scores.floor_nme:.2f} %."
        if not first.beats_floor:
            text += " This detector is no better than that constant prediction."
        return text

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON: those of :attr:`first`, and those inside given boxes under ``given_boxes``."""
        extra = {"objects": dict(self.objects) or None, "repeat": dict(self.repeat) or None, "warnings": list(self.warnings)}
        return {**self.first.to_dict(), "given_boxes": self.given.to_dict() if self.given else None, **extra}

    def estimates(self, name: str) -> dict[str, Estimate | None]:
        """One figure with its interval, by column heading; ``None`` where an evaluation doesn't have it."""
        return {
            column: one.scores.estimate(name) if name in one.scores.figures else None
            for column, one in self.evaluations.items()
        }
