"""Landmarks moved to where their surroundings look as in the other images."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from brule.data.synthetic import synthetic_faces
from brule.geometry import ShapePrior
from brule.networks import FinalRegression, LocalRegression
from brule.networks import local_regression as regressions
from brule.networks.local_regression import image_slopes
from brule.tensors import read_safetensors, to_input
from brule.tracking.run_files import CHECKPOINT
from brule.training import local_regression
from brule.training.config import load_config
from brule.training.local_regression import STAGES, learn_final_regression, learn_regression, regressed, teacher_slopes
from brule.training.loop import train
from brule.training.run import build_model, build_shape_model
from brule.training.state import TrainingResult
from tests.training.tiny import ENCODER, RUN, shapes_of

FACES = synthetic_faces(300, size=64)
SHAPES = (torch.from_numpy(FACES.points) + 0.5) / 64  # in the unit square of the whole images, which are the crops here
CROPS = to_input(torch.from_numpy(FACES.images))
SETTINGS = {**ENCODER, **RUN, "crop.context": 1.0, "crop.image_size": 64, "iterations": 8, "precision": "float32"}
FEW = synthetic_faces(40, size=32)
LEARNT, UNSEEN = slice(0, 200), slice(200, 300)


def prior_of(shapes: Tensor = SHAPES) -> ShapePrior:
    return ShapePrior.fit(shapes)


def fitted(
    found: Tensor, monkeypatch: pytest.MonkeyPatch, *, seed: int = 0, prior: ShapePrior | None = None
) -> LocalRegression:
    """What is learnt if the teacher finds these landmarks ``(200, N, 2)`` in the first 200 faces."""
    config = load_config("cpu", SETTINGS)
    monkeypatch.setattr(
        local_regression, "predict_crops", lambda teacher, images, config, chosen: [(CROPS[LEARNT][chosen], found[chosen])]
    )
    regression = LocalRegression(found.shape[1], stages=STAGES)
    learn_regression(
        regression, build_model(SHAPES[0], config), FACES.images[LEARNT], prior=prior or prior_of(), config=config,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    return regression


def wrong() -> Tensor:
    """Landmarks of all faces, each face deformed at random in a way that its shape alone doesn't give away."""
    return SHAPES + prior_of().sample(len(SHAPES), strength=0.4, generator=torch.Generator().manual_seed(5))


def distance(points: Tensor, truth: Tensor) -> float:
    """The mean distance, apart from what all faces have in common."""
    apart = points - truth
    return float((apart - apart.mean(0)).norm(dim=-1).mean())


