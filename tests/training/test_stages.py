"""What a run is busy with outside its iterations: shown to those who follow it, and gone afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import brule.training.loop as loop
from brule.data.synthetic import synthetic_faces
from brule.errors import OutputError
from brule.tracking.run_files import STAGE
from brule.training import stages
from brule.training.loop import train
from brule.training.stages import run_stage
from tests.training.tiny import ONE_STACK, RUN, settings_from, shapes_of

FACES = synthetic_faces(16, size=48)
SHAPES = shapes_of(FACES, 10)


def test_a_stage_is_in_the_folder_while_it_lasts(tmp_path: Path) -> None:
    said: list[str] = []
    with run_stage("learning", tmp_path, say=said.append):
        found = json.loads((tmp_path / STAGE).read_text())
        assert found["stage"] == "learning" and abs(time.time() - found["since"]) < 60
    assert said == ["learning …"] and not list(tmp_path.iterdir())


def test_a_stage_that_fails_is_over_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), run_stage("learning", tmp_path):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_or_full_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_stage("learning", tmp_path / "gone"), run_stage("learning", None):
        assert not list(tmp_path.iterdir())

    def full(*given: Any, **keywords: Any) -> None:
        raise OutputError("full")

    monkeypatch.setattr(stages, "write_text", full)
    with run_stage("learning", tmp_path):
        pass


def trained(directory: Path, **more: Any) -> None:
    settings = {"iterations": 2, "teacher__enabled": True, "teacher__regress": 0.5, "gan__enabled": False}
    config = settings_from({**ONE_STACK, **RUN})(**settings)
    train(FACES.images, SHAPES.mean(0), config, shapes=SHAPES, directory=directory, quiet=True, **more)


def test_the_last_stages_of_a_training_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that shows 100 % is at an end only if nothing else is being done."""
    found: list[str] = []

    def seen(then: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **keywords: Any) -> Any:
            here = tmp_path / STAGE
            found.append(json.loads(here.read_text())["stage"] if here.exists() else "")
            return then(*given, **keywords)

        return call

    monkeypatch.setattr(loop, "learns_final", lambda images, config: True)
    monkeypatch.setattr(loop, "learn_final_regression", seen(lambda *given, **keywords: None))
    trained(tmp_path, measure=seen(lambda model: {"validation NME": 1.0}), measure_every=1)
    assert found == ["", "measuring the detector on validation images", "learning the last correction of the landmarks"]
    assert not (tmp_path / STAGE).exists()


def test_a_measurement_that_fails_leaves_the_order_of_the_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from brule.training import checkpointing

    state = SimpleNamespace(
        ema=SimpleNamespace(order=torch.arange(3)),
        shape_model=SimpleNamespace(indexed=False),
        config=None,
        progress=SimpleNamespace(iteration=1, elapsed=1.0),
    )
    state.ema.set_order = lambda order: setattr(state.ema, "order", order)
    monkeypatch.setattr(checkpointing, "_barycenter_order", lambda *given: torch.tensor([2, 1, 0]))

    def fail(model: Any) -> dict[str, float]:
        assert model.order.tolist() == [2, 1, 0]
        raise RuntimeError

    checkpointer = checkpointing.Checkpointer(state, FACES.images, None, None, measure=fail)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        checkpointer._measure(last=False)
    assert state.ema.order.tolist() == [0, 1, 2]
