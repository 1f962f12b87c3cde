"""Batches side by side: every core has one thread at work, however deep the pools are nested."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from brule.detector.finding import find_all
from brule.detector.predicting import PredictOptions
from brule.threads import available_threads, single_threads

pytestmark = pytest.mark.usefixtures("three_threads")


def test_a_batch_has_one_thread_and_opens_no_pool_of_its_own() -> None:
    def find(items: list[Any], options: PredictOptions) -> tuple[list[Any], tuple[int, int]]:
        return items, (available_threads(), torch.get_num_threads())

    model = SimpleNamespace(barycenter=torch.zeros(1, 2))
    finder: Any = SimpleNamespace(reader=SimpleNamespace(model=model), find=find)
    picture = SimpleNamespace(image=SimpleNamespace(width=8, height=8))
    items: Any = [SimpleNamespace(picture=picture)] * 12
    assert [found for _, found in find_all(finder, items, PredictOptions(batch_size=6))] == [(1, 1)] * 6
    assert available_threads() == torch.get_num_threads() == 3


def test_a_pool_that_cannot_be_made_changes_nothing() -> None:
    with pytest.raises(ValueError, match="max_workers"), single_threads(0, "none"):
        pass
    torch.set_num_threads(2)
    assert available_threads() == 2
