"""Which images to annotate first: found in the background, from a sample of a large project."""

from __future__ import annotations

from typing import Any

import numpy as np

from brule.annotating import Project
from brule.arrays import evenly_spread
from brule.choosing import choose, plain_descriptors
from brule.data.images import load_crop
from brule.data.samples import Sample
from brule.errors import DataError
from brule.web.background import Latest
from brule.web.events import Hub

COUNT = 10
MAX_COMPARED = 400  # images, spread evenly over all
SIDE = 64  # pixels of an image that is compared


class Choices:
    """The service behind the page's proposals.

    Args:
        project: whose images they are.
        hub: hears of them.
    """

    def __init__(self, project: Project, hub: Hub) -> None:
        self._project, self._hub = project, hub
        self._known: object = None
        self.ids: list[str] = []
        self.ready = False
        self.work = Latest(self._choose, name="choices", pause=0.5)
        project.listen(lambda event, facts: self.work.ask() if event == "project" else None)
        self.work.ask()

    def state(self) -> dict[str, Any]:
        """What the page shows of it."""
        return {"ready": self.ready, "ids": self.ids}

    def _choose(self) -> None:
        entries = self._project.entries
        if entries is self._known:
            return
        self._known = entries
        ids = list(entries)
        some = [ids[k] for k in evenly_spread(len(ids), MAX_COMPARED)]
        crops, kept = [], []
        for image in some:
            if self.work.ending:
                return
            try:
                crops.append(load_crop(Sample(entries[image].path), SIDE)[0])
                kept.append(image)
            except DataError:
                continue
        if kept:
            chosen = choose(plain_descriptors(np.stack(crops)), min(COUNT, len(kept)))
            self.ids = [kept[index] for index in chosen.indices.tolist()]
        else:
            self.ids = []
        self.ready = True
        self._hub.publish("choice", {"ids": self.ids})
