"""``docs/paper.md`` is true: every name in its tables exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "paper.md"
NAMES = sorted(set(re.findall(r"`(brule(?:\.\w+)+)`", DOCUMENT.read_text(encoding="utf-8"))))
SETTINGS = sorted(set(re.findall(r"`((?:loss|warp|averaging|encoder|teacher)\.\w+)`", DOCUMENT.read_text(encoding="utf-8"))))


def test_the_tables_name_the_functions() -> None:
    assert len(NAMES) >= 15 and len(SETTINGS) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_imported_and_explains_itself(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert getattr(importlib.import_module(module), attribute).__doc__


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_exists(key: str) -> None:
    from brule.training.config import dotted_keys

    assert key in dotted_keys()