@pytest.mark.parametrize("part", [LEARNT, UNSEEN], ids=["learnt from", "unseen"])
def test_landmarks_come_nearer_to_the_truth_without_any_label(part: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    found = wrong()
    refined = regressed(fitted(found[LEARNT], monkeypatch), found[part], CROPS[part], prior=prior_of())
    denoised = prior_of().denoise(found[part], noise=0.015)
    assert distance(refined, SHAPES[part]) < 0.8 * distance(found[part], SHAPES[part])
    assert distance(refined, SHAPES[part]) < 0.9 * distance(denoised, SHAPES[part])  # more than the shape alone would show


def test_the_mean_stays_where_the_prior_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = wrong() + torch.tensor([0.03, -0.02])
    regression = fitted(found[LEARNT], monkeypatch)
    centred = found[LEARNT] - found[LEARNT].mean(0) + prior_of().mean
    moved = regressed(regression, centred, CROPS[LEARNT], prior=prior_of())
    assert (moved - centred).norm(dim=-1).mean() > 2e-3
    assert (moved.mean(0) - prior_of().mean).norm(dim=-1).mean() < 2e-4


def test_a_mean_that_has_moved_since_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The surroundings must not lead back to where the landmarks were when they were learnt."""
    found, shift = wrong()[UNSEEN], 0.01 * torch.randn(68, 2, generator=torch.Generator().manual_seed(3))
    regression = fitted(wrong()[LEARNT], monkeypatch)
    before = regressed(regression, found, CROPS[UNSEEN], prior=prior_of())
    after = regressed(regression, found + shift, CROPS[UNSEEN], prior=prior_of().moved(shift))
    assert torch.allclose(after - before, shift.expand_as(after), atol=1e-5)


def test_doubles_stay_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    found = wrong()[UNSEEN]
    regression = fitted(wrong()[LEARNT], monkeypatch)
    there = regressed(regression, found.double(), CROPS[UNSEEN].double(), prior=prior_of())
    assert there.dtype == torch.float64
    assert torch.allclose(there.float(), regressed(regression, found, CROPS[UNSEEN], prior=prior_of()))


def test_the_same_seed_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = wrong()[LEARNT]
    first, same, other = (fitted(found, monkeypatch, seed=seed).weights for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_turned_images_are_moved_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    found, weights = wrong()[UNSEEN], fitted(wrong()[LEARNT], monkeypatch).weights[0]

    def way(points: Tensor, crops: Tensor) -> Tensor:
        frames = regressions._frames(points, prior_of().mean)
        return regressions._way(regressions._surroundings(teacher_slopes(crops), points, frames), weights)

    # A quarter turn is exact on the grid of pixels, and a multiple of the angle between two directions.
    turned = torch.stack([found[..., 1], 1 - found[..., 0]], -1)
    there = way(turned, torch.rot90(CROPS[UNSEEN], 1, (2, 3)))
    assert there.norm(dim=-1).mean() > 1e-3
    assert torch.allclose(there, way(found, CROPS[UNSEEN]), atol=1e-4)


def test_frames_are_rotation_and_scale() -> None:
    mean = SHAPES.mean(0)
    angle, scale = 0.4, 1.3
    turn = scale * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    frames = regressions._frames((mean @ turn.T + 0.1)[None], mean)
    assert torch.allclose(frames[0], turn, atol=1e-5)


def test_a_single_landmark_is_as_the_image_is() -> None:
    assert torch.equal(regressions._frames(SHAPES[:3, :1], SHAPES[0, :1]), torch.eye(2).expand(3, 2, 2))


def test_surroundings_know_directions_and_no_contrast() -> None:
    image = torch.full((1, 1, 64, 64), -0.2)
    image[..., 32:] = 0.2  # brighter to the right
    slopes, point, upright = image_slopes(image), torch.full((1, 1, 2), 0.5), torch.eye(2)[None]
    assert slopes.shape == (1, 2, 64, 64)
    around = regressions._surroundings(slopes, point, upright)[0, 0]
    *directions, one = around[:-1].view(8, 25).mean(1).tolist(), around[-1].item()
    assert one == 1
    assert max(range(8), key=directions[0].__getitem__) == 0
    assert directions[0][3:6] == [0, 0, 0]  # the opposite direction and its neighbours
    assert torch.allclose(image_slopes(2 * image + 0.1), slopes, atol=1e-4)
    below = regressions._surroundings(image_slopes(image.transpose(2, 3)), point, upright)[0, 0, :-1].view(8, 25).mean(1)
    assert below.argmax() == 2


@pytest.mark.parametrize("size", [32, 96])
def test_a_teacher_looks_at_one_size(size: int) -> None:
    assert teacher_slopes(torch.rand(2, 3, size, size)).shape == (2, 2, 64, 64)


@pytest.mark.parametrize(
    ("size", "looked_at"), [(32, 64), (64, 128), (96, 192), (128, 128), (192, 192), (256, 128), (400, 133)]
)
def test_a_prediction_looks_at_about_128_pixels(size: int, looked_at: int) -> None:
    assert FinalRegression.slopes(torch.rand(1, 3, size, size)).shape == (1, 2, looked_at, looked_at)


def test_a_uniform_image_has_no_slope() -> None:
    assert not image_slopes(torch.full((1, 1, 64, 64), 0.7)).any()


def run(path: Path, *, resume: bool = False, **changes: object) -> TrainingResult:
    settings = {"crop.image_size": 32, **{name.replace("__", "."): value for name, value in changes.items()}}
    shapes = shapes_of(FEW)[:5]
    config = load_config("cpu", SETTINGS | settings)
    return train(FEW.images, shapes.mean(0), config, shapes=shapes, directory=path, quiet=True, resume=resume)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The mean that each learning of a run starts from."""
    means: list[Tensor] = []
    genuine = LocalRegression.fit

    def noted(self: LocalRegression, *arguments: Any, mean: Tensor, **keywords: Any) -> None:
        means.append(mean)
        genuine(self, *arguments, mean=mean, **keywords)

    monkeypatch.setattr(LocalRegression, "fit", noted)
    return means


def test_it_is_learnt_four_times(fits: list[Tensor], tmp_path: Path) -> None:
    run(tmp_path, teacher__regress=0.5)
    assert len(fits) == 4
    tensors, _ = read_safetensors(tmp_path / CHECKPOINT)
    assert tensors["regression/weights"].any()
    assert torch.allclose(tensors["regression/mean"], fits[-1])


def test_it_changes_what_is_learnt(tmp_path: Path) -> None:
    with_it, without = (run(tmp_path / str(fraction), teacher__regress=fraction, teacher__align=0.0) for fraction in (0.5, 0.0))
    assert without.progress.regressions == 0
    pairs = zip(with_it.model.parameters(), without.model.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)
    assert not any("regression" in name for name in read_safetensors(tmp_path / "0.0" / CHECKPOINT)[0])


@pytest.mark.parametrize(("after", "learnt"), [(5, 2), (6, 3)], ids=["before it is learnt again", "before it is used again"])
def test_a_resumed_run_goes_on_as_an_unbroken_one(
    after: int, learnt: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupt_after: Callable[..., None]
) -> None:
    whole = run(tmp_path / "whole", teacher__regress=0.25)
    with monkeypatch.context() as patch:
        interrupt_after(patch, after)
        assert run(tmp_path / "parts", teacher__regress=0.25).progress.regressions == learnt
    resumed = run(tmp_path / "parts", teacher__regress=0.25, resume=True)
    assert resumed.progress.regressions == 4
    theirs = whole.model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in resumed.model.state_dict().items())


