"""Public data sets in the layout of their release: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from brule.data.datasets.celeba import read_celeba, read_mafl
from brule.data.datasets.cofw import read_cofw
from brule.data.datasets.w300 import read_300w
from brule.data.datasets.wflw import read_wflw
from brule.data.samples import SampleList
from brule.errors import ConfigError

DATASETS: dict[str, Callable[..., SampleList]] = {  # (root, split="train", *, skip_bad=False)
    "300w": read_300w,
    "celeba": read_celeba,
    "celeba-wild": partial(read_celeba, wild=True),
    "cofw": read_cofw,
    "mafl": read_mafl,
    "mafl-wild": partial(read_mafl, wild=True),
    "wflw": read_wflw,
}


def read_dataset(name: str, root: Path | str, split: str = "train", *, skip_bad: bool = False) -> SampleList:
    """Read one split of a data set by its name.

    Args:
        name: one of ``DATASETS``.
        root: the folder of its release, in its own layout.
        split: as its reader calls it; every one has ``train``.
        skip_bad: leave bad files out and list them in ``bad`` of the result, rather than raise at the first.

    Returns:
        The samples; ``counts`` has the number from each part, ``notes`` where the release has another number.

    Raises:
        ConfigError: no such data set or split.
        DataError: the release isn't there, or something in it is bad.
    """
    if name not in DATASETS:
        raise ConfigError(f"expected a data set, one of {', '.join(DATASETS)}; got {name!r}")
    return DATASETS[name](root, split, skip_bad=skip_bad)


__all__ = ["DATASETS", "read_300w", "read_celeba", "read_cofw", "read_dataset", "read_mafl", "read_wflw"]
