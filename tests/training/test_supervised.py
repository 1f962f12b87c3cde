"""Learning from annotated images: alone, alternating, and in one batch with the unlabelled ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from brule.data.synthetic import synthetic_faces
from brule.errors import DataError, TrainingError
from brule.geometry import ShapeModel, mirror_permutation
from brule.tensors import to_input
from brule.training.batches import Batch, LabelledImages, labelled_indices
from brule.training.config import TrainingConfig
from brule.training.loop import train
from brule.training.run import build_shape_model, start_run
from brule.training.sections import Augmentation
from brule.training.state import TrainingResult, TrainingState
from brule.training.steps import Step, supervised_step
from brule.training.views import draw_labelled
from tests.training.tiny import ONE_STACK, RUN, settings_from, shapes_of

FACES = synthetic_faces(12, size=32)
SHAPES = shapes_of(FACES)
IMAGES = to_input(torch.from_numpy(FACES.images))
TINY = {
    **ONE_STACK,
    **RUN,
    "crop.context": 1.0,
    "iterations": 6,
    "precision": "float32",
    "gan.enabled": False,
    "loss.sigma": 1.5,
}


settings = settings_from(TINY)


def run(
    config: TrainingConfig, *, unlabelled: bool = True, directory: Path | None = None, **keywords: object
) -> TrainingResult:
    labels = LabelledImages(FACES.images[:5], SHAPES[:5])
    images = FACES.images if unlabelled else None
    return train(images, SHAPES.mean(0), config, labelled=labels, shapes=SHAPES, directory=directory, quiet=True, **keywords)


def begun(config: TrainingConfig) -> TrainingState:
    return start_run(build_shape_model(SHAPES.mean(0), SHAPES, config, indexed=True), config)


def learn(state: TrainingState, images: torch.Tensor, points: torch.Tensor) -> dict[str, float]:
    return supervised_step(Step(state, Batch(None, (images, points))))


def terms_of(directory: Path) -> list[set[str]]:
    return [set(json.loads(line)) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("preset", "rate"), [("cpu", 3e-3), ("paper", 3e-4)])
def test_it_overfits_one_annotated_batch(preset: str, rate: float) -> None:
    state = begun(settings(preset, optimizer__learning_rate=rate, optimizer__beta1=0.9, optimizer__beta2=0.999))
    images, points = IMAGES[:4], SHAPES[:4]
    before = (state.model(images).points - points).norm(dim=-1).mean()
    for _ in range(120):
        learn(state, images, points)
    after = (state.model(images).points - points).norm(dim=-1).mean()
    assert after < 0.35 * before


def test_it_changes_the_encoder_and_nothing_else() -> None:
    state = begun(settings())
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    terms = learn(state, IMAGES[:4], SHAPES[:4])
    changed = {name for name, tensor in state.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("encoder.") for name in changed)
    assert set(terms) == {"labels"}


def test_both_of_its_terms_can_be_had() -> None:
    state = begun(settings(labelled__heatmap=10, labelled__distance=2))
    assert set(learn(state, IMAGES[:4], SHAPES[:4])) == {"labels", "labels H"}


@pytest.mark.parametrize("preset", ["cpu", "paper"])
def test_a_missing_landmark_teaches_nothing(preset: str) -> None:
    """Whatever stands for it, zeros or NaN: the gradient of its own output is zero, that of the others isn't."""
    state = begun(settings(preset))
    points = SHAPES[:4].clone()
    points[:, 10] = float("nan")
    outputs: list[torch.Tensor] = []

    def keep(_: object, __: object, output: object) -> None:
        output.points.retain_grad()
        outputs.append(output.points)

    state.model.encoder.register_forward_hook(keep)
    learn(state, IMAGES[:4], points)
    gradient = outputs[0].grad.norm(dim=-1)
    if preset == "cpu":  # on a heatmap, the lines from a missing landmark to others remain, but on both sides alike
        assert gradient[:, 10].max() == 0
    assert gradient[:, 30].min() > 0


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(TrainingError, match="labels"):
        learn(begun(settings()), IMAGES[:2] * float("nan"), SHAPES[:2])