def test_a_run_that_is_made_longer_learns_it_again(fits: list[Tensor], tmp_path: Path) -> None:
    run(tmp_path, teacher__regress=0.25)
    before = len(fits)
    run(tmp_path, teacher__regress=0.25, iterations=16, resume=True)
    assert len(fits) == before + 2  # at 62.5 and 81 %


@pytest.mark.parametrize("changes", [{"teacher__centre": False}, {"teacher__plain": False}, {"warp__both": True}])
def test_it_works_with_other_settings(changes: dict[str, object], tmp_path: Path) -> None:
    assert run(tmp_path, teacher__regress=0.5, **changes).finished


def test_two_threads_learn_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's batched solver hangs with two threads on some CPUs."""
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(fitted(wrong()[LEARNT], monkeypatch).weights)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(*found, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_landmarks(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found, prior = wrong()[:, 36 : 36 + count], prior_of(SHAPES[:, 36 : 36 + count])
    regression = fitted(found[LEARNT], monkeypatch, prior=prior)
    assert regressed(regression, found[UNSEEN], CROPS[UNSEEN], prior=prior).isfinite().all()


def test_without_shapes_there_is_nothing_to_learn(tmp_path: Path) -> None:
    config = load_config("cpu", SETTINGS | {"crop.image_size": 32, "loss.barycenter": 1.0})
    mean = shapes_of(FEW)[:5].mean(0)
    assert build_shape_model(mean, None, config).prior is None
    assert train(FEW.images, mean, config, quiet=True).progress.regressions == 0


def final_of(found: Tensor, monkeypatch: pytest.MonkeyPatch, **settings: object) -> FinalRegression | None:
    """What is learnt at the end of training, if these landmarks are found in the first faces."""
    config = load_config("cpu", SETTINGS | settings)
    monkeypatch.setattr(
        local_regression, "predict_crops", lambda model, images, config, chosen: [(CROPS[: len(found)][chosen], found[chosen])]
    )
    return learn_final_regression(
        build_model(SHAPES[0], config), FACES.images[: len(found)], prior=prior_of(), config=config,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def test_predictions_end_nearer_to_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    found = wrong()
    final = final_of(found[LEARNT], monkeypatch)
    assert final is not None
    moved = final(found[UNSEEN], CROPS[UNSEEN])
    assert distance(moved, SHAPES[UNSEEN]) < 0.9 * distance(found[UNSEEN], SHAPES[UNSEEN])


def test_the_share_is_how_far_predictions_move(monkeypatch: pytest.MonkeyPatch) -> None:
    found = wrong()
    half, whole = (final_of(found[LEARNT], monkeypatch, **{"teacher.regress_final": share}) for share in (0.5, 1.0))
    assert half is not None
    assert whole is not None
    ways = [final(found[UNSEEN], CROPS[UNSEEN]) - found[UNSEEN] for final in (half, whole)]
    assert ways[1].abs().mean() > 1e-3
    assert torch.allclose(2 * ways[0], ways[1], atol=1e-6)


def test_too_few_images_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert final_of(wrong()[:199], monkeypatch) is None
    assert final_of(wrong()[:200], monkeypatch) is not None
    assert final_of(wrong()[:200], monkeypatch, **{"teacher.regress_final": 0.0}) is None


@pytest.fixture
def enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_regression, "_MIN_IMAGES", 1)


@pytest.mark.usefixtures("enough")
def test_a_finished_run_ends_with_it_and_its_checkpoint_has_none(tmp_path: Path) -> None:
    trained = run(tmp_path, teacher__regress=0.5)
    assert trained.model.final is not None
    assert trained.model.final.regression.weights.any()
    assert not any("final" in name for name in read_safetensors(tmp_path / CHECKPOINT)[0])
    assert run(tmp_path / "without", teacher__regress=0.0).model.final is None


@pytest.mark.usefixtures("enough")
def test_a_run_that_is_interrupted_has_none_yet(tmp_path: Path, interrupt_after: Callable[..., None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 5)
        assert run(tmp_path, teacher__regress=0.25).model.final is None
    assert run(tmp_path, teacher__regress=0.25, resume=True).model.final is not None


@pytest.mark.usefixtures("enough")
def test_a_longer_run_trains_without_it(tmp_path: Path) -> None:
    run(tmp_path / "short", teacher__regress=0.25)
    longer = run(tmp_path / "short", teacher__regress=0.25, iterations=16, resume=True)
    assert longer.model.final is not None
    again = run(tmp_path / "short", teacher__regress=0.25, iterations=16, resume=True)  # finished already: learnt once more
    theirs = longer.model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in again.model.state_dict().items())
