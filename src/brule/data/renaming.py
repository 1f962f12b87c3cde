"""Changes of a project's landmarks, so that annotations, predictions and detectors of earlier ones fit the present ones."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brule.data.discovery import PROJECT_FILE, PROJECT_OWN, PROJECT_RUNS, is_project
from brule.files import json_object


@dataclass(frozen=True)
class Renaming:
    """A change of the landmarks' names, number or order.

    Args:
        version: of the template that it led to.
        before: the names before it.
        kept: for each landmark after it, which of these it was; None for a new one.
    """

    version: int
    before: tuple[str, ...]
    kept: tuple[int | None, ...]

    def to_json(self) -> dict[str, Any]:
        """As the project's file holds it."""
        return {"version": self.version, "before": list(self.before), "from": list(self.kept)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Renaming:
        """From what :meth:`to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        before, kept = tuple(map(str, content["before"])), tuple(None if k is None else int(k) for k in content["from"])
        if any(k is not None and not 0 <= k < len(before) for k in kept):
            raise ValueError("a landmark comes from one that wasn't there")
        return cls(int(content["version"]), before, kept)


def names_of(version: int, renamings: Sequence[Renaming], present: Sequence[str]) -> tuple[str, ...]:
    """The landmarks' names at a version of the template."""
    return next((one.before for one in renamings if one.version > version), tuple(present))


def new_names(version: int, renamings: Sequence[Renaming], present: Sequence[str]) -> dict[str, str] | None:
    """From the names at a version of the template to the present ones, without those that are gone.

    Returns:
        The names; None if nothing has changed since.
    """
    later = [one for one in renamings if one.version > version]
    if not later:
        return None
    before, order = later[0].before, order_since(version, renamings, present)
    return {before[index]: name for index, name in zip(order, present, strict=True) if index is not None}


def order_since(version: int, renamings: Sequence[Renaming], present: Sequence[str]) -> list[int | None]:
    """For each present landmark, which it was at a version of the template; None for one that is newer."""
    later = [one for one in renamings if one.version > version]
    return _joined(later) if later else list(range(len(present)))


def columns(names: Sequence[str], renamings: Sequence[Renaming], present: Sequence[str]) -> Sequence[int | None] | None:
    """Where the present landmarks are among others of which only names are known: of now, of an earlier template, or any.

    Args:
        names: of the others.
        renamings: all that there were, oldest first.
        present: the names now.

    Returns:
        For each present landmark its index, None for one that wasn't there yet; None altogether if the others are unknown.
    """
    names, present = tuple(names), tuple(present)
    if names == present:
        return list(range(len(present)))
    for start in reversed(range(len(renamings))):
        if renamings[start].before == names:
            return _joined(renamings[start:])
    return by_name_or_place(names, len(names), present)


def by_name_or_place(names: Sequence[str], count: int, own: Sequence[str]) -> list[int] | None:
    """Where landmarks are among others: by name, or by place where the numbers agree and no name does.

    Args:
        names: of the others, if they have any.
        count: of the others.
        own: the landmarks' names.

    Returns:
        For each landmark its index; None if the others are unknown.
    """
    index = {name: k for k, name in enumerate(names)}
    if names and all(name in index for name in own):
        return [index[name] for name in own]
    return list(range(count)) if count == len(own) and not index.keys() & set(own) else None


def order_of_detector(
    names: Sequence[str] | None,
    count: int,
    *,
    since: int | None,
    renamings: Sequence[Renaming],
    present: Sequence[str],
) -> Sequence[int | None] | None:
    """For each present landmark its index in what a detector finds.

    Args:
        names: of the detector's landmarks, if they have any.
        count: of them.
        since: the version of the template that it was trained for; None if that isn't known.
        renamings: all that there were, oldest first.
        present: the names now.

    Returns:
        The indices, None for a landmark that it doesn't know; None altogether if it finds other landmarks.
    """
    if since is not None and count == len(names_of(since, renamings, present)):
        return order_since(since, renamings, present)
    return columns(names, renamings, present) if names else by_name_or_place((), count, present)


def round_note(project: Path, run: str) -> Path:
    """Where a project notes what a round was trained on."""
    return project / PROJECT_OWN / "rounds" / f"{run}.json"


def present_names(run: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """What the landmarks of a detector are called now, if it is a round of an annotation project whose landmarks were renamed.

    Landmarks that the project doesn't have any more keep their names.

    Args:
        run: the folder of the detector; any other than a project's round keeps all its names.
        names: as they were when it was trained.
    """
    folder = Path(os.path.abspath(run))
    project = folder.parent.parent
    if folder.parent.name != PROJECT_RUNS or not is_project(project):
        return names
    content, since = json_object(project / PROJECT_FILE), json_object(round_note(project, folder.name)).get("landmarks")
    try:
        present = _normal(content["template"]["names"])
        renamings = [Renaming.from_json(one) for one in content.get("renamings", ())]
    except (KeyError, TypeError, ValueError, AttributeError):  # damaged, which the page reports
        return names
    renamings = [Renaming(one.version, _normal(one.before), one.kept) for one in renamings]
    known = since if isinstance(since, int) else None
    order = order_of_detector(names, len(names), since=known, renamings=renamings, present=present) if renamings else None
    if order is None:
        return names
    found, taken = dict(zip(order, present, strict=True)), set(present)
    return tuple(found[k] if k in found else _free(name, taken) for k, name in enumerate(names))


def _free(name: str, taken: set[str]) -> str:
    """A name for a landmark that the project doesn't have any more; another landmark may be called so now."""
    while name in taken:
        name += " (earlier)"
    taken.add(name)
    return name


def _normal(names: Sequence[Any]) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", str(name)) for name in names)  # as in Layout


def _joined(renamings: Sequence[Renaming]) -> list[int | None]:
    """For each landmark after some changes, which it was before them."""
    kept: list[int | None] = list(renamings[-1].kept)
    for one in reversed(renamings[:-1]):
        kept = [None if k is None else one.kept[k] for k in kept]
    return kept
