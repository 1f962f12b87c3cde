"""What is to be annotated: the landmarks' names, edges, contours and left–right pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from brule.errors import DataError
from brule.files import parse_json, parse_toml, read_text

MAX_LANDMARKS = 2000
_TEXT = r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$"  # no control characters, and something to see
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_TEXT)]
Index = Annotated[int, Field(ge=0, lt=MAX_LANDMARKS, strict=True)]
Pair = tuple[Index, Index]


class Strict(BaseModel):
    """A model that refuses keys it doesn't know, and numbers that are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Contour(Strict):
    """A curve through landmarks.

    Args:
        name: what it is called.
        points: the landmarks along it, in order.
        closed: whether it leads back to its start.
    """

    name: Name
    points: Annotated[tuple[Index, ...], Field(min_length=2, max_length=MAX_LANDMARKS)]
    closed: bool = False


class Template(Strict):
    """The landmarks of one kind of object.

    Args:
        kind: what the object is called.
        names: of the landmarks, in order, all different.
        edges: pairs of landmarks that are joined by lines.
        contours: curves along landmarks.
        pairs: the landmarks that change places in a mirrored image; None if it isn't known yet.
        pairs_from: their source: a ``person``, or ``found`` from the shapes.
    """

    kind: Name = "object"
    names: Annotated[tuple[Name, ...], Field(max_length=MAX_LANDMARKS)] = ()
    edges: Annotated[tuple[Pair, ...], Field(max_length=10 * MAX_LANDMARKS)] = ()
    contours: Annotated[tuple[Contour, ...], Field(max_length=MAX_LANDMARKS)] = ()
    pairs: Annotated[tuple[Pair, ...], Field(max_length=MAX_LANDMARKS)] | None = None
    pairs_from: Literal["person", "found"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Template:
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"two landmarks are called {twice!r}; give each a name of its own")
        used = [*self.edges, *(contour.points for contour in self.contours), *(self.pairs or ())]
        if any(index >= len(self.names) for group in used for index in group):
            raise ValueError(f"a line, contour or pair names a landmark that isn't there; there are {len(self.names)}")
        if any(a == b for a, b in (*self.edges, *(self.pairs or ()))):
            raise ValueError("a line or pair joins a landmark with itself; expected two different ones")
        members = [index for pair in self.pairs or () for index in pair]
        if len(set(members)) < len(members):
            raise ValueError("a landmark is in two pairs; it can change places with one other only")
        return self

    @property
    def lines(self) -> tuple[tuple[int, int], ...]:
        """The edges, and the lines along the contours, none twice."""
        found = [*self.edges]
        for contour in self.contours:
            found += pairwise((*contour.points, contour.points[0]) if contour.closed else contour.points)
        return tuple({frozenset(edge): edge for edge in found}.values())

    def checked(self, kept: Sequence[int | None], names: Sequence[str]) -> list[int | None]:
        """What new landmarks were before, as a list.

        Args:
            kept: for each new landmark, which of these it was; None for a new one.
            names: of the new landmarks.

        Raises:
            DataError: one of these isn't there, or is named twice.
        """
        old = [index for index in kept if index is not None]
        if len(kept) != len(names) or len(set(old)) < len(old) or any(not 0 <= index < len(self.names) for index in old):
            raise DataError(
                f"from: expected one old landmark (0 to {len(self.names) - 1}) or null for each of the {len(names)} new ones"
            )
        return list(kept)

    def matching(self, names: Sequence[str]) -> list[int | None]:
        """Which of these landmarks the new ones were: by name, or by place where the numbers agree and no name does.

        Where some names agree, any other name is a new landmark: whether it replaces the one at its place or is the same one
        under another name, only the person knows (``kept`` of :meth:`brule.annotating.Project.set_template`).
        """
        index = {name: i for i, name in enumerate(self.names)}
        if len(names) == len(self.names) and not index.keys() & set(names):
            return list(range(len(names)))
        return [index.get(name) for name in names]


def template_from(content: Any, where: str) -> Template:
    """A template from the content of a file, or of a request.

    Raises:
        DataError: it isn't one; the message starts with ``where``.
    """
    try:
        return Template.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{where}: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg']}" if place else str(fault["msg"]).removeprefix("Value error, ")


def read_template(path: Path) -> Template:
    """Read a template from a JSON or TOML file, or the one of an annotated file or project.

    Raises:
        DataError: it can't be read, or isn't a template.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({error}); expected a template in JSON or TOML") from None
    try:
        content = parse_toml(text) if path.suffix.lower() == ".toml" else parse_json(text)
    except ValueError as error:
        raise DataError(f"{path}: neither JSON nor TOML ({error}); expected a template") from None
    if isinstance(content, dict) and "template" in content:
        content = content["template"]
    return template_from(content, str(path))


def named_template(name: str) -> Template:
    """A built-in template by its name, or one from a file.

    Raises:
        DataError: neither is there.
    """
    if name in BUILT_IN:
        return BUILT_IN[name][1]
    if not Path(name).is_file():
        raise DataError(
            f"template {name!r}: expected one of {', '.join(BUILT_IN)}, or a JSON or TOML file; there is no such file"
        )
    return read_template(Path(name))


def numbered(
    count: int,
    *,
    edges: Iterable[tuple[int, int]] = (),
    names: Sequence[str] | None = None,
    curves: Iterable[tuple[int, ...]] = (),
) -> Template:
    """A template for landmarks of which only number, names, edges and curves are known; a contour holds a curve's edges."""
    found = [curve for curve in curves if len(curve) > 1]
    contours = tuple(Contour(name=f"curve {number}", points=curve) for number, curve in enumerate(found, 1))
    along = {frozenset(edge) for curve in found for edge in pairwise(curve)}
    others = tuple(edge for edge in edges if frozenset(edge) not in along)
    return Template(names=tuple(names or map(str, range(1, count + 1))), edges=others, contours=contours)


def shortened(names: Sequence[str], most: int = 5) -> str:
    """The first of some landmarks' names, as text."""
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def _face68() -> Template:
    runs = [
        ("jaw", 17, False), ("right brow", 5, False), ("left brow", 5, False), ("nose ridge", 4, False), ("nostrils", 5, False),
        ("right eye", 6, True), ("left eye", 6, True), ("outer lips", 12, True), ("inner lips", 8, True),
    ]  # fmt: skip
    names: list[str] = []
    contours = []
    for part, count, closed in runs:
        first = len(names)
        names += [f"{part} {number}" for number in range(1, count + 1)]
        contours.append(Contour(name=part, points=tuple(range(first, first + count)), closed=closed))
    mirror = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + [(31, 35), (32, 34)]
    mirror += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    mirror += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    return Template(kind="face", names=tuple(names), contours=tuple(contours), pairs=tuple(mirror), pairs_from="person")


BUILT_IN: dict[str, tuple[str, Template]] = {"face68": ("68-point face (iBUG)", _face68())}
