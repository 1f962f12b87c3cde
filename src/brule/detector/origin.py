"""The detector that a training began with, as it is recorded with the new one."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from brule.errors import CheckpointError
from brule.tracking.run_files import WEIGHTS


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
    def of(cls, folder: Path, preset: str, iterations: int) -> Origin:
        """That of a training that begins with the detector in a folder."""
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        return cls(folder.resolve().name or "detector", last_part(preset), iterations, digest)

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
