"""Training that starts from the weights of an earlier detector: their origin, and what else is taken from it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import brule.data as data
from brule.errors import CheckpointError, DataError
from brule.tracking.run_files import WEIGHTS

if TYPE_CHECKING:
    from brule.data import Shapes
    from brule.detector.storage import Stored
    from brule.training.state import TrainingState


def last_part(path: str) -> str:
    """The last part of a path of any system; its other parts may reveal whose computer it is from."""
    return PureWindowsPath(path).name or path


@dataclass(frozen=True)
class Origin:
    """The origin of a detector's first weights. It is saved with the detector, so it holds names, never the paths of folders.

    Attributes:
        folder: the name of the folder of the earlier run or detector.
        preset: that its settings started from; the file's name if it was a file.
        iterations: of training that were behind those weights.
        sha256: of the file with the weights, which distinguishes two states of one folder.
    """

    folder: str
    preset: str
    iterations: int
    sha256: str

    @classmethod
    def of(cls, folder: Path, stored: Stored) -> Origin:
        """That of a training that begins with the detector in a folder."""
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        name, preset = folder.resolve().name or "detector", last_part(stored.config.preset)
        return cls(name, preset, stored.trained.progress.iteration, digest)

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: Any) -> Origin:
        """What :meth:`facts` gave, now or in an earlier version, which also kept paths: these are cut down to names.

        Raises:
            CheckpointError: it is damaged.
        """
        try:
            folder, preset = (last_part(str(facts[key])) for key in ("folder", "preset"))
            return cls(folder, preset, int(facts["iterations"]), str(facts["sha256"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"started_from: damaged ({error!r})") from None

    def describe(self) -> str:
        """In words."""
        return f"{self.folder} (preset {self.preset}, {self.iterations} iterations, weights {self.sha256[:12]})"


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
        from brule.detector.storage import read_detector  # which keeps origins itself

        stored = read_detector(folder)
        return cls(folder, stored, Origin.of(folder, stored))

    def shapes(self, *, scale: float) -> Shapes:
        """Its annotated shapes; see :func:`shapes_of_detector`."""
        return shapes_of_detector(self.stored, self.folder, scale=scale)

    def take_weights(self, state: TrainingState) -> None:
        """Put its weights into the networks of a new run; see :func:`brule.training.run.take_weights`."""
        from brule.training.run import take_weights

        trained = self.stored.trained
        take_weights(state, trained.model, trained.decoder, source=self.folder)
