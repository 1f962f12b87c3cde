"""The one record that every reader gives and everything else takes, the boxes, and the crop rule.

All boxes are ``(left, top, right, bottom)`` in pixels (the centre of the first pixel is ``(0, 0)``).
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from brule.errors import DataError, printable

Box = tuple[float, float, float, float]

CROP_SCALE = 1.3
SKIP_ADVICE = "Mend or remove the file, or use --skip-bad (skip_bad=True) to leave such files out."


class BadFile(NamedTuple):
    """A file that was left out, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}", one_line=True)


class BadFiles(list[BadFile]):
    """The files that a reader left out. Without ``skip``, the first bad file raises instead.

    Args:
        skip: leave bad files out and list them here, rather than raise.
    """

    def __init__(self, items: Iterable[BadFile] = (), *, skip: bool = False) -> None:
        super().__init__(items)
        self.skip = skip

    def reject(self, path: Path, reason: str) -> None:
        """List a bad file.

        Raises:
            DataError: without ``skip``; it names the file and how to continue without it.
        """
        if not self.skip:
            ended = reason if reason.endswith("?") else f"{reason.rstrip('.')}."
            raise DataError(f"{BadFile(path, ended)} {SKIP_ADVICE}")
        self.append(BadFile(path, reason))

    def reject_error(self, path: Path, error: DataError) -> None:
        """The same from an error whose message already starts with the file's name."""
        self.reject(path, str(error).removeprefix(f"{path}: "))


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One image, with what is known about it.

    Args:
        path: the image file; for an image in memory, just its name.
        points: ``(N, 2)`` float32 landmarks in pixels of the upright image, NaN where one is missing; None if there
            is no label.
        box: the box of the object in pixels, before the margin of the crop rule; None if only the points give it.
        spacing: millimetres per pixel along x and y, where the annotation (TPS, labelme, …) or the image file (DICOM) states
            them.
        angle: by how many degrees the object is turned, clockwise on the screen. The box is then in the object's upright
            frame: turned about its centre it covers the object; the crop is cut out turned, and shows the object upright.

    Raises:
        DataError: ``points`` isn't ``(N, 2)`` or holds infinities, or ``box`` has no area.
    """

    path: Path
    points: np.ndarray | None = None
    box: Box | None = None
    spacing: tuple[float, float] | None = None
    angle: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.path, Path):
            object.__setattr__(self, "path", Path(self.path))
        if self.points is not None:
            object.__setattr__(self, "points", _checked_points(self.path, self.points))
        if self.box is not None:
            object.__setattr__(self, "box", _checked_box(self.path, self.box))

    def __repr__(self) -> str:
        points = None if self.points is None else f"{len(self.points)} landmarks"
        return f"Sample({str(self.path)!r}, {points}, {self.box})"

    @property
    def name(self) -> str:
        """The file's name without folder and suffix."""
        return self.path.stem

    def crop(self, scale: float = CROP_SCALE) -> Box | None:
        """The square to cut out: :func:`crop_box` of the box, else of the points; None (whole image) with neither."""
        if self.box is not None:
            return crop_box(self.box, scale=scale)
        if self.points is not None and np.isfinite(self.points).all(axis=1).any():
            return crop_box(self._landmark_box(self.points), scale=scale)
        return None

    def unlabelled(self) -> Sample:
        """The same image without its landmarks; only their box stays, for the crop."""
        if self.points is None:
            return self
        if self.box is not None or not np.isfinite(self.points).all(axis=1).any():
            return replace(self, points=None)
        return replace(self, points=None, box=self._landmark_box(self.points))

    def in_frame(self, points: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
        """Points ``(N, 2)`` turned back about a centre by the object's angle: as they are placed in an upright crop there."""
        return turn_about(points, centre, -self.angle) if self.angle else points

    def _landmark_box(self, points: np.ndarray) -> Box:
        try:
            return upright_box(points, self.angle) if self.angle else landmark_box(points)
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from error


@dataclass(frozen=True)
class Layout:
    """What the landmarks of a set of annotations are called, and which of them are joined by lines.

    Args:
        names: one name per landmark, all different; None if they have none.
        edges: pairs of indices, from 0.
        curves: the landmarks along each curve, in order; a file of TPS holds them behind the others.
        kind: what the object is called.

    Raises:
        DataError: two names are the same, or an edge leads to a landmark that isn't there.
    """

    names: tuple[str, ...] | None = None
    edges: tuple[tuple[int, int], ...] = ()
    curves: tuple[tuple[int, ...], ...] = ()
    kind: str = "object"

    def __post_init__(self) -> None:
        if self.names is None:
            return
        # Tools write the same letter as one sign or as two; a name is the same for both.
        object.__setattr__(self, "names", tuple(unicodedata.normalize("NFC", name) for name in self.names))
        if twice := [name for name, times in Counter(self.names).items() if times > 1]:
            raise DataError(f"two landmarks are called {twice[0]!r}; give each a name of its own")
        if outside := [edge for edge in self.edges if not all(0 <= end < len(self.names) for end in edge)]:
            raise DataError(f"the edge {outside[0]} leads to a landmark that isn't there; there are {len(self.names)}")


class SampleList(list[Sample]):
    """Samples, and what is known of them together.

    Args:
        samples: the samples.
        bad: the files that were left out.
        counts: how many samples each part gave.
        layout: the names and edges of the landmarks, if the annotations have them.
        notes: what the user should know about the reading, one plain sentence each.
    """

    def __init__(
        self,
        samples: Iterable[Sample] = (),
        *,
        bad: BadFiles | None = None,
        counts: dict[str, int] | None = None,
        layout: Layout | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        super().__init__(samples)
        self.bad = BadFiles() if bad is None else bad
        self.counts = {} if counts is None else counts
        self.layout = Layout() if layout is None else layout
        self.notes = list(notes)

    def replaced(self, samples: Iterable[Sample]) -> SampleList:
        """Other samples, with all that is known of these."""
        return SampleList(samples, bad=self.bad, counts=self.counts, layout=self.layout, notes=self.notes)

    @property
    def n_points(self) -> int | None:
        """How many landmarks the labelled samples have; None if no sample is labelled.

        Raises:
            DataError: two samples have different numbers of points.
        """
        return common_n_points(self)

    def unlabelled(self) -> SampleList:
        """The same images with their boxes and without landmarks: what training without labels may see."""
        return self.replaced(sample.unlabelled() for sample in self)


def turn_about(points: np.ndarray, centre: tuple[float, float], degrees: float) -> np.ndarray:
    """Points ``(..., 2)`` turned about a centre, clockwise on the screen."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = points[..., 0] - centre[0], points[..., 1] - centre[1]
    return np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], axis=-1)


def upright_box(points: np.ndarray, angle: float) -> Box:
    """The smallest box around landmarks ``(N, 2)`` of a turned object, in its upright frame: turn it about its centre."""
    left, top, right, bottom = landmark_box(turn_about(points, (0.0, 0.0), -angle))
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    x, y = turn_about(middle, (0.0, 0.0), angle).tolist()
    width, height = (right - left) / 2, (bottom - top) / 2
    return x - width, y - height, x + width, y + height


def landmark_box(points: np.ndarray) -> Box:
    """The smallest box around landmarks.

    Args:
        points: ``(N, 2)`` in any frame; rows with NaN are passed over.

    Raises:
        DataError: no finite point, or all of them in one place.
    """
    points = np.asarray(points, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=-1)]
    if len(points) == 0:
        raise DataError("expected landmarks to put a box around, got none that is finite")
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    if not max(right - left, bottom - top) > 0:
        count = "the only landmark is" if len(points) == 1 else f"all {len(points)} landmarks are"
        raise DataError(f"{count} in one place, which gives no box to crop to; give a box too")
    return (left, top, right, bottom)


def crop_box(box: Box, *, scale: float = CROP_SCALE) -> Box:
    """The crop rule: the square about the centre of a box, its side ``scale`` times the box's longer side."""
    left, top, right, bottom = box
    half = 0.5 * scale * max(right - left, bottom - top)
    x, y = 0.5 * (left + right), 0.5 * (top + bottom)
    return (x - half, y - half, x + half, y + half)


def common_n_points(samples: Iterable[Sample]) -> int | None:
    """The number of landmarks that all labelled samples share; None if no sample is labelled.

    Raises:
        DataError: two samples have different numbers of points; both files are named.
    """
    first: Sample | None = None
    for sample in samples:
        if sample.points is None:
            continue
        first = first or sample
        if first.points is not None and len(first.points) != len(sample.points):
            raise DataError(
                f"{sample.path}: has {len(sample.points)} points, but {first.path} has {len(first.points)}; "
                "all labelled images must have the same landmarks"
            )
    return None if first is None or first.points is None else len(first.points)


def reject_odd_counts(samples: list[Sample], bad: BadFiles) -> list[Sample]:
    """Leave out the labelled samples whose number of points isn't that of most others (on a tie, of the first)."""
    counts = Counter(len(sample.points) for sample in samples if sample.points is not None)
    if len(counts) < 2:
        return samples
    ((usual, times),) = counts.most_common(1)
    kept = []
    for sample in samples:
        if sample.points is None or len(sample.points) == usual:
            kept.append(sample)
        else:
            others = f"{times} of the {counts.total()} annotations read with it have {usual}"
            bad.reject(sample.path, f"its annotation has {len(sample.points)} points, but {others}")
    return kept


@dataclass(frozen=True)
class Split:
    """Samples in two parts that share no file name."""

    train: SampleList = field(default_factory=SampleList)
    validation: SampleList = field(default_factory=SampleList)


def split_by_name(samples: Iterable[Sample], *, one_in: int = 10) -> Split:
    """Hold out about one sample in ``one_in``, chosen by the SHA-256 of its file name.

    The choice depends on nothing but the name: not on the order, the folder, the seed, or the other samples, so an
    image never moves from one side to the other when images are added.
    """
    split = Split()
    for sample in samples:
        digest = int(hashlib.sha256(sample.path.name.encode("utf-8", "surrogateescape")).hexdigest(), 16)
        (split.validation if digest % one_in == 0 else split.train).append(sample)
    return split


def _checked_points(path: Path, points: np.ndarray) -> np.ndarray:
    try:
        array = np.asarray(points, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: expected points as an (N, 2) array of numbers: {error}") from error
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise DataError(f"{path}: expected points of shape (N, 2) with N ≥ 1, got {array.shape}")
    if np.isinf(array).any():
        raise DataError(f"{path}: a point is infinite; a missing landmark is written as NaN")
    return array


def _checked_box(path: Path, box: Box) -> Box:
    try:
        left, top, right, bottom = (float(edge) for edge in box)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: expected a box (left, top, right, bottom) in pixels, got {box!r}") from error
    if not all(math.isfinite(edge) for edge in (left, top, right, bottom)) or right <= left or bottom <= top:
        raise DataError(f"{path}: expected a box (left, top, right, bottom) with left < right and top < bottom, got {box!r}")
    return (left, top, right, bottom)
