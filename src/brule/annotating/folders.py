"""The images of a project: where they are, what they are called, and which id each has."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from brule.data.annotations import relative_name
from brule.data.discovery import find_images_if_any
from brule.errors import DataError


@dataclass(frozen=True)
class ImageFolder:
    """A folder of images.

    Args:
        path: the folder.
        prefix: what the names of its images begin with, so that two folders don't share a name.
        files: the images that belong to the project, relative to the folder; empty for all.
    """

    path: Path
    prefix: str = ""
    files: tuple[str, ...] = ()

    def images(self) -> Iterator[tuple[str, Path]]:
        """Name and path of every image that is there."""
        if self.files:
            paths = [path for file in self.files if os.path.isfile(path := self.path / file)]
        else:
            paths = find_images_if_any(self.path)
        root, prefix = os.path.join(self.path, ""), f"{self.prefix}/" if self.prefix else ""
        for path in paths:  # texts alone: a path object for each of many images takes longer than listing them
            file = os.fspath(path)
            inside = file[len(root) :] if file.startswith(root) else os.path.relpath(path, self.path)
            yield prefix + (inside if os.sep == "/" else inside.replace(os.sep, "/")), path

    @property
    def id(self) -> str:
        """Of the page's addresses."""
        return image_id(f"{self.prefix}\0{self.path}")

    def inside(self, name: str) -> str | None:
        """An image's path below the folder; None if its name can't be that of an image of this folder."""
        start = f"{self.prefix}/" if self.prefix else ""
        rest = name[len(start) :] if name.startswith(start) else None
        return rest if not self.files or rest in self.files else None

    def has(self, prefix: str) -> bool:
        """Whether images of this folder may have names that begin with a prefix, which is the name of a folder."""
        rest = replace(self, files=()).inside(prefix)
        if self.files or rest is None:
            return rest is not None and any(file.startswith(f"{rest}/") for file in self.files)
        return os.path.isdir(self.path / rest)

    def to_json(self, project: Path) -> dict[str, object]:
        """As it is kept in the project's file: relative to the project, so that both can be moved together."""
        found: dict[str, object] = {"path": relative_name(self.path, project)}
        found |= {"prefix": self.prefix} if self.prefix else {}
        return found | ({"files": list(self.files)} if self.files else {})

    @classmethod
    def from_json(cls, content: object, project: Path) -> ImageFolder:
        """The folder that :meth:`to_json` describes.

        Raises:
            DataError: the description is damaged.
        """
        if not isinstance(content, Mapping) or not isinstance(content.get("path"), str):
            raise DataError(f"{project}: the folder {content!r} of the project is damaged; expected an object with a path")
        files = content.get("files", [])
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise DataError(f"{project}: the files of {content['path']} are damaged; expected a list of names")
        prefix = str(content.get("prefix", ""))
        _check_names(project, [*files, *([prefix] if prefix else [])])
        return cls(Path(os.path.normpath(project / content["path"])), prefix, tuple(files))


@dataclass(frozen=True)
class RemovedFolder:
    """A folder of images that was removed from a project. Its prefix stays its own, and its annotations are kept.

    Args:
        folder: the folder.
        names: of its images that are annotated, or were.
        version: of the template, when it was removed.
    """

    folder: ImageFolder
    names: tuple[str, ...] = ()
    version: int = 0

    def to_json(self, project: Path) -> dict[str, object]:
        """As it is kept in the project's file."""
        return {**self.folder.to_json(project), "annotated": list(self.names), "version": self.version}

    @classmethod
    def from_json(cls, content: object, project: Path) -> RemovedFolder:
        """The folder that :meth:`to_json` describes.

        Raises:
            DataError: the description is damaged.
        """
        folder = ImageFolder.from_json(content, project)
        assert isinstance(content, Mapping)
        names, version = content.get("annotated", []), content.get("version", 0)
        if not isinstance(names, list) or not isinstance(version, int):
            raise DataError(f"{project}: the removed folder {content['path']} is damaged; restore the project's file")
        return cls(folder, _check_names(project, [str(name) for name in names]), version)

    def returns_with(self, folder: Path, files: Collection[str]) -> bool:
        """Whether adding a folder, or only some files of it, adds all of this one that is annotated."""
        return self.folder.path == folder and (not files or all(self.folder.inside(name) in files for name in self.names))


@dataclass(frozen=True)
class ImageEntry:
    """An image of a project.

    Args:
        id: of the page's addresses; it depends on the name alone.
        name: path below its folder, with slashes.
        path: the file.
    """

    id: str
    name: str
    path: Path

    @property
    def shown(self) -> str:
        """The name as text that any program can read."""
        return self.name.encode("utf-8", "backslashreplace").decode()


