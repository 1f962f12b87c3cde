"""Find the images that an annotation file names, even if it was written on another machine."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import parse_qs, unquote, urlsplit

from brule.data.discovery import find_files, visible
from brule.data.images import IMAGE_SUFFIXES, image_size
from brule.errors import DataError

MAX_FOLDERS = 100  # of a path, that are left out one by one
# Label Studio puts this before the name of what is uploaded.
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")


class KnownImages:
    """Images by what they are called and where they are, shared by the annotation files that are read together.

    Args:
        images: those that are known from the start.
        folders: the folders that were given.
        anywhere: whether a file that names no image may be about one in another folder.
    """

    def __init__(self, images: Iterable[Path] = (), folders: Iterable[Path] = (), *, anywhere: bool = False) -> None:
        self._folders = [*map(os.path.abspath, folders), *_working_folder()]
        self._images = {os.path.abspath(image): image for image in images}
        self._by_name = _by_name(self._images.values())
        self._below: dict[Path, dict[str, list[Path]]] = {}
        self._folded: dict[Path, dict[str, list[Path]]] = {}
        self._own_by_stem = _by_stem(self._images.values())
        self._by_stem: dict[str, dict[tuple[str, str], list[Path]]] = {}
        self._anywhere: dict[str, list[Path]] = {}
        for image in self._images.values() if anywhere else ():
            self._anywhere.setdefault(_normal(image.stem), []).append(image)

    def may_be_opened(self, path: str) -> bool:
        """Whether an absolute path is a known image or in a folder that was given: a stranger's file may name any path."""
        return path in self._images or any(is_below(path, folder) for folder in self._folders)

    def holds(self, image: Path) -> bool:
        """Whether an image was known from the start."""
        return os.path.abspath(image) in self._images

    def named(self, name: str, below: Path) -> list[Path]:
        """The images of that name, known ones and those anywhere below a folder."""
        if below not in self._below:
            self._below[below] = _by_name(find_files(below, IMAGE_SUFFIXES) if below.is_dir() else [])
        found = [*self._by_name.get(name, []), *self._below[below].get(name, [])]
        found = list({os.path.abspath(image): image for image in found}.values())
        return found or self._alike(name, below)

    def _alike(self, name: str, below: Path) -> list[Path]:
        """The images whose name differs in capitals only, as from Windows, or has a suffix that the name lacks."""
        if below not in self._folded:
            self._folded[below] = defaultdict(list)
            every = [*self._images.values(), *(one for own in self._below[below].values() for one in own)]
            for image in {os.path.abspath(image): image for image in every}.values():
                self._folded[below][_normal(image.name).casefold()].append(image)
                self._folded[below][_normal(image.stem).casefold()].append(image)
        return self._folded[below].get(name.casefold(), [])

    def of_stem(self, file: Path) -> list[Path]:
        """The images beside a file that have its name but for the suffix: the known ones, if there are any."""
        key = _stem_key(file)
        if key not in self._own_by_stem and key[0] not in self._by_stem:
            self._by_stem[key[0]] = _by_stem(visible(file.parent, IMAGE_SUFFIXES)[0])
        beside = self._own_by_stem.get(key) or self._by_stem[key[0]].get(key)
        return beside or self._anywhere.get(key[1], [])


