"""What a server works on: the project and its background work."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

import anyio
import numpy as np

from brule.annotating import Project
from brule.annotating.folders import ImageEntry, inside
from brule.annotating.hints import Hint, hints
from brule.annotating.outlines import FILE, outline_labels
from brule.annotating.records import Record
from brule.errors import DataError
from brule.threads import usable_cores
from brule.web.choices import Choices
from brule.web.errors import Refused
from brule.web.events import Hub
from brule.web.guesses import Guesses
from brule.web.pictures import Pictures
from brule.web.redrawings import Redrawings
from brule.web.training import Training

FILES, DECODING = 16, 2  # threads at a time, at least


class Page:
    """The state behind the page.

    Args:
        project: that is annotated.
        local: whether only this machine can ask; others may not name folders of it.
    """

    def __init__(self, project: Project, *, local: bool = True) -> None:
        # SciPy's packages before the threads that use them: two threads that import them at once break each other's import.
        import scipy.cluster.vq
        import scipy.optimize  # noqa: F401

        self.project, self.local = project, local
        self.hub = Hub()
        self.pictures = Pictures(project.own / "cache")
        decoding = max(DECODING, usable_cores() - 1)
        self.limiters = {"files": anyio.CapacityLimiter(FILES), "decoding": anyio.CapacityLimiter(decoding)}
        self.limiters["slow"] = anyio.CapacityLimiter(2)
        self.guesses = Guesses(project, self.hub)
        self.training = Training(project, self.hub)
        self.guesses.detector_error = self.training.held_out_px
        self.choices = Choices(project, self.hub)
        self.redrawing = Redrawings(project)
        self._hints: dict[str, tuple[tuple[object, ...], int]] = {}
        self._outlines: tuple[int, object, list[dict[str, Any]]] = (-1, None, [])
        self._order: tuple[object, list[str], dict[str, int]] = (None, [], {})
        project.listen(self.hub.publish)

    def entry(self, image: str) -> ImageEntry:
        """The image of an id.

        Raises:
            Refused: there is none.
        """
        try:
            return self.project.entry(image)
        except KeyError:
            raise Refused("not_found", "there is no such image in this project") from None

    def picture(self, image: str) -> ImageEntry:
        """The image of an id, once it is clear that its file may be shown.

        Raises:
            Refused: there is none, or it is a link out of the project's folders.
        """
        entry = self.entry(image)
        if not inside(entry.path, self.project.settings.folders):
            raise Refused("forbidden", f"{entry.shown} is a link that leads out of the project's folders; add that folder")
        return entry

    def record(self, image: str, layer: str = "first") -> Record:
        """The annotation of an image.

        Raises:
            Refused: there is no such image.
        """
        self.entry(image)
        return self.project.record(image, layer)

    def outlines(self) -> list[dict[str, Any]]:
        """The labels of the imported outlines, as the page shows them."""
        try:
            stamp = (self.project.folder / FILE).stat().st_mtime_ns
        except OSError:
            return []
        entries = self.project.entries
        if self._outlines[0] != stamp or self._outlines[1] is not entries:
            self._outlines = (stamp, entries, [asdict(one) for one in outline_labels(self.project)])
        return self._outlines[2]

    def neighbours(self, image: str) -> tuple[str | None, str | None]:
        """The images before and after one, in the order of their names."""
        entries = self.project.entries
        if self._order[0] is not entries:
            ids = list(entries)
            self._order = (entries, ids, {one: i for i, one in enumerate(ids)})
        _, ids, places = self._order
        place = places[image]
        return (ids[place - 1] if place else None), (ids[place + 1] if place + 1 < len(ids) else None)

    def ordered(self, ids: list[str], order: str) -> list[str]:
        """Images in another order than that of their names.

        Args:
            ids: of the images.
            order: ``uncertainty``, ``changed``, ``proposed`` or ``worst_hint``: those of which there is most come first.
        """
        if order == "changed":
            summaries = self.project.summaries
            return sorted(ids, key=lambda image: -(summaries[image].stamp or (0, 0))[0])
        if order == "uncertainty":
            known = self.training.predictions()
            uncertainties = {} if known is None else known.uncertainty
            return sorted(ids, key=lambda image: -uncertainties.get(self.project.entry(image).name, -1.0))
        if order == "proposed":
            places = {image: k for k, image in enumerate(self.choices.ids)}
            return sorted(ids, key=lambda image: places.get(image, len(places)))
        if order == "worst_hint":
            return sorted(ids, key=lambda image: -self._n_hints(image))
        return ids

    def hints(self, image: str, points: np.ndarray) -> list[Hint]:
        """What may be wrong with landmarks of an image, compared with the *other* annotated images.

        Args:
            image: its id.
            points: ``(N, 2)`` in pixels, NaN where nothing is placed.
        """
        fitted, template, record = self.guesses.fitted, self.project.template, self.project.record(image)
        statistics = fitted.statistics
        if statistics is not None and len(statistics.mean) != len(points):
            statistics = None
        own = fitted.images.index(image) if statistics is not None and image in fitted.images else None
        size = None
        with suppress(DataError):  # the image is missing; the hints on its shape are as right without it
            size = record.image_size()
        return hints(points, template, statistics, box=record.marks.box, size=size, own=own)

    def _n_hints(self, image: str) -> int:
        """How many hints an annotation gives; warnings count ten times."""
        own = self.project.summaries[image]
        if own.placed == 0:
            return 0
        key = ((own.stamp or (0, 0))[0], self.guesses.fitted.statistics, self.project.template)
        known = self._hints.get(image)
        if known is None or known[0] != key:
            found = self.hints(image, self.project.record(image).marks.array(self.project.template.names))
            known = self._hints[image] = (key, sum(10 if one.severity == "warning" else 1 for one in found))
        return known[1]

    def close(self) -> None:
        """End all background work, and keep what makes the next opening fast."""
        self.hub.close()
        works = (self.guesses.work, self.choices.work)
        for work in works:
            work.end()
        for work in works:
            work.close()
        self.training.close()
        self.project.close()
