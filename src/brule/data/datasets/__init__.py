"""Public data sets in the layout of their release: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Callable

from brule.data.datasets.w300 import read_300w
from brule.data.samples import SampleList

DATASETS: dict[str, Callable[..., SampleList]] = {
    "300w": read_300w,  # (root, split="train", *, skip_bad=False)
}

__all__ = ["DATASETS", "read_300w"]
