"""What the readers of data sets share: the split, the expected files, the counts of the release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from brule.data.formats.values import load_text, number
from brule.data.samples import SampleList
from brule.errors import ConfigError, DataError


def checked_split(dataset: str, split: str, splits: Iterable[str]) -> str:
    """A split that the data set has.

    Raises:
        ConfigError: it hasn't.
    """
    if split not in (known := list(splits)):
        raise ConfigError(f"expected a split of {dataset}, one of {', '.join(known)}; got {split!r}")
    return split


def expect(root: Path, dataset: str, tree: str, *, found: Mapping[str, Path | None]) -> None:
    """Check that the parts of a release are there.

    Args:
        root: its folder.
        dataset: what it is called.
        tree: how it should look, one line per file or folder.
        found: where each part was found, by its name; None if it wasn't.

    Raises:
        DataError: a part is missing; the message shows the expected tree.
    """
    missing = [name for name, path in found.items() if path is None]
    if missing:
        indented = "\n".join(f"  {line}" for line in tree.strip().splitlines())
        raise DataError(
            f"{root}: expected the release of {dataset} here; missing: {', '.join(missing)}. It looks like this:\n{indented}"
        )


def first_there(root: Path, name: str, folders: Iterable[str] = ("",)) -> Path | None:
    """Search several folders below the root for a file or folder; None if none has it."""
    return next((path for folder in folders if (path := root / folder / name).exists()), None)


def lines_of(path: Path) -> list[str]:
    """The lines of a list that aren't empty.

    Raises:
        DataError: it can't be read, or is empty.
    """
    return [line.strip() for line in load_text(path).splitlines() if line.strip()]


def numbers_of(fields: list[str], where: str) -> list[float]:
    """The numbers in the fields of a line.

    Raises:
        DataError: a field holds none.
    """
    return [number(field, where, "a value") for field in fields]


def note_counts(samples: SampleList, dataset: str, expected: Mapping[str, int]) -> SampleList:
    """Say where a copy holds another number of images than the release: its figures aren't those of the literature."""
    for part, count in samples.counts.items():
        if part in expected and count != expected[part]:
            samples.notes.append(
                f"{dataset}: {part} has {count:,} annotated images here, {expected[part]:,} in the release; figures can't be "
                "compared with those of the literature"
            )
    return samples
