"""Folders of images: removed from the project, or relocated to where they were moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from brule.annotating.folders import ImageFolder
from brule.annotating.moving import content_of, match_folder, relocate_folder, remove_folder
from brule.web.bodies import LocateBody, RemoveBody
from brule.web.calls import Call
from brule.web.errors import Refused

MAX_NAMED = 5


def remove(call: Call) -> dict[str, Any]:
    """``POST /api/project/folders/{folder}/remove``: what would be removed, or, without ``check``, has been."""
    body, folder, project = call.body(RemoveBody), _folder(call), call.page.project
    if body.check:
        return asdict(content_of(project, folder))
    _refuse_while_running(call)
    return asdict(remove_folder(project, folder))


def locate(call: Call) -> dict[str, Any]:
    """``POST /api/project/folders/{folder}/locate``: how well another folder fits, and, without ``check``, use it."""
    body, folder = call.body(LocateBody), _folder(call)
    if not body.check:
        _refuse_while_running(call)
    look = match_folder if body.check else relocate_folder
    found = look(call.page.project, folder, Path(body.path).expanduser())
    facts: dict[str, Any] = asdict(found)
    for key in ("lacking", "resized"):
        facts |= {key: _named(facts[key]), f"n_{key}": len(facts[key])}
    return facts


def _named(names: Sequence[str]) -> list[str]:
    return [name.encode("utf-8", "backslashreplace").decode() for name in names[:MAX_NAMED]]


def _folder(call: Call) -> ImageFolder:
    """The folder that a request is about.

    Raises:
        Refused: there is none, or the request comes from another machine.
    """
    if not call.page.local:
        raise Refused("forbidden", "folders can be changed on the machine of the server only; use brule annotate there")
    for folder in call.page.project.settings.folders:
        if folder.id == call.path["folder"]:
            return folder
    raise Refused("not_found", "there is no such folder in this project any more")


def _refuse_while_running(call: Call) -> None:
    """Training and prediction read the project's files themselves.

    Raises:
        Refused: one of them runs.
    """
    if (job := call.page.training.busy_with) is not None:
        raise Refused("busy", f"{job} is running: wait until it has ended, or stop it")
