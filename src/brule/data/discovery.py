"""Find files: in folders at any depth, by globs, or by their names.

Folders are walked to any depth. Symbolic links are followed, every folder once, so that a loop of links does no harm.
Hidden files and folders and ``__MACOSX`` are passed over. Of an annotation project (``brule annotate``) only the folder
with its annotations is walked: runs, exports and uploaded images beside it are something else.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from brule.data.formats import ANNOTATION_SUFFIXES
from brule.data.formats.foreign import FOREIGN_SUFFIXES, unknown_suffixes, way_out
from brule.data.images import IMAGE_SUFFIXES
from brule.data.predictions import PICTURES, prediction_table
from brule.errors import DataError
from brule.files import parse_json

PROJECT_FILE, PROJECT_FORMAT, PROJECT_ANNOTATIONS = "project.json", "brule-project-1", "annotations"
PROJECT_RUNS, PROJECT_OWN = "runs", ".brule"  # a project's rounds of training, and its histories, caches and locks
CHOSEN = ("chosen.txt", "chosen.png")  # the list and the picture that `brule choose` writes into a folder

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # of the web or of a bucket; a drive has one letter

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def find_images(paths: Paths) -> list[Path]:
    """Find image files.

    Args:
        paths: one path or several: files (taken whatever their suffix, unless it is that of an annotation), folders,
            globs (``**`` for any depth).

    Returns:
        The files, sorted, none twice.

    Raises:
        DataError: a path leads nowhere, or there is no image at all.
    """
    found = find_images_if_any(paths)
    if not found and (foreign := find_foreign(paths)):
        raise DataError(f"{foreign[0]}: {way_out(foreign[0])}")
    if not found:
        raise DataError(f"{listed(paths)}: no image found; expected files ending in {suffixes_text(IMAGE_SUFFIXES)}")
    return found


def find_images_if_any(paths: Paths) -> list[Path]:
    """The same; none at all is no error."""
    # A shell writes out `faces/*` with the annotations in it.
    others = ANNOTATION_SUFFIXES | FOREIGN_SUFFIXES
    return [file for file in find_files(paths, IMAGE_SUFFIXES) if file.suffix.lower() not in others - IMAGE_SUFFIXES]


def find_annotations(paths: Paths) -> list[Path]:
    """Find files that may hold annotations, by their suffix; none at all is no error.

    A ``.json``, ``.csv`` or ``.xml`` file in a folder may be something else altogether.
    """
    others = IMAGE_SUFFIXES | FOREIGN_SUFFIXES
    return [file for file in find_files(paths, ANNOTATION_SUFFIXES) if file.suffix.lower() not in others]


def find_foreign(paths: Paths) -> list[Path]:
    """Find files of other programs, by their suffix, that are neither images nor annotations brule reads.

    In folders, files of a suffix of which nothing is known are among them, behind the others.
    """
    found = [file for file in find_files(paths, FOREIGN_SUFFIXES) if file.suffix.lower() in FOREIGN_SUFFIXES]
    folders = [path for path in as_paths(paths) if path.is_dir()]
    return found + find_files(folders, unknown_suffixes(IMAGE_SUFFIXES | ANNOTATION_SUFFIXES))


def find_files(paths: Paths, suffixes: Container[str]) -> list[Path]:
    """Find files of the given suffixes (lower case, with the dot), as :func:`find_images`; none at all is no error."""
    found: dict[str, Path] = {}
    visited: set[tuple[int, int]] = set()
    for path in as_paths(paths):
        for file in _expand(path, suffixes, visited):
            found.setdefault(os.path.abspath(file), file)
    return sorted(found.values())


def folders_of(files: Iterable[Path]) -> list[Path]:
    """The folders of files, sorted."""
    return sorted(Path(folder) for folder in {os.path.dirname(file) for file in files})


def as_paths(paths: Paths) -> list[Path]:
    """One path or several → a list of them.

    Raises:
        DataError: one is an empty text, which would stand for the working directory.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if "" in several:
        raise DataError("expected a path, got an empty one; is a variable unset? The working directory is '.'")
    return [Path(path) for path in several]


def listed(paths: Paths) -> str:
    """Paths as an error message begins with them."""
    return ", ".join(str(path) for path in as_paths(paths)) or "(no path given)"


def suffixes_text(suffixes: Iterable[str]) -> str:
    """Suffixes as a message lists them."""
    return ", ".join(sorted(suffixes))


def visible(folder: Path, suffixes: Container[str]) -> tuple[list[Path], list[Path]]:
    """The files of the given suffixes (broken links among them: they get reported) and the folders in a folder, sorted.

    Raises:
        DataError: it can't be read.
    """
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                # The folder lists the kind of each entry at no cost; only a link needs another look.
                link = entry.is_symlink()
                if Path(entry.path).is_dir() if link else entry.is_dir():
                    folders.append(entry.name)
                elif os.path.splitext(entry.name)[1].lower() in suffixes and (link or entry.is_file()):
                    files.append(entry.name)
    except OSError as error:
        raise DataError(f"{folder}: the folder can't be read ({error.strerror})") from error
    return [folder / name for name in sorted(files)], [folder / name for name in sorted(folders)]


def _expand(path: Path, suffixes: Container[str], visited: set[tuple[int, int]]) -> Iterable[Path]:
    if path.is_dir():
        return _walk(path, suffixes, visited)
    if path.exists() or path.is_symlink():
        return [path]
    if _ADDRESS.match(str(path)):
        raise DataError(f"{path}: expected a file or folder, this is an address; download it first")
    if not glob.has_magic(str(path)):
        raise DataError(f"{path}: no such file or folder")
    found = [Path(match) for match in glob.glob(str(path), recursive=True)]
    if not found:
        raise DataError(f"{path}: nothing matches this pattern")
    found = [match for match in found if "__MACOSX" not in match.parts]
    files = [file for file in found if not file.is_dir() and file.suffix.lower() in suffixes]
    return files + [file for folder in found if folder.is_dir() for file in _walk(folder, suffixes, visited)]


def folders_given(paths: Paths) -> list[Path]:
    """The folders among the paths; a project that is given brings the folders of its images along, which its file names."""
    given = [path for path in as_paths(paths) if path.is_dir()]
    return [*given, *(folder for path in given if is_project(path) for folder in _image_folders(path))]


def _image_folders(project: Path) -> list[Path]:
    try:
        named = parse_json((project / PROJECT_FILE).read_text(encoding="utf-8"))["images"]
        return [Path(os.path.normpath(project.absolute() / one["path"])) for one in named]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def is_project(folder: Path) -> bool:
    """Whether a folder is an annotation project, as ``brule annotate`` keeps it."""
    try:
        with (folder / PROJECT_FILE).open("rb") as file:
            return PROJECT_FORMAT.encode() in file.read(200)
    except OSError:
        return False


def _walk(root: Path, suffixes: Container[str], visited: set[tuple[int, int]]) -> list[Path]:
    found, waiting = [], [root]
    while waiting:
        folder = waiting.pop()
        if is_project(folder):
            folder /= PROJECT_ANNOTATIONS
            if not folder.is_dir():
                continue
        status = folder.stat()
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        files, folders = visible(folder, suffixes)
        # What `brule choose` writes beside its copies are neither images to work with nor annotations.
        chosen = any(file.name in CHOSEN for file in files) and (folder / CHOSEN[0]).is_file()
        found += [file for file in files if not (chosen and file.name in CHOSEN)]
        # The pictures that `brule predict` draws are no images to work with.
        waiting += [one for one in folders[::-1] if one.name not in PICTURES or prediction_table(folder) is None]
    return found