def image_id(name: str) -> str:
    """16 hexadecimal digits of an image's name."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def indexed(folders: Iterable[ImageFolder]) -> dict[str, ImageEntry]:
    """The images of all folders by id, sorted by name. No image is opened."""
    named: dict[str, Path] = {}
    for folder in folders:
        if os.path.isdir(folder.path):  # False of a name that no file can have, too
            for name, path in folder.images():
                named.setdefault(name, path)
    entries = (ImageEntry(image_id(name), name, named[name]) for name in sorted(named))
    return {entry.id: entry for entry in entries}


def owner(name: str, folders: Iterable[ImageFolder], path: Path | None = None) -> ImageFolder | None:
    """The folder that an image's name belongs to; None if none does.

    Args:
        name: of the image.
        folders: of the project.
        path: of the image's file, where it is there: a subfolder may be called like another folder's prefix.
    """
    fitting = [(folder, inside) for folder in folders if (inside := folder.inside(name)) is not None]
    there = (folder for folder, inside in fitting if path is not None and folder.path / inside == path)
    return next(there, max((folder for folder, _ in fitting), key=lambda folder: len(folder.prefix), default=None))


def folders_for(
    paths: Sequence[str | os.PathLike[str]],
    known: Sequence[ImageFolder] = (),
    removed: Sequence[RemovedFolder] = (),
    *,
    annotated: Iterable[str] = (),
) -> list[ImageFolder]:
    """The folders to add to a project for given paths: folders, files or globs.

    Args:
        paths: as for :func:`brule.data.find_images`.
        known: the folders that the project has.
        removed: those that it had; one that is given again, in whole or with all that is annotated, gets its prefix back.
        annotated: the names of the images that have an annotation.

    Returns:
        The folders that are new, with prefixes that are free.

    Raises:
        DataError: a path leads nowhere, or there is no image.
    """
    wanted: dict[Path, list[str]] = {}
    for path in map(Path, paths):
        if path.is_dir():
            wanted[Path(os.path.abspath(path))] = []
            continue
        for file in find_images_if_any(path):
            folder = Path(os.path.abspath(file.parent))
            if folder not in wanted or wanted[folder]:
                wanted.setdefault(folder, []).append(file.name)
    prefixes = _Prefixes([*known, *(one.folder for one in removed)])
    prefixes.names += [name for one in removed for name in one.names]
    lost = {folder for folder in known if not folder.path.is_dir()}  # what they have can't be seen
    prefixes.names += [name for name in annotated if owner(name, known) in lost] if lost else []
    existing = {(folder.path, folder.files) for folder in known}
    used = {folder.prefix for folder in known}
    added: list[ImageFolder] = []
    for folder, files in wanted.items():
        if (folder, tuple(files)) in existing or (folder, ()) in existing:
            continue
        again = [one for one in removed if one.folder.prefix not in used and one.returns_with(folder, files)]
        again.sort(key=lambda one: (one.folder.files != tuple(files), -len(one.names)))
        prefix = again[0].folder.prefix if again else prefixes.free(folder)
        added.append(ImageFolder(folder, prefix, tuple(files)))
        prefixes.folders.append(added[-1])
    return added


@dataclass
class _Prefixes:
    """What images are called already.

    Args:
        folders: whose images have names.
        names: further ones.
    """

    folders: list[ImageFolder]
    names: list[str] = field(default_factory=list)

    def free(self, folder: Path) -> str:
        """A prefix for a new folder, so that no image of it is called like another one."""
        name = folder.name or "images"
        number, found = 1, name if self.folders else ""
        while self._taken(found, folder):
            number += 1
            found = f"{name}-{number}"
        return found

    def _taken(self, prefix: str, folder: Path) -> bool:
        if not prefix:
            return False
        return any(one.prefix == prefix or (one.path / prefix != folder and one.has(prefix)) for one in self.folders) or any(
            name.startswith(f"{prefix}/") for name in self.names
        )


def inside(path: Path, folders: Iterable[ImageFolder]) -> bool:
    """Whether a file is in one of the folders, with all links followed."""
    real = os.path.realpath(path)
    return any(real.startswith(os.path.join(os.path.realpath(folder.path), "")) for folder in folders)


def _check_names(project: Path, names: Iterable[str], kind: type[PurePath] = PurePath) -> tuple[str, ...]:
    """Names that stay inside a folder.

    Raises:
        DataError: one leads out of it.
    """
    names = tuple(names)
    for name in names:
        path = kind(name)
        if not path.parts or path.anchor or ".." in path.parts:
            raise DataError(f"{project}: the name {name!r} of an image leads out of the project; restore the project's file")
    return names
