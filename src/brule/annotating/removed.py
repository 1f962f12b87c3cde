"""The annotations of folders that were removed from a project: archived in it, and restored with their folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from brule.annotating.folders import ImageEntry, ImageFolder, RemovedFolder, image_id, indexed, owner
from brule.annotating.settings import Settings
from brule.annotating.summaries import LAYERS
from brule.data.discovery import PROJECT_OWN
from brule.files import make_folder, wrap_oserror

ARCHIVE = "removed"  # folder of a project; in it are the same folders as in the project itself


def history_file(project: Path, image: str, layer: str) -> Path:
    """Where the history of an image is kept."""
    return project / PROJECT_OWN / "history" / layer / image[:2] / f"{image}.jsonl"


def archive_annotations(project: Path, removed: RemovedFolder, *, kept: Container[str] = ()) -> None:
    """Move the annotations of a folder, and their histories, out of those of the project; what was moved before stays there.

    Nothing is overwritten: an earlier annotation that is in the archive gets a number.

    Args:
        project: its folder.
        removed: what was removed from it.
        kept: names whose annotations stay.

    Raises:
        OutputError: one can't be moved.
    """
    for layer, name in _annotations(removed):
        if name not in kept:
            files = _files(project, name, layer), _files(project / ARCHIVE, name, layer)
            if _both(*files):
                for file in files[1]:
                    _number(file)
            _move(*files, root=project)


def restore_annotations(project: Path, removed: RemovedFolder, *, kept: Container[str] = ()) -> list[str]:
    """Move the annotations of a folder, and their histories, back to those of the project. Nothing is overwritten.

    Args:
        project: its folder.
        removed: what was removed from it.
        kept: names whose annotations stay in the archive.

    Returns:
        The names of those that are still in the archive, since they are to stay or the project has newer ones.

    Raises:
        OutputError: one can't be moved.
    """
    for layer, name in _annotations(removed):
        files = _files(project / ARCHIVE, name, layer), _files(project, name, layer)
        if name not in kept and not _both(*files):
            _move(*files, root=project / ARCHIVE)
    return _archived(project, removed)


def newly_removed(before: Settings, after: Settings) -> list[RemovedFolder]:
    """What is removed in some settings and wasn't in earlier ones."""
    gone = {folder.prefix for folder in before.folders} - {folder.prefix for folder in after.folders}
    return list({one.folder.prefix: one for one in after.removed if one.folder.prefix in gone}.values())


def complete_removals(project: Path, settings: Settings, entries: Mapping[str, ImageEntry]) -> None:
    """Archive what couldn't be archived before. A name that an image of the project has now, or may have, is passed over.

    Raises:
        OutputError: an annotation can't be moved.
    """
    present = {folder.prefix for folder in settings.folders}
    gone = [one for one in settings.removed if one.folder.prefix not in present]
    names = {entry.name for entry in entries.values()} if gone else set()
    lost = [folder for folder in settings.folders if not os.path.isdir(folder.path)]
    for one in gone:
        archive_annotations(project, one, kept=names | {name for name in one.names if owner(name, lost) is not None})


def with_folders(project: Path, settings: Settings, added: Collection[ImageFolder]) -> Settings:
    """The settings with more folders; the annotations of those that were removed before are restored.

    Raises:
        OutputError: one can't be moved.
    """
    again = {(folder.path, folder.prefix): folder for folder in added}
    removed: list[RemovedFolder] = []
    waiting: dict[str, int] = {}
    present: dict[str, Path] | None = None
    for one in settings.removed:
        folder = again.get((one.folder.path, one.folder.prefix))
        if folder is None:
            removed.append(one)
            continue
        if present is None:
            present = {entry.name: entry.path for entry in indexed(settings.folders).values()}
        others = {
            name for name in one.names if name in present and present[name] != folder.path / (one.folder.inside(name) or "")
        }
        left = restore_annotations(project, one, kept=others)
        removed += [replace(one, folder=folder, names=tuple(left))] if left else []
        if one.version < settings.version:
            waiting |= {image_id(name): one.version for name in one.names if name not in left}
    folders = (*settings.folders, *added)
    return replace(settings, folders=folders, removed=tuple(removed), waiting=waiting | settings.waiting)


def not_restored(project: Path, settings: Settings) -> list[str]:
    """The names of archived annotations whose folder is in the project again: see :func:`restore_annotations`."""
    present = {folder.prefix for folder in settings.folders}
    return [name for one in settings.removed if one.folder.prefix in present for name in _archived(project, one)]


def _annotations(removed: RemovedFolder) -> Iterator[tuple[str, str]]:
    """Layer and name."""
    return ((layer, name) for layer in LAYERS for name in removed.names)


def _files(root: Path, name: str, layer: str) -> tuple[Path, Path]:
    """Of an annotation: the file, and that of its history."""
    return root / LAYERS[layer] / f"{name}.json", history_file(root, image_id(name), layer)


def _archived(project: Path, removed: RemovedFolder) -> list[str]:
    found = (name for layer, name in _annotations(removed) if any(map(Path.exists, _files(project / ARCHIVE, name, layer))))
    return list(dict.fromkeys(found))


def _both(some: tuple[Path, ...], others: tuple[Path, ...]) -> bool:
    """Whether a file is in both places; if only one of the two was moved before, none is."""
    return any(old.exists() and new.exists() for old, new in zip(some, others, strict=True))


def _move(sources: tuple[Path, ...], targets: tuple[Path, ...], *, root: Path) -> None:
    for old, new in zip(sources, targets, strict=True):
        if old.exists():
            make_folder(new.parent)
            with wrap_oserror(new, old):
                os.replace(old, new)
            _drop_empty(old.parent, root)


def _number(file: Path) -> None:
    """Give a file a name that is free; nothing if it isn't there."""
    number, free = 1, file.with_name(f"{file.name}.1")
    while free.exists():
        number += 1
        free = file.with_name(f"{file.name}.{number}")
    if file.exists():
        with wrap_oserror(free, file):
            os.replace(file, free)


def _drop_empty(folder: Path, root: Path) -> None:
    """Remove a folder that holds nothing, and those above it below a root."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
