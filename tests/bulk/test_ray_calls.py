"""What is asked of Ray, and what is said of its errors; a stand-in takes its place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brule.bulk import running
from brule.bulk.places import Place
from brule.detector import PredictOptions


class RayError(Exception):
    """As Ray's."""


class RayTaskError(RayError):
    """As Ray's: the first line says where, and the cause is apart."""

    def __init__(self, cause: Exception | None) -> None:
        super().__init__("ray::_on_worker() (pid=7, ip=10.0.0.1)\n  File ...\nValueError: no such plan")
        self.cause = cause


def failing(error: Exception) -> Any:
    def get(reference: object) -> None:
        raise error

    return SimpleNamespace(get=get, exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RayTaskError(ValueError("no such plan\nmore")), "its worker failed (ValueError: no such plan)"),
        (RayTaskError(KeyError()), "its worker failed (KeyError)"),
        (RayTaskError(None), "its worker failed (ValueError: no such plan)"),
        (RayError("The worker died.\nmore"), f"its worker failed {running.RETRIES + 1} times (The worker died.)"),
    ],
)
def test_the_cause_of_a_failure_is_said(error: Exception, said: str) -> None:
    assert running._result(failing(error), "reference") == said


@pytest.mark.parametrize(
    ("address", "environment", "cpus"),
    [(None, None, 2), (None, "", 2), (None, "10.0.0.1:6379", None), ("10.0.0.1:6379", None, None)],
)
def test_a_cluster_that_runs_has_its_own_processors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str | None, environment: str | None, cpus: int | None
) -> None:
    """Ray refuses ``num_cpus`` for it."""
    asked: dict[str, Any] = {}
    fake = SimpleNamespace(
        is_initialized=lambda: False, init=lambda **given: asked.update(given), put=lambda value: value, shutdown=lambda: None
    )
    fake.remote = lambda **given: lambda function: function
    fake.cluster_resources = lambda: {"CPU": 2.0}
    monkeypatch.setattr(running, "_ray", lambda: fake)
    monkeypatch.setattr(running, "detector_files", lambda run: {})
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    how: dict[str, Any] = {"options": PredictOptions(), "workers": 2, "address": address, "gpus": 0.0}
    assert list(running._on_ray(tmp_path, [], Place(str(tmp_path)), **how)) == []
    assert (asked["address"], asked["num_cpus"]) == (address, cpus)
