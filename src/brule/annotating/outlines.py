"""Outlines of other programs (polygons and polylines): kept in a project, and turned into contours of semilandmarks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from brule.annotating.marks import Mark
from brule.annotating.project import Project
from brule.annotating.template import MAX_LANDMARKS, Template, template_from
from brule.data.formats.record import Outline
from brule.errors import BruleError, ConfigError, DataError
from brule.files import parse_json, write_text
from brule.geometry import evenly_spaced

FILE = "outlines.jsonl"
Start = Literal["aligned", "drawn"]
_FINE = 16  # places between two semilandmarks at which a contour may start
_ROUNDS = 3  # of alignment to the mean


@dataclass(frozen=True)
class OutlineLabel:
    """The outlines of one label.

    Args:
        label: as in the imported files.
        n_images: how many images have one.
        closed: whether most of them are polygons.
    """

    label: str
    n_images: int
    closed: bool


@dataclass(frozen=True)
class Placed:
    """What :func:`contour_from_outlines` did.

    Args:
        n_images: images in which the contour was placed.
        kept: images that had landmarks of the contour already, and stay as they are.
    """

    n_images: int
    kept: int


def keep_outlines(project: Project, found: Mapping[str, Sequence[Outline]]) -> None:
    """Add outlines to a project; those of an image replace earlier ones of the same label.

    Args:
        project: the project.
        found: outlines by the image's name in the project.

    Raises:
        OutputError: they can't be written.
    """
    known = read_outlines(project)
    for name, outlines in found.items():
        new = {one.label for one in outlines}
        known[name] = [one for one in known.get(name, []) if one.label not in new] + list(outlines)
    lines = [json.dumps({"name": name, "outlines": list(map(_packed, known[name]))}) for name in sorted(known)]
    write_text(project.folder / FILE, "".join(f"{line}\n" for line in lines), flush=True)


def read_outlines(project: Project) -> dict[str, list[Outline]]:
    """The outlines of a project, by the image's name.

    Raises:
        DataError: their file is damaged.
    """
    path = project.folder / FILE
    if not path.exists():
        return {}
    try:
        records = [parse_json(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        return {str(one["name"]): [_unpacked(outline) for outline in one["outlines"]] for one in records}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); restore it, or remove it and import the outlines again") from None


def outline_labels(project: Project) -> list[OutlineLabel]:
    """The labels of a project's outlines, the most frequent first; images that left the project don't count."""
    names = {entry.name for entry in project.entries.values()}
    counts: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    for name, outlines in read_outlines(project).items():
        for label in {one.label for one in outlines} if name in names else ():
            counts[label] += 1
            closed[label] += any(one.closed for one in outlines if one.label == label)
    return [OutlineLabel(label, count, 2 * closed[label] > count) for label, count in counts.most_common()]


def contour_from_outlines(project: Project, label: str, *, count: int | None = None, start: Start = "aligned") -> Placed:
    """Turn the outlines of a label into a contour: evenly spaced semilandmarks in every image that has one.

    The contour is named after the label, and added to the project's landmarks if it isn't there. Images in which one of
    its landmarks is placed stay as they are. An image without annotation, or finished but for the contour, counts as
    finished once all its landmarks are placed.

    Args:
        project: the project.
        label: of the outlines. Of several in one image, the longest is taken.
        count: number of landmarks of a new contour.
        start: ``aligned`` turns all outlines the same way round and starts them where they match best, for objects that are
            upright to within about 45°; ``drawn`` keeps the first corner and the direction of each.

    Raises:
        ConfigError: no outline has this label, or ``count`` isn't possible.
        DataError: an outline has no length.
        OutputError: the project can't be written to.
    """
    outlines = _longest(project, label)
    template = _with_contour(project, label, count, closed=_mostly_closed(outlines.values()))
    contour = next(one for one in template.contours if one.name == label)
    names = [template.names[index] for index in contour.points]
    n = len(names) * _FINE if start == "aligned" else len(names)
    lines = _sampled(outlines, project, n=n, closed=contour.closed)
    if start == "aligned":
        lines = _aligned(lines, _annotated(project, names, contour.closed), contour.closed)
    if template != project.template:
        project.set_template(project.settings.version, template)
    placed = sum(_place(project, image, dict(zip(names, line.tolist(), strict=True))) for image, line in lines.items())
    return Placed(placed, len(lines) - placed)


def _longest(project: Project, label: str) -> dict[str, Outline]:
    known, found = read_outlines(project), {}
    for image, entry in project.entries.items():
        own = [one for one in known.get(entry.name, ()) if one.label == label]
        if own:
            found[image] = max(own, key=lambda one: float(np.linalg.norm(np.diff(one.corners, axis=0), axis=1).sum()))
    if not found:
        labels = ", ".join(one.label for one in outline_labels(project)) or "none"
        raise ConfigError(f"no outline is called {label!r}; this project's outlines: {labels}")
    return found


def _with_contour(project: Project, label: str, count: int | None, *, closed: bool) -> Template:
    """The project's landmarks with a contour of this name."""
    template = project.template
    there = next((one for one in template.contours if one.name == label), None)
    if there is not None:
        if count not in (None, len(there.points)):
            raise ConfigError(f"the contour {label!r} has {len(there.points)} landmarks already, not {count}")
        return template
    most = MAX_LANDMARKS - len(template.names)
    if count is None or not 2 <= count <= most:
        raise ConfigError(f"expected 2 to {most} landmarks for the contour {label!r}, got {count}")
    names = [f"{label} {number}" for number in range(1, count + 1)]
    if taken := set(names) & set(template.names):
        raise ConfigError(f"a landmark is called {min(taken)!r} already; rename it, or make a contour {label!r} of it")
    first = len(template.names)
    contour = {"name": label, "points": tuple(range(first, first + count)), "closed": closed}
    content = template.model_dump() | {"names": (*template.names, *names), "contours": (*template.contours, contour)}
    return template_from(content, f"the contour {label!r}")


