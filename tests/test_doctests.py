"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import brule

LEFT_OUT = ("brule.web", "brule.export", "brule.cli", "brule.__main__")  # these need extras, or run when imported
FOUND = sorted(module.name for module in pkgutil.walk_packages(brule.__path__, "brule."))
MODULES = ["brule", *(name for name in FOUND if not name.startswith(LEFT_OUT))]


def examples(name: str) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    for test in examples(name):
        doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)
    assert not said, "".join(said)


def test_there_are_examples() -> None:
    assert sum(len(examples(name)) for name in ("brule.transport.plan", "brule.detector.estimator")) >= 2