class ImageFinder:
    """Finds images by the names in one annotation file.

    A name is looked up, in this order: unchanged, from the file's folder; without its first folders, from there; and, if none
    of its folders exists here, by its last part alone among the images known and those below the file's folder. No name at
    all means the image beside the file that has the file's name.

    Args:
        file: the annotation file.
        images: images that are known already.
    """

    def __init__(self, file: Path, images: KnownImages | Iterable[Path] = ()) -> None:
        self._file = file
        self._folder = file.parent
        self._known = images if isinstance(images, KnownImages) else KnownImages(images)
        self._taken: dict[Path, str] = {}

    def find(self, name: str) -> Path:
        """The image of that name.

        Raises:
            DataError: there is none, or several could be meant; the message explains what to do.
        """
        if not name:
            return self._of_stem()
        parts = _parts(name)
        outside = False
        for start in range(min(len(parts), MAX_FOLDERS)):
            candidate = self._folder.joinpath(*parts[start:]) if start or not _is_absolute(name) else Path(name)
            path = os.path.abspath(candidate)
            allowed = is_below(path, os.path.abspath(self._folder)) or self._known.may_be_opened(path)
            outside = outside or not allowed
            if allowed and os.path.isfile(path):
                return self._take(Path(os.path.normpath(candidate)), name)
        if len(parts) > 1 and not _is_absolute(name) and parts[0] != ".." and os.path.isdir(self._folder / parts[0]):
            wanted = os.path.abspath(self._folder.joinpath(*parts)).casefold()
            same = [one for one in self._known.named(_normal(parts[-1]), self._folder) if wanted in _spellings(one)]
            if len(same) > 1:
                raise self._unclear(name, same)
            if not same:
                raise self._missing(name)
            return self._take(same[0], name)
        return self._take(self._by_last_part(name, parts, outside=outside), name)

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of the image of that name.

        Raises:
            DataError: it isn't found, or is broken.
        """
        try:
            return image_size(self.find(name))
        except DataError as error:
            raise DataError(f"{self._file}: {str(error).removeprefix(f'{self._file}: ')}") from error

    def _of_stem(self) -> Path:
        found = self._known.of_stem(self._file)
        if not found:
            raise DataError(f"{self._file}: there is no image of this name beside the annotation")
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise DataError(f"{self._file}: belongs to more than one image: {names}; keep one of them")
        return found[0]

    def _by_last_part(self, name: str, parts: list[str], *, outside: bool) -> Path:
        last = _normal(parts[-1]) if parts else ""
        found = self._known.named(last, self._folder) or self._known.named(_UPLOAD.sub("", last, count=1), self._folder)
        if not found:
            raise self._outside(name) if outside else self._missing(name)
        best = max(_common_tail(path, parts) for path in found)
        found = [path for path in found if _common_tail(path, parts) == best]
        if len(found) > 1:
            raise self._unclear(name, found)
        return found[0]

    def _take(self, path: Path, name: str) -> Path:
        other = self._taken.setdefault(path, name)
        if _parts(other) != _parts(name):
            raise DataError(
                f"{self._file}: the images {_quoted(other)} and {_quoted(name)} both lead to {path}; put the images where the "
                "file has them"
            )
        return path

    def _unclear(self, name: str, found: list[Path]) -> DataError:
        return DataError(
            f"{self._file}: the image {_quoted(name)} could be {found[0]} or {found[1]}; write paths relative to the "
            "annotation file into it, with their suffix"
        )

    def _outside(self, name: str) -> DataError:
        return DataError(
            f"{self._file}: the image {_quoted(name)} isn't anywhere below {self._folder}, and a file doesn't open what is "
            "outside the folders given; give the folder of the images together with this file"
        )

    def _missing(self, name: str) -> DataError:
        stem, suffix = os.path.splitext(_parts(name)[-1] if _parts(name) else "")
        others = self._known.named(_normal(stem), self._folder) if suffix else []
        hint = f"; if {others[0].name} shows the same, pixel by pixel, write that name into the file" if others else ""
        return DataError(
            f"{self._file}: the image {_quoted(name)} isn't there, neither relative to this file nor by its name anywhere "
            f"below {self._folder}; put it there, or give the folder of the images together with this file{hint}"
        )


def is_below(path: str, folder: str) -> bool:
    """Whether an absolute path is in a folder, at any depth."""
    return path.startswith(os.path.join(folder, ""))


def _working_folder() -> list[str]:
    """The folder that the user works in, unless that is the home folder or one above: everything is below these."""
    try:
        folder, home = os.getcwd(), os.path.expanduser("~")
    except OSError:  # it was removed
        return []
    return [] if is_below(os.path.join(home, ""), folder) else [folder]


def _by_name(images: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        found[_normal(path.name)].append(path)
    return found


def _by_stem(images: Iterable[Path]) -> dict[tuple[str, str], list[Path]]:
    found: dict[tuple[str, str], list[Path]] = {}
    for path in images:
        found.setdefault(_stem_key(path), []).append(path)
    return found


def _stem_key(path: Path) -> tuple[str, str]:
    return os.path.abspath(path.parent), _normal(path.stem)


def _normal(name: str) -> str:
    # macOS writes names in decomposed Unicode, so an image and its annotation may spell the same name differently.
    return unicodedata.normalize("NFC", name)


def _spellings(image: Path) -> tuple[str, str]:
    """The absolute path of an image with and without its suffix, in small letters."""
    path = os.path.abspath(image).casefold()
    return path, os.path.splitext(path)[0]


def _parts(name: str) -> list[str]:
    """The parts of a path or address, whatever system it was written on; without drive and root."""
    if "://" in name or name.startswith("/data/"):
        address = urlsplit(name)
        query = parse_qs(address.query).get("d")
        name = unquote(query[0] if query else address.path)
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        path: PurePosixPath | PureWindowsPath = PureWindowsPath(name)
    else:
        path = PurePosixPath(name)
    return [part for part in path.parts if part not in (path.anchor, ".", "/", "\\")]


def _is_absolute(name: str) -> bool:
    return os.path.isabs(name)


def _common_tail(path: Path, parts: list[str]) -> int:
    """The number of folders above the file that the two paths share."""
    count = 0
    for own, other in zip(reversed(path.parts[:-1]), reversed(parts[:-1]), strict=False):
        if own != other:
            break
        count += 1
    return count


def _quoted(name: str) -> str:
    return repr(name if len(name) <= 120 else "…" + name[-119:])
