"""Landmark detectors learnt from unlabelled images and the Wasserstein barycenter of about ten annotated shapes.

The method is that of Bespalov, Buzun and Dylov, *BRULÈ: Barycenter-Regularized Unsupervised Landmark Extraction*, 2020,
arXiv:2006.11643. Almost everything can be done with one class::

    from brule import LandmarkDetector

    detector = LandmarkDetector(preset="cpu").fit("images/", shapes="shapes/")
    landmarks = detector.predict(["new.jpg"])
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brule.detector import LandmarkDetector, Landmarks

__version__ = "0.1.0"
__all__ = ["LandmarkDetector", "Landmarks", "__version__"]


def __getattr__(name: str) -> object:
    # PEP 562: `import brule`, and with it `brule --help`, must not wait seconds for torch.
    if name in ("LandmarkDetector", "Landmarks"):
        with _without_garbage_collection():
            return getattr(import_module("brule.detector"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Imports make no garbage, and a full collection walks all objects of torch, which takes longer than our own imports."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
