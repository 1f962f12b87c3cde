"""What a format is: how its files are recognised, read and written, and what they can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from brule.data.formats.record import Annotation, Annotations
from brule.errors import DataError

SizeOf = Callable[[str], tuple[int, int]]

FEATURES = {
    "images": "the names of the images",
    "missing": "missing points",
    "boxes": "boxes",
    "names": "the names of the landmarks",
    "edges": "the edges between landmarks",
    "occluded": "which landmarks are hidden",
    "several": "several objects in one image",
    "unlabelled": "images without landmarks",
    "fractions": "fractions of a pixel",
    "curves": "curves",
    "scale": "the length of a pixel",
    "spacing": "the length of pixels that aren't square",
}


@dataclass(frozen=True)
class Format:
    """A format of annotation files.

    Args:
        name: as ``--from`` and ``--to`` call it.
        title: as people call it.
        suffixes: of its files, lower case, with the dot.
        load: from a path to the content of a file: text, a JSON value, an XML element or a table. Formats that share a
            suffix share this function.
        recognises: whether such content is of this format.
        parse: from path (for errors), content and the images' sizes to annotations.
        dump: from annotations to the text of a file.
        holds: what it can hold, of :data:`FEATURES`.
        one_image: whether every image has a file of its own.
        companions: further files beside those of the images, by their name: what they share.
        file_name: of an image's own file, from the image's ``{stem}`` or whole ``{name}``; by default the first suffix decides.
        whole: whether it takes only objects without missing points, since nothing in it could stand for one.
        unable: which of :data:`FEATURES` it can hold, but not of these annotations.
        names_images: whether files name their images; without, the image beside a file that has its name is meant, and the
            records' ``image`` is "".
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    load: Callable[[Path], Any]
    recognises: Callable[[Any], bool]
    parse: Callable[[Path, Any, SizeOf], Annotations]
    dump: Callable[[Annotations], str]
    holds: frozenset[str]
    one_image: bool = False
    whole: bool = False
    names_images: bool = True
    companions: Callable[[Annotations], dict[str, str]] | None = None
    file_name: str | None = None
    unable: Callable[[Annotations], set[str]] | None = None

    def own_file(self, image: Path) -> Path:
        """Where the annotation of an image is, in a format with one file per image; beside the image."""
        name = self.file_name or f"{{stem}}{self.suffixes[0]}"
        return image.with_name(name.replace("{stem}", image.stem).replace("{name}", image.name))

    def refuses(self, annotations: Annotations, item: Annotation) -> str | None:
        """Why it can't hold a record at all, in words; None if it can."""
        if not self.whole or item.points is None:
            return None
        missing = np.flatnonzero(~np.isfinite(item.points).all(axis=1)).tolist()
        if not missing:
            return None
        names = annotations.names(len(item.points))
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"lacks the landmark {names[missing[0]]}{more}: {self.title} can't hold missing points"

    def lost(self, annotations: Annotations) -> list[str]:
        """What of these annotations the format can't hold, in words; empty if nothing is lost."""
        loses = self.loses | (set() if self.unable is None else self.unable(annotations))
        return [text for feature, text in FEATURES.items() if feature in present(annotations) & loses]

    @property
    def loses(self) -> set[str]:
        """What it can't hold; that pixels aren't square is lost where their length isn't."""
        lost = set(FEATURES) - self.holds
        return lost - {"spacing"} if "scale" in lost else lost


def present(annotations: Annotations) -> set[str]:
    """Which of :data:`FEATURES` these annotations make use of."""
    items, layout = annotations.items, annotations.layout
    images = [item.image for item in items]
    points = [item.points for item in items if item.points is not None]
    along = [edge for curve in layout.curves for edge in pairwise(curve)]
    found = {
        "images": any(images),
        "missing": any(not np.isfinite(own).all() for own in points),
        "boxes": any(item.box is not None for item in items),
        "names": layout.names is not None,
        "edges": bool({frozenset(edge) for edge in layout.edges} - {frozenset(edge) for edge in along}),
        "occluded": any(item.occluded is not None and item.occluded.any() for item in items),
        "several": len(set(images)) < len(images),
        "unlabelled": any(not item.labelled for item in items),
        "fractions": any((own % 1 != 0)[np.isfinite(own)].any() for own in points),
        "curves": bool(layout.curves),
        "scale": any(item.spacing is not None for item in items),
        "spacing": any(item.spacing is not None and item.scale is None for item in items),
    }
    return {feature for feature, there in found.items() if there}


def size_needed(item_size: tuple[int, int] | None, image: str, title: str) -> tuple[int, int]:
    """The size of an image.

    Raises:
        DataError: it isn't known.
    """
    if item_size is None:
        raise DataError(f"{title} needs the size of {image or 'every image'}, which isn't known; the image must be there")
    return item_size
