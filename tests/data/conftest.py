"""What tests of stored crops share."""

from __future__ import annotations

import pytest

from brule.data import Sample
from brule.data import crops as cache_module
from brule.data.images import load_crop


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that get decoded."""
    names: list[str] = []

    def counting(sample: Sample, *crop: float, **context: float) -> object:
        names.append(sample.name)
        return load_crop(sample, *crop, **context)

    monkeypatch.setattr(cache_module, "load_crop", counting)
    return names