def _mostly_closed(outlines: Iterable[Outline]) -> bool:
    closed = [one.closed for one in outlines]
    return 2 * sum(closed) > len(closed)


def _sampled(outlines: Mapping[str, Outline], project: Project, *, n: int, closed: bool) -> dict[str, np.ndarray]:
    lines = {}
    for image, one in outlines.items():
        try:
            lines[image] = evenly_spaced(one.corners, n, closed=closed)
        except BruleError as error:
            raise DataError(f"{project.entry(image).shown}: the outline {one.label!r}: {error}") from None
    return lines


def _annotated(project: Project, names: Sequence[str], closed: bool) -> list[np.ndarray]:
    """The contour as it is annotated already, as finely as outlines are sampled."""
    if not set(names) <= set(project.template.names):
        return []
    places = [list(project.template.names).index(name) for name in names]
    _, shapes = project.annotated()
    whole = [own for own in shapes[:, places] if np.isfinite(own).all()] if len(shapes) else []
    return [evenly_spaced(own, len(names) * _FINE, closed=closed) for own in whole]


def _aligned(lines: Mapping[str, np.ndarray], known: Sequence[np.ndarray], closed: bool) -> dict[str, np.ndarray]:
    """Lines that start where they match best and run the same way, thinned to the semilandmarks.

    Args:
        lines: ``(n · 16, 2)`` each.
        known: lines whose start is right.
        closed: whether they lead back to their start.
    """
    shapes = {image: _normal(line) for image, line in lines.items()}
    reference = np.mean([_normal(line) for line in known], axis=0) if known else _round(next(iter(shapes.values())), closed)
    turned = lines
    for _ in range(1 if known else _ROUNDS):
        orders = {image: _order(reference, shape, closed) for image, shape in shapes.items()}
        turned = {image: lines[image][order] for image, order in orders.items()}
        reference = np.mean([shapes[image][order] for image, order in orders.items()], axis=0)
    if closed:
        return {image: line[::_FINE] for image, line in turned.items()}
    return {image: evenly_spaced(line, len(line) // _FINE) for image, line in turned.items()}


def _order(reference: np.ndarray, shape: np.ndarray, closed: bool) -> np.ndarray:
    """The indices that lead along a line (complex) in the best match with another one."""
    forwards = np.arange(len(shape))
    if not closed:
        return max((forwards, forwards[::-1]), key=lambda order: _likeness(reference, shape[order]))
    order = forwards if _area(shape) * _area(reference) >= 0 else forwards[::-1]
    # The likeness at every shift at once: a circular correlation.
    shifts = np.fft.ifft(np.conj(np.fft.fft(reference)) * np.fft.fft(shape[order])).real
    return np.roll(order, -int(np.argmax(shifts)))


def _round(shape: np.ndarray, closed: bool) -> np.ndarray:
    """A closed line that runs clockwise on the screen."""
    return shape[::-1] if closed and _area(shape) < 0 else shape


def _normal(line: np.ndarray) -> np.ndarray:
    """A line as complex numbers about 0, of size 1."""
    values = line[:, 0] + 1j * line[:, 1]
    values = values - values.mean()
    return values / np.linalg.norm(values)


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b).real)


def _area(shape: np.ndarray) -> float:
    """Twice the signed area; positive if clockwise on the screen, where y points down."""
    return float((np.conj(shape) * np.roll(shape, -1)).imag.sum())


def _place(project: Project, image: str, places: Mapping[str, Sequence[float]]) -> bool:
    """Set the landmarks of a contour in one image; False if one of them is there."""
    record = project.record(image)
    before = record.marks
    if any(name in before.points for name in places):
        return False
    points = {**before.points, **{name: Mark.at(x, y) for name, (x, y) in places.items()}}
    after = replace(before, points=points)
    if before.status == "new" or record.history.reopened:  # reopened by the contour itself
        after = replace(after, status="accepted" if after.completed(project.template.names) else "draft")
    project.change(image, record.version, after, action="placed an imported outline")
    return True


def _packed(one: Outline) -> dict[str, object]:
    return {"label": one.label, "closed": one.closed, "points": one.corners.round(3).tolist()}


def _unpacked(content: Mapping[str, object]) -> Outline:
    corners = np.array(content["points"], dtype=np.float64).reshape(-1, 2)
    if len(corners) < 2 or not np.isfinite(corners).all():
        raise ValueError("an outline needs two finite corners or more")
    return Outline(str(content["label"]), corners, bool(content["closed"]))
