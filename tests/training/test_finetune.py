"""The last part of a run: annotated images hardly warped and not mirrored, unlabelled ones as ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from brule.data.synthetic import synthetic_faces
from brule.training.batches import Batch, BatchSource, LabelledImages
from brule.training.config import TrainingConfig
from brule.training.loop import train
from brule.training.run import build_shape_model
from brule.training.schedule import is_finetuning
from brule.training.state import TrainingResult
from tests.training.tiny import ENCODER, RUN, settings_from, shapes_of

FACES = synthetic_faces(12, size=32)
SHAPES = shapes_of(FACES)
LABELS = LabelledImages(FACES.images[:5], SHAPES[:5])
SETTINGS = {
    **ENCODER,
    **RUN,
    "crop.context": 1.0,
    "labelled.batch_size": 40,
    "labelled.start": 0,
    "iterations": 6,
    "precision": "float32",
    "finetune.fraction": 0.5,
    "finetune.mirror": True,
}


settings = settings_from(SETTINGS)


def run(config: TrainingConfig, **keywords: Any) -> TrainingResult:
    return train(FACES.images, SHAPES.mean(0), config, labelled=LABELS, shapes=SHAPES[:5], quiet=True, **keywords)


def drawn(config: TrainingConfig, *, finetune: bool) -> Batch:
    shape_model = build_shape_model(SHAPES[:5].mean(0), SHAPES[:5], config)
    assert shape_model.mirror is not None
    with BatchSource(FACES.images, LABELS, shape_model, config=config) as source:
        return source.batch(3, finetune=finetune)


def moved_by(batch: Batch) -> float:
    """How far the annotated shapes are, at most, from the nearest of those they were warped from; unit square."""
    assert batch.labelled is not None
    apart = (batch.labelled[1][:, None] - SHAPES[:5]).norm(dim=-1).mean(-1)  # (B, 5)
    return float(apart.min(1).values.max())


def test_annotated_images_are_warped_less() -> None:
    sizes = (1.0, 0.2, 0.0)
    far, near, still = (
        moved_by(drawn(settings(finetune__warp_scale=size, finetune__mirror=False), finetune=True)) for size in sizes
    )
    assert far > 3 * near > 0.01
    assert still < 1e-6
    before, unchanged = drawn(settings(), finetune=False), drawn(settings(finetune__warp_scale=1), finetune=True)
    assert moved_by(before) == moved_by(unchanged)


@pytest.mark.parametrize("mirror", [True, False])
def test_annotated_images_are_mirrored_if_wanted(mirror: bool) -> None:
    batch = drawn(settings(finetune__mirror=mirror, finetune__warp_scale=0), finetune=True)
    assert (moved_by(batch) > 1e-3) == mirror  # a mirrored shape is none of the five


def test_unlabelled_images_are_drawn_as_ever() -> None:
    before, after = (
        drawn(settings(finetune__warp_scale=0, finetune__mirror=False), finetune=finetune).views for finetune in (False, True)
    )
    assert before is not None and after is not None
    assert torch.equal(before.view2, after.view2)


def test_it_begins_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, genuine = [], BatchSource.batch

    def batch(self: BatchSource, iteration: int, *, finetune: bool = False) -> Batch:
        asked.append(finetune)
        return genuine(self, iteration, finetune=finetune)

    monkeypatch.setattr(BatchSource, "batch", batch)
    run(settings())
    assert asked == [False] * 3 + [True] * 3
    assert not is_finetuning(0.999, settings(finetune__fraction=0))
    assert is_finetuning(0.0, settings(finetune__fraction=1))


@pytest.mark.parametrize("stopped_after", [2, 3, 5])
def test_a_run_taken_up_beside_the_boundary_goes_on_bit_for_bit(
    stopped_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupt_after: Callable[..., None]
) -> None:
    config = settings(labelled__batch_size=4)
    whole = run(config)
    with monkeypatch.context() as patch:
        interrupt_after(patch, stopped_after)
        assert not run(config, directory=tmp_path).finished
    resumed = run(config, directory=tmp_path, resume=True).model.state_dict()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.model.state_dict().items())
