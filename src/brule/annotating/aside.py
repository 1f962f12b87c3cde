"""The annotations of folders that were removed from a project: kept beside the others, and taken back with their folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from brule.annotating.folders import RemovedFolder
from brule.annotating.summaries import LAYERS
from brule.files import make_folder, wrap_oserror

ASIDE = "removed"  # folder of a project; in it are the same folders as in the project itself


def set_aside(project: Path, removed: RemovedFolder) -> None:
    """Move the annotations of a folder out of those of the project; what was moved before is passed over.

    Raises:
        OutputError: one can't be moved.
    """
    _move(removed, project, project / ASIDE)


def take_back(project: Path, removed: RemovedFolder) -> None:
    """Move the annotations of a folder back to those of the project; as :func:`set_aside`."""
    _move(removed, project / ASIDE, project)


def _move(removed: RemovedFolder, source: Path, target: Path) -> None:
    for layer in LAYERS.values():
        for name in removed.names:
            old, new = (root / layer / f"{name}.json" for root in (source, target))
            if old.exists():
                make_folder(new.parent)
                with wrap_oserror(new, old):
                    os.replace(old, new)
                _drop_empty(old.parent, source)


def _drop_empty(folder: Path, root: Path) -> None:
    """Remove a folder that holds nothing, and those above it below a root."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
