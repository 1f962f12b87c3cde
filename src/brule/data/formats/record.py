"""The content of an annotation file of any format: one record per object, and the layout that they share."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from brule.data.samples import Box, Layout
from brule.errors import DataError

MAX_EMPTY = 4_000_000  # cells of a table of objects by landmarks, below which nobody minds how many are empty


@dataclass(frozen=True, eq=False)
class Outline:
    """A polygon or polyline that an annotation file holds.

    Args:
        label: its name in the file.
        corners: ``(M, 2)`` float64 in pixels, the centre of the first one at (0, 0).
        closed: whether the last corner is joined to the first.
        group: outlines of one group belong to an object that has nothing but them; "" for those of the annotation that holds
            them.
    """

    label: str
    corners: np.ndarray
    closed: bool = True
    group: str = ""


@dataclass(frozen=True, eq=False)
class Annotation:
    """One object in one image, as an annotation file describes it.

    Args:
        image: the image as the file names it: a path relative to the file, or one of another machine; "" where the
            format names none (``.pts``).
        points: ``(N, 2)`` float32 in pixels of the upright image, the centre of the first one at (0, 0), NaN where one is
            missing; None if no landmark was annotated.
        box: the object's box in pixels.
        size: width and height of the image in pixels, if known.
        occluded: ``(N,)`` bool, the landmarks that are marked though something hides them; None if nothing is known.
        spacing: millimetres per pixel along x and y, if known.
        upwards: y was counted from the lower edge of the image, whose height was needed for that: ``size`` is then the
            image's own, and nothing that the file states.
        outlines: polygons and polylines (:mod:`brule.data.formats.outlines`).
    """

    image: str
    points: np.ndarray | None = None
    box: Box | None = None
    size: tuple[int, int] | None = None
    occluded: np.ndarray | None = None
    spacing: tuple[float, float] | None = None
    upwards: bool = False
    outlines: tuple[Outline, ...] = ()

    @property
    def scale(self) -> float | None:
        """Millimetres per pixel as one number; None where pixels aren't square, or nothing is known."""
        return scale_of(self.spacing)

    @property
    def labelled(self) -> bool:
        """Whether at least one landmark is there."""
        return self.points is not None and bool(np.isfinite(self.points).all(axis=1).any())


def scale_of(spacing: tuple[float, float] | None) -> float | None:
    """Millimetres per pixel as one number, which square pixels have; None for others, and where nothing is known."""
    return spacing[0] if spacing is not None and spacing[0] == spacing[1] else None


def square(scale: float | None) -> tuple[float, float] | None:
    """The length of square pixels along x and y; None where it isn't known."""
    return None if scale is None else (scale, scale)


@dataclass(frozen=True, eq=False)
class FrameAnnotation:
    """One object on a frame of a video.

    Args:
        annotation: the object; its image has no name.
        video: the video as the file names it; "" where it doesn't.
        frame: counted from 0.
    """

    annotation: Annotation
    video: str
    frame: int


@dataclass(frozen=True, eq=False)
class Annotations:
    """All that an annotation file holds.

    Args:
        items: one record per object, in the order of the file; an image without object has a record without points.
        layout: names and edges of the landmarks.
        problems: what is wrong with single records, which were left out.
        notes: what was passed over on purpose.
        predicted: the points are predictions of a program. They are read where the file is asked for, and never become
            labels by being in a folder.
        way: what to do if the images aren't found, where the format knows it.
        frame_annotations: objects on frames of videos (:mod:`brule.data.video_annotations`), in the same layout.
    """

    items: list[Annotation] = field(default_factory=list)
    layout: Layout = field(default_factory=Layout)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    predicted: bool = False
    way: str = ""
    frame_annotations: list[FrameAnnotation] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def n_points(self) -> int | None:
        """How many landmarks most records have; None without any."""
        counts = [len(item.points) for item in self.items if item.points is not None]
        return max(set(counts), key=counts.count) if counts else None

    def names(self, n_points: int) -> list[str]:
        """The landmarks' names; their indices where they have none."""
        return list(self.layout.names or map(str, range(n_points)))


class Problems(list[str]):
    """What is wrong with single records of a file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Record a :class:`~brule.errors.DataError` of one record, and continue with the next."""
        try:
            yield
        except DataError as error:
            self.append(str(error).removeprefix(f"{self._path}: "))


@dataclass
class NamedPoints:
    """An object whose landmarks have names, so that a missing one is simply absent.

    Args:
        image: as the file names it.
        size: width and height of the image, if known.
        points: (x, y) in pixels by name.
        occluded: the names of hidden ones.
        box: in pixels.
        missing: the names of landmarks that the file marks as missing.
        outlines: polygons and polylines.
    """

    image: str
    size: tuple[int, int] | None = None
    points: dict[str, tuple[float, float]] = field(default_factory=dict)
    occluded: set[str] = field(default_factory=set)
    box: Box | None = None
    missing: set[str] = field(default_factory=set)
    outlines: list[Outline] = field(default_factory=list)

    def add(self, name: str, point: tuple[float, float], where: str, *, occluded: bool = False) -> None:
        """Add a landmark.

        Raises:
            DataError: it exists already.
        """
        name = unicodedata.normalize("NFC", name)
        if name in self.points:
            raise DataError(f"{where}: two points are called {name!r} in one object; expected each landmark once")
        self.points[name] = point
        if occluded:
            self.occluded.add(name)

    def mark(self, name: str, point: tuple[float, float] | None, where: str, *, occluded: bool = False) -> None:
        """Add a landmark, or note that the file marks it as missing (None).

        Raises:
            DataError: it is there already.
        """
        if point is None:
            self.missing.add(unicodedata.normalize("NFC", name))
        else:
            self.add(name, point, where, occluded=occluded)


