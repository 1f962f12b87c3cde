"""What a list of a project's images shows of each, without opening any."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from brule.annotating.files import summary
from brule.annotating.folders import ImageEntry, image_id
from brule.annotating.marks import STATUSES
from brule.data.discovery import PROJECT_ANNOTATIONS
from brule.files import parse_json, write_text

LAYERS = {"first": PROJECT_ANNOTATIONS, "repeat": "repeats"}  # folders of the annotations and of the second ones

_Stamp = tuple[int, int]


@dataclass(frozen=True)
class Summary:
    """What a list shows of an image.

    Args:
        status: of its annotation.
        placed: how many landmarks have a place.
        stamp: time and size of the annotation file that this was read from.
    """

    status: str = "new"
    placed: int = 0
    stamp: _Stamp | None = None


_NEW = Summary()


class Summaries(Mapping[str, Summary]):
    """The summaries of a project's images, by id.

    Annotation files that haven't changed since the last time aren't read again.

    Args:
        project: its folder.
        entries: its images.

    Attributes:
        repeated: the images that were annotated twice.
        orphaned: how many annotations belong to images that aren't there.
    """

    def __init__(self, project: Path, entries: Mapping[str, ImageEntry]) -> None:
        self._project = project
        self._file = project / ".brule" / "summaries.json"
        self._known: dict[str, Summary] = _kept(self._file)
        self.use(entries)

    def __getitem__(self, image: str) -> Summary:
        return self._known.get(image, _NEW)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def use(self, entries: Mapping[str, ImageEntry]) -> None:
        """Take the images of the project, and what is annotated in them."""
        self._entries = entries
        found = _annotation_files(self._project / LAYERS["first"])
        self._known = {image: self._summary(image, *found[image]) for image in entries if image in found}
        self.orphaned = len(found) - len(self._known)
        self.repeated = {image for image in _annotation_files(self._project / LAYERS["repeat"]) if image in entries}

    def show(self, entries: Mapping[str, ImageEntry]) -> None:
        """Take the images of the project, of which the new ones have no annotation."""
        self._entries = entries

    def set(self, image: str, status: str, placed: int, *, stamp: _Stamp | None) -> None:
        """Take over what one image has become."""
        self._known[image] = Summary(status, placed, stamp)

    def counts(self) -> dict[str, int]:
        """How many images have each status."""
        found = Counter(one.status for one in self._known.values())
        found["new"] += len(self._entries) - len(self._known)
        return {status: found[status] for status in STATUSES}

    def keep(self) -> None:
        """Write them down for the next opening."""
        content = {image: [one.status, one.placed, one.stamp] for image, one in self._known.items() if one.stamp}
        write_text(self._file, json.dumps(content, separators=(",", ":")) + "\n")

    def _summary(self, image: str, path: Path, stamp: _Stamp) -> Summary:
        known = self._known.get(image)
        return known if known is not None and known.stamp == stamp else Summary(*summary(path), stamp)


def _kept(file: Path) -> dict[str, Summary]:
    try:
        content = parse_json(file.read_text(encoding="utf-8"))
        return {image: Summary(status, placed, (stamp[0], stamp[1])) for image, (status, placed, stamp) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError):
        return {}  # it only saves time


def annotated_images(project: Path) -> list[str]:
    """The ids of the images that have an annotation, whether they are there or not."""
    return sorted({image for layer in LAYERS.values() for image in _annotation_files(project / layer)})


def annotated_names(project: Path) -> list[str]:
    """The names of the images that have an annotation, whether they are there or not, sorted."""
    roots = [project / layer for layer in LAYERS.values()]
    return sorted({_name(path, root) for root in roots for path, _ in _annotation_files(root).values()})


def _name(path: str | os.PathLike[str], root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix().removesuffix(".json")


def _annotation_files(root: Path) -> dict[str, tuple[Path, _Stamp]]:
    """The annotation files below a folder by their image's id, with time and size."""
    found: dict[str, tuple[Path, _Stamp]] = {}
    waiting = [root] if root.is_dir() else []
    while waiting:
        with os.scandir(waiting.pop()) as files:
            for file in files:
                if file.is_dir(follow_symlinks=False):
                    waiting.append(Path(file.path))
                elif file.name.endswith(".json") and not file.name.startswith("."):
                    status = file.stat()
                    found[image_id(_name(file.path, root))] = (Path(file.path), (status.st_mtime_ns, status.st_size))
    return found
