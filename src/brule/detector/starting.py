"""Training that starts from the weights of an earlier detector, and what else is taken from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import brule.data as data
from brule.detector.origin import Origin
from brule.detector.storage import Stored, read_detector
from brule.errors import DataError

if TYPE_CHECKING:
    from brule.data import Shapes
    from brule.training.state import TrainingState


def shapes_of_detector(stored: Stored, folder: Path, *, scale: float) -> Shapes:
    """The annotated shapes that an earlier detector learnt from, in the crops of a new run.

    Args:
        stored: the detector.
        folder: of it, for names and messages.
        scale: ``crop.scale`` of the new run; the same square about the same centre is ``scale`` times the box wide.

    Raises:
        DataError: its shapes have different numbers of points, so it holds none.
    """
    if stored.shapes is None:
        raise DataError(
            f"{folder}: this detector holds no annotated shapes, because they differ in number of points; give shapes"
        )
    sets = (stored.shapes.numpy().astype(float) - 0.5) * (stored.config.crop.scale / scale) + 0.5
    names = [f"{folder.name}: shape {index}" for index in range(len(sets))]
    return data.Shapes(
        list(sets), names, edges=stored.edges or (), placed=frozenset(range(len(sets))), landmarks=stored.names
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Earlier:
    """An earlier detector that a training begins with.

    Attributes:
        folder: of it, as it was given.
        stored: its networks, settings and shapes.
        origin: what is recorded of it.
    """

    folder: Path
    stored: Stored
    origin: Origin

    @classmethod
    def read(cls, folder: Path) -> Earlier:
        """Read one.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        stored = read_detector(folder)
        return cls(folder, stored, Origin.of(folder, stored.config.preset, stored.trained.progress.iteration))

    def shapes(self, *, scale: float) -> Shapes:
        """Its annotated shapes; see :func:`shapes_of_detector`."""
        return shapes_of_detector(self.stored, self.folder, scale=scale)

    def take_weights(self, state: TrainingState) -> None:
        """Put its weights into the networks of a new run; see :func:`brule.training.run.take_weights`."""
        from brule.training.run import take_weights

        trained = self.stored.trained
        take_weights(state, trained.model, trained.decoder, source=self.folder)