def from_named(
    objects: Sequence[NamedPoints], stated: Sequence[str] | None = None, layout: Layout | None = None
) -> tuple[list[Annotation], Layout]:
    """Objects with named landmarks → records with landmarks in one order.

    Args:
        objects: the objects.
        stated: the landmarks in the order that the file states, if it does; names beyond it follow.
        layout: kind and edges, the latter between landmarks of ``stated``.

    Returns:
        The records and the layout. Without a stated order, names are put in natural order (``p2`` before ``p10``): it
        depends on nothing but the names, so that two files agree.

    Raises:
        DataError: hardly any object has the same landmarks.
    """
    layout = layout or Layout()
    used = {name for one in objects for name in (*one.points, *one.missing)}
    known = list(dict.fromkeys(unicodedata.normalize("NFC", name) for name in stated or ()))
    names = tuple(known + natural_order(used - set(known)))
    check_filled(len(objects), len(names), sum(len(one.points) for one in objects))
    index = {name: i for i, name in enumerate(names)}
    records = [_record(one, index) for one in objects]
    return records, replace(layout, names=unless_numbers(names) if stated else names or None)


def check_filled(n_objects: int, n_names: int, n_points: int) -> None:
    """Refuse objects that share no landmarks: the table of all points would grow with the square of the file.

    Raises:
        DataError: of a large table, less than a hundredth is filled.
    """
    if n_objects * n_names > max(MAX_EMPTY, 100 * n_points):
        raise DataError(
            f"the {n_objects:,} objects have {n_names:,} landmarks of different names, {n_points / n_objects:.3g} each on "
            "average; expected the same names in every object; remove from the names what differs from object to object"
        )


def unless_numbers(names: Sequence[str]) -> tuple[str, ...] | None:
    """Names, or None where they are just the numbers that we write for landmarks without names."""
    return None if not names or tuple(names) == tuple(map(str, range(len(names)))) else tuple(names)


def natural_order(names: set[str]) -> list[str]:
    """Names sorted with the numbers in them by value."""
    return sorted(names, key=lambda name: [_part(part) for part in re.split(r"([0-9]+)", name)])


def _part(text: str) -> tuple[int, str, str]:
    # By length first orders digits by value, and never converts thousands of them.
    digits = text.lstrip("0")
    return (len(digits), digits, text) if text.isdigit() and text.isascii() else (-1, text, "")


def _record(one: NamedPoints, index: Mapping[str, int]) -> Annotation:
    outlines = tuple(one.outlines)
    if not one.points:
        return Annotation(one.image, box=one.box, size=one.size, outlines=outlines)
    points = np.full((len(index), 2), np.nan, dtype=np.float32)
    occluded = np.zeros(len(index), dtype=bool)
    for name, point in one.points.items():
        points[index[name]] = point
        occluded[index[name]] = name in one.occluded
    hidden = occluded if occluded.any() else None
    return Annotation(one.image, points, one.box, one.size, hidden, outlines=outlines)


def in_one_order(sets: Sequence[Annotations]) -> tuple[list[list[Annotation]], Layout]:
    """Bring the landmarks of several files into one order, by their names.

    Where the names of one file are all there are, its order is taken, else natural order. Files without names stay as
    they are.

    Returns:
        The records of each file, and the layout of them all.
    """
    layouts = [one.layout for one in sets if one.layout.names]
    if not layouts:
        return [one.items for one in sets], sets[0].layout if sets else Layout()
    every = {name for layout in layouts for name in layout.names or ()}
    whole = next((layout for layout in layouts if set(layout.names or ()) == every), None)
    objects = [item for one in sets for item in one.items if item.points is not None]
    check_filled(len(objects), len(every), sum(len(item.points) for item in objects if item.points is not None))
    chosen = whole or replace(_relabelled(layouts[0]), names=tuple(natural_order(every)))
    return [_reordered(one, chosen.names or ()) for one in sets], chosen


def _relabelled(layout: Layout) -> Layout:
    return replace(layout, edges=(), curves=())  # their indices are of another order


def _reordered(annotations: Annotations, names: tuple[str, ...]) -> list[Annotation]:
    own = annotations.layout.names
    if own is None or own == names:
        return annotations.items
    index = {name: i for i, name in enumerate(names)}
    target = [index[name] for name in own]
    return [_moved(item, target, len(names)) for item in annotations.items]


def _moved(item: Annotation, target: list[int], count: int) -> Annotation:
    if item.points is None or len(item.points) != len(target):
        return item
    points = np.full((count, 2), np.nan, dtype=np.float32)
    points[target] = item.points
    occluded = None
    if item.occluded is not None:
        occluded = np.zeros(count, dtype=bool)
        occluded[target] = item.occluded
    return replace(item, points=points, occluded=occluded)
