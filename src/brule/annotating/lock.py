"""One server for each project: nothing else may change what it has in memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from brule.annotating.project import OWN
from brule.data.discovery import PROJECT_FILE
from brule.errors import ConfigError
from brule.files import file_lock, parse_json


class AlreadyOpen(ConfigError):
    """A server has the project open.

    Args:
        project: its folder.
        address: where it answers; None if it isn't known.
    """

    def __init__(self, project: Path, address: str | None) -> None:
        at = f" at {address}" if address else ""
        super().__init__(f"{project}: is open already{at}; use that page, or end that server first")
        self.address = address


@contextlib.contextmanager
def only_server(project: Path) -> Iterator[Callable[[str], None]]:
    """Be the only server of a project; yields a function that notes the address for the next one that tries.

    Raises:
        AlreadyOpen: another one is.
    """
    note = project / OWN / "cache" / "server.json"

    def refuse() -> None:
        raise AlreadyOpen(project, _noted(note))

    with file_lock(project / OWN / "lock", waiting=refuse):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        try:
            yield lambda address: _note(note, address)
        finally:
            note.unlink(missing_ok=True)


def refuse_if_open(project: Path) -> None:
    """Refuse to change a project that a server has open.

    Raises:
        AlreadyOpen: one has.
    """
    if (project / PROJECT_FILE).exists():  # a folder without one must stay empty until the project is made
        with only_server(project):
            pass


def _note(path: Path, address: str) -> None:
    path.write_text(json.dumps({"address": address.partition("?")[0]}), encoding="utf-8")


def _noted(path: Path) -> str | None:
    try:
        found: Any = parse_json(path.read_text(encoding="utf-8"))
        return str(found["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