def test_landmarks_move_with_the_image() -> None:
    """Images that hold their own x and y as colours: at a moved landmark the colour is that of its old place."""
    config = settings(**{f"augmentation__{name}": 0 for name in Augmentation.model_fields})
    axis = (torch.arange(32) + 0.5) / 32
    ramp = torch.stack([axis.expand(32, 32), axis[:, None].expand(32, 32), torch.zeros(32, 32)]).expand(6, 3, 32, 32)
    points = 0.35 + 0.3 * torch.rand(6, 68, 2, generator=torch.Generator().manual_seed(0))
    still = ShapeModel(SHAPES.mean(0, keepdim=True))
    images, moved = draw_labelled(ramp, points, still, config=config, generator=torch.Generator().manual_seed(1))
    inside = ((moved > 0.1) & (moved < 0.9)).all(-1)
    found = _colours(images, moved)
    assert inside.float().mean() > 0.5
    assert (found - points)[inside].abs().max() < 0.03


def _colours(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    found = torch.nn.functional.grid_sample(images, points[:, :, None] * 2 - 1, align_corners=False)
    return found[:, :2, :, 0].transpose(1, 2)


def test_missing_landmarks_stay_missing_when_indices_are_swapped() -> None:
    mirror = mirror_permutation(SHAPES.mean(0))
    assert mirror is not None
    points = SHAPES[:8].clone()
    points[:, 0] = float("nan")
    shape_model = ShapeModel(SHAPES.mean(0, keepdim=True), mirror=mirror)
    _, moved = draw_labelled(IMAGES[:8], points, shape_model, config=settings(), generator=torch.Generator().manual_seed(0))
    gone = moved.isnan().any(-1)
    assert gone.sum(1).tolist() == [1] * 8
    assert set(gone.float().argmax(1).tolist()) == {0, int(mirror[0])}


def test_every_annotated_image_comes_equally_often() -> None:
    config = settings(labelled__batch_size=3)
    drawn = np.concatenate([labelled_indices(5, turn, config) for turn in range(10)])
    assert np.bincount(drawn, minlength=5).tolist() == [6] * 5
    assert len(labelled_indices(2, 0, config)) == 3  # fewer images than a batch: they come again


@pytest.mark.parametrize("together", [True, False])
def test_both_kinds_of_images_teach(together: bool, tmp_path: Path) -> None:
    run(settings(labelled__together=together, labelled__every=2, labelled__start=0), directory=tmp_path)
    assert ["labels" in terms for terms in terms_of(tmp_path)] == [True, False] * 3
    assert all("equivariance" in terms for terms in terms_of(tmp_path))


def test_annotated_images_alone_teach_too(tmp_path: Path) -> None:
    run(settings(labelled__every=2), unlabelled=False, directory=tmp_path)
    assert all("labels" in terms and "equivariance" not in terms for terms in terms_of(tmp_path))


@pytest.mark.parametrize("unlabelled", [True, False])
def test_a_run_with_labels_is_taken_up_exactly(unlabelled: bool, tmp_path: Path) -> None:
    # Nothing that depends on the run's length; labels begin with the second iteration of either.
    steady = {"optimizer__schedule": "constant", "loss__anneal_until": 0, "labelled__start": 0.1, "teacher__regress": 0}
    run(settings(iterations=3, **steady), unlabelled=unlabelled, directory=tmp_path)
    longer = settings(**steady)
    resumed = run(longer, unlabelled=unlabelled, directory=tmp_path, resume=True)
    whole = run(longer, unlabelled=unlabelled)
    assert all(torch.equal(tensor, resumed.model.state_dict()[name]) for name, tensor in whole.model.state_dict().items())


def test_labels_say_which_landmark_is_which() -> None:
    """Where the paper's preset would reorder by transport, annotated images rule."""
    trained = run(settings("paper"))
    assert torch.equal(trained.model.order, torch.arange(68))


def test_something_to_learn_from_is_needed() -> None:
    with pytest.raises(DataError, match="got neither"):
        train(None, SHAPES.mean(0), settings(), quiet=True)
