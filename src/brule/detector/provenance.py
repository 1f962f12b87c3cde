"""What a detector was trained on and how good it was found to be: counts and figures, kept with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from brule.errors import CheckpointError, DataError
from brule.files import read_json
from brule.tracking.run_files import EVALUATIONS, METRICS

_FIGURES = ("nme", "nme_px", "median_nme", "found", "w1", "floor_nme")


@dataclass(frozen=True)
class Figures:
    """One measurement of a detector.

    Attributes:
        data: the name of the annotated images.
        n: how many objects.
        boxes: ``"none"``: whole images, no box from anyone; ``"given"``: inside the true boxes.
        normaliser: the name of the distance that errors are divided by.
        values: ``nme``, ``median_nme``, ``w1``, ``floor_nme`` in percent of that distance, ``nme_px`` in pixels, ``found`` a
            share.
        given_nme: NME inside the true boxes, where both were measured.
    """

    data: str
    n: int
    boxes: str
    normaliser: str
    values: dict[str, float]
    given_nme: float | None = None

    @classmethod
    def of(cls, data: str, metrics: Mapping[str, Any]) -> Figures:
        """Those of a measurement's dictionary, as ``metrics.json`` holds it.

        Raises:
            KeyError, TypeError, ValueError: it is another dictionary.
        """
        values = {name: float(metrics[name]) for name in _FIGURES if metrics.get(name) is not None}
        if "nme" not in values:
            raise KeyError("nme")
        given = metrics.get("given_boxes") if metrics["boxes"] == "none" else None
        return cls(
            data,
            int(metrics["n"]),
            str(metrics["boxes"]),
            str(metrics["normaliser"]),
            values,
            float(given["nme"]) if given else None,
        )

    def text(self) -> str:
        """The figures in a sentence, the floor beside them, as far as they are known."""
        where = "whole images" if self.boxes == "none" else "inside the true boxes"
        values = self.values
        text = f"NME {values['nme']:.2f} %" if "nme" in values else "NME not recorded"
        text += f" on {self.n:,} objects ({where})"
        if "median_nme" in values:
            text += f", median {values['median_nme']:.2f} %"
        if "found" in values:
            text += f", found {100 * values['found']:.0f} %"
        if "w1" in values:
            text += f", W₁ {values['w1']:.2f} %"
        if "nme_px" in values:
            text += f", {values['nme_px']:.1f} px"
        floor = f"{values['floor_nme']:.2f} %" if "floor_nme" in values else "not recorded"
        text += f"; constant prediction (floor) {floor}; in % of: {self.normaliser}"
        return text + (f"; inside the true boxes {self.given_nme:.2f} %" if self.given_nme is not None else "")


@dataclass(frozen=True)
class Provenance:
    """What a detector was trained on. Counts, never images; ``None`` where an earlier version didn't record it.

    Attributes:
        version: of brule.
        images: unlabelled images.
        labelled: annotated images, learnt from or by the locator alone.
        shapes: annotated shapes.
        device: where it was trained.
        figures: measurements of it, by the name of their data.
        run: a random identifier of the training run; its checkpoint states it, too.
    """

    version: str | None = None
    images: int | None = None
    labelled: int | None = None
    shapes: int | None = None
    device: str | None = None
    figures: tuple[Figures, ...] = ()
    run: str | None = None

    def measured(self, figures: Figures) -> Provenance:
        """The same with one more measurement, which replaces an earlier one of the same data."""
        return replace(self, figures=(*(one for one in self.figures if one.data != figures.data), figures))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; :meth:`from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Any, path: Path) -> Provenance:
        """The inverse of :meth:`to_dict`; nothing is known where ``content`` is ``None``.

        Raises:
            CheckpointError: it is damaged; ``path`` is named.
        """
        if content is None:
            return cls()
        try:
            figures = tuple(Figures(**one) for one in content.get("figures", ()))
            for one in figures:
                if not isinstance(one.values, dict):
                    raise TypeError("values are no table")
                one.text()  # what can't be shown is damaged
            return cls(**{**content, "figures": figures})
        except (TypeError, AttributeError, ValueError) as error:
            raise CheckpointError(f"{path}: trained_on: damaged ({error}); train again, or use another copy") from None

    def with_evaluations(self, folder: Path) -> Provenance:
        """The same with the measurements that ``brule evaluate`` left in a run's folder; damaged ones are left out."""
        known = self
        for path in sorted((folder / EVALUATIONS).glob(f"*/{METRICS}")):
            try:
                known = known.measured(Figures.of(path.parent.name, read_json(path, "figures")))
            except (DataError, KeyError, TypeError, ValueError):
                continue
        return known
