"""Folders of a project's images that are removed from it, or that were moved on the disk."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from brule.annotating.folders import ImageEntry, ImageFolder, RemovedFolder, owner
from brule.annotating.project import Project
from brule.annotating.removed import history_file
from brule.annotating.settings import Settings
from brule.annotating.summaries import LAYERS, annotated_names
from brule.arrays import evenly_spread
from brule.data.annotations import relative_name
from brule.data.formats.values import load_json
from brule.data.images import image_size
from brule.errors import DataError
from brule.files import write_text

MAX_OPENED = 200  # images whose size is compared with that of their annotation


@dataclass(frozen=True)
class FolderContent:
    """What a project has of a folder.

    Args:
        n_images: images that are there.
        annotated: images with an annotation, whether they are there or not.
        accepted: those whose annotation is finished; of images that are there.
    """

    n_images: int
    annotated: int
    accepted: int


@dataclass(frozen=True)
class FolderMatch:
    """Whether a folder is one that was moved.

    Args:
        n_images: images in it.
        annotated: images that are annotated in the project.
        matching: those of them that are in the folder, by name, and by size where that was compared.
        lacking: the names of those that aren't in the folder.
        resized: the names of those that have another size there, or can't be read.
    """

    n_images: int
    annotated: int
    matching: int
    lacking: tuple[str, ...]
    resized: tuple[str, ...] = ()


def content_of(project: Project, folder: ImageFolder) -> FolderContent:
    """What a project has of one of its folders."""
    own = [image for image, entry in _entries(project) if owner(entry.name, project.settings.folders, entry.path) == folder]
    accepted = sum(project.summaries[image].status == "accepted" for image in own)
    return FolderContent(len(own), len(_annotated(project, folder)), accepted)


def remove_folder(project: Project, folder: ImageFolder) -> FolderContent:
    """Remove a folder from a project. No image is touched, and its annotations are kept: they return when it is added again.

    Args:
        project: that has the folder.
        folder: one of its folders.

    Returns:
        What the project had of it.

    Raises:
        DataError: it isn't one of them any more.
        OutputError: the project can't be written to.
    """
    found: list[FolderContent] = []

    def without(settings: Settings) -> Settings:
        _check_known(settings, folder)
        found.append(content_of(project, folder))
        names = tuple(_annotated(project, folder, changed=True))
        # annotations that couldn't be restored are in the archive already
        before = (_without(one, names) if one.folder.prefix == folder.prefix else one for one in settings.removed)
        removed = (*(one for one in before if one is not None), RemovedFolder(folder, names, settings.version))
        return replace(settings, folders=tuple(one for one in settings.folders if one != folder), removed=removed)

    project.rearrange(without)
    return found[0]


def match_folder(project: Project, folder: ImageFolder, path: Path) -> FolderMatch:
    """Compare a folder with what a project knows of one of its own that isn't there any more.

    Args:
        project: that has the folder.
        folder: one of its folders.
        path: where it may be now.

    Raises:
        DataError: ``folder`` is still there; ``path`` is no folder, has no image, belongs to the project already, or has none
            of the images that are annotated.
    """
    return _compared(project, folder, path)[0]


def relocate_folder(project: Project, folder: ImageFolder, path: Path) -> FolderMatch:
    """Use a folder's new place, where it was moved; all its annotations follow. As :func:`match_folder`.

    Raises:
        OutputError: the project can't be written to.
    """
    found: list[FolderMatch] = []

    def relocated(settings: Settings) -> Settings:
        _check_known(settings, folder)
        match, images = _compared(project, folder, path)
        found.append(match)
        _repoint(project, images)
        moved = _moved(project, folder, path)
        folders = tuple(moved if one == folder else one for one in settings.folders)
        removed = (replace(one, folder=moved) if one.folder.prefix == folder.prefix else one for one in settings.removed)
        return replace(settings, folders=folders, removed=tuple(removed))

    project.rearrange(relocated)
    return found[0]


def _compared(project: Project, folder: ImageFolder, path: Path) -> tuple[FolderMatch, dict[str, Path]]:
    """How well a folder fits, and the images that do, by name."""
    moved = _moved(project, folder, path)
    there = dict(moved.images())
    if not there:
        raise DataError(f"{moved.path}: no image found; expected the folder that was {folder.path}")
    names = _annotated(project, folder)
    lacking = tuple(name for name in names if name not in there)
    found = [name for name in names if name in there]
    opened = [found[k] for k in evenly_spread(len(found), MAX_OPENED)]
    resized = tuple(name for name in opened if not _same_size(project, name, there[name]))
    matching = {name: there[name] for name in found if name not in resized}
    if names and not matching:
        why = " or ".join(["have other sizes"] * bool(resized) + ["are missing"] * bool(lacking))
        raise DataError(
            f"{moved.path}: isn't the folder that was {folder.path}: all images that are annotated {why} there, such as "
            f"{(found or names)[0]}"
        )
    return FolderMatch(len(there), len(names), len(matching), lacking, resized), matching


def _check_known(settings: Settings, folder: ImageFolder) -> None:
    if folder not in settings.folders:
        raise DataError(f"{folder.path}: is no folder of the project any more")


def _without(removed: RemovedFolder, names: tuple[str, ...]) -> RemovedFolder | None:
    """What is removed, without some names; None if nothing is left."""
    dropped = set(names)
    left = tuple(name for name in removed.names if name not in dropped)
    return replace(removed, names=left) if left else None


def _moved(project: Project, folder: ImageFolder, path: Path) -> ImageFolder:
    moved = replace(folder, path=Path(os.path.abspath(path)))
    if folder.path.is_dir():
        raise DataError(f"{folder.path}: is where it was; only a folder that was moved can be relocated")
    if not moved.path.is_dir():
        raise DataError(f"{moved.path}: no such folder; expected the new place of {folder.path}")
    if any(moved.path == one.path for one in project.settings.folders):
        raise DataError(f"{moved.path}: is a folder of the project already")
    return moved


def _entries(project: Project) -> list[tuple[str, ImageEntry]]:
    return list(project.entries.items())


def _annotated(project: Project, folder: ImageFolder, *, changed: bool = False) -> list[str]:
    """The names of the images of a folder that are annotated.

    Args:
        project: that has the folder.
        folder: one of its folders.
        changed: include those that have a history alone, since all that was annotated in them was removed.
    """
    folders, paths = project.settings.folders, {entry.name: entry.path for entry in project.entries.values()}
    names = annotated_names(project.folder)
    if changed:
        names = sorted({*names, *(entry.name for image, entry in _entries(project) if _has_history(project, image))})
    return [name for name in names if owner(name, folders, paths.get(name)) == folder]


def _has_history(project: Project, image: str) -> bool:
    return any(history_file(project.folder, image, layer).exists() for layer in LAYERS)


def _files(project: Project, name: str) -> list[Path]:
    """The annotation files of an image."""
    files = (project.folder / layer / f"{name}.json" for layer in LAYERS.values())
    return [file for file in files if file.exists()]


def _same_size(project: Project, name: str, image: Path) -> bool:
    """Whether an image has the size that its annotation states, if it states one."""
    try:
        size = image_size(image)
        contents = [load_json(file) for file in _files(project, name)]
    except DataError:
        return False
    noted = [(content.get("imageWidth"), content.get("imageHeight")) for content in contents if isinstance(content, dict)]
    return all(one in ((None, None), size) for one in noted)


def _repoint(project: Project, images: dict[str, Path]) -> None:
    """Have annotation files name their images where they are now, for all other programs."""
    for name, image in images.items():
        for file in _files(project, name):
            try:
                content = load_json(file)
            except DataError:
                continue  # damaged, which the page shows when the image is opened
            if isinstance(content, dict):
                content["imagePath"] = relative_name(image, file.parent)
                write_text(file, json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n", flush=True)
