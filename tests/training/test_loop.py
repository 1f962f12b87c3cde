"""The loop: every image in turn, exact resumption, Ctrl-C, and what is left behind."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import brule.training.batches as source
import brule.training.loop as loop
import brule.training.run as run_state
from brule.data.synthetic import synthetic_faces
from brule.errors import CheckpointError, ConfigError, DataError, TrainingError
from brule.tracking.run_files import CHECKPOINT
from brule.training.batches import batch_indices
from brule.training.config import TrainingConfig
from brule.training.loop import train
from brule.training.run import build_model, build_shape_model, start_run
from brule.training.schedule import lr_scale
from brule.training.sections import Weight
from brule.training.state import TrainingResult, TrainingState
from brule.training.steps import Step
from tests.training.tiny import DECODER, ONE_STACK, RUN, settings_from, shapes_of

pytestmark = pytest.mark.usefixtures("interruptible")

Interrupt = Callable[..., None]
FACES = synthetic_faces(16, size=48)
SHAPES = shapes_of(FACES, 10)
TINY = {
    **ONE_STACK,
    **DECODER,
    **RUN,
    "crop.context": 1.5,
    "iterations": 6,
    "checkpoint_every": 100,
    "ema.write_back_every": 3,
    "decoder.image_size": 0,
    "decoder.max_width": 8,
}


settings = settings_from(TINY)


def run(config: TrainingConfig, directory: Path | None = None, **keywords: Any) -> TrainingResult:
    if directory is not None:
        directory.mkdir(exist_ok=True)
    return train(FACES.images, SHAPES.mean(0), config, shapes=SHAPES, directory=directory, quiet=True, **keywords)


def begun(config: TrainingConfig) -> TrainingState:
    return start_run(build_shape_model(SHAPES.mean(0), SHAPES, config), config)


def losses(directory: Path) -> list[dict[str, float]]:
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def losses_of(config: TrainingConfig) -> set[str]:
    with tempfile.TemporaryDirectory() as directory:
        run(config, Path(directory))
        return set(losses(Path(directory))[-1])


def same_weights(first: TrainingResult, second: TrainingResult) -> bool:
    theirs = second.model.state_dict()
    equal = all(torch.equal(tensor, theirs[name]) for name, tensor in first.model.state_dict().items())
    if first.decoder is None or second.decoder is None:
        return equal and first.decoder is second.decoder
    theirs = second.decoder.state_dict()
    return equal and all(torch.equal(tensor, theirs[name]) for name, tensor in first.decoder.state_dict().items())


@pytest.mark.parametrize("preset", ["cpu", "paper"])
def test_a_run_taken_up_after_ctrl_c_goes_on_bit_for_bit(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupt_after: Interrupt
) -> None:
    config = settings(preset)
    whole = run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        stopped = run(config, tmp_path / "parts")
    assert not stopped.finished
    assert stopped.progress.iteration == 4
    resumed = run(config, tmp_path / "parts", resume=True)
    assert resumed.finished
    assert resumed.progress.iteration == whole.progress.iteration == 6
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert same_weights(resumed, whole)


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the log behind the checkpoint are written again, and not twice."""
    config = settings(checkpoint_every=2, gan__enabled=False)  # one network, so one average an iteration
    whole = run(config, tmp_path / "whole")

    def killed(*arguments: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        genuine, done = loop.accumulate_weights, []

        def fail_at_the_fourth(*arguments: Any, **keywords: Any) -> None:
            done.append(1)
            killed() if len(done) == 4 else genuine(*arguments, **keywords)

        patch.setattr(loop, "accumulate_weights", fail_at_the_fourth)
        with pytest.raises(MemoryError):
            run(config, tmp_path / "parts")
    resumed = run(config, tmp_path / "parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert same_weights(resumed, whole)


def test_the_second_ctrl_c_interrupts_at_once(monkeypatch: pytest.MonkeyPatch, interrupt_after: Interrupt) -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupt_after(monkeypatch, 2, times=2)
    with pytest.raises(KeyboardInterrupt):
        run(settings())
    assert signal.getsignal(signal.SIGINT) is before


def test_afterwards_ctrl_c_is_again_what_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    run(settings(iterations=1))
    assert signal.getsignal(signal.SIGINT) is before


def test_the_same_seed_gives_the_same_run_and_another_does_not() -> None:
    first, again, other = run(settings()), run(settings()), run(settings(seed=1))
    assert same_weights(first, again)
    assert not same_weights(first, other)


def test_every_seed_has_warps_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds far apart and near: what is drawn in an iteration depends on all of (seed, iteration)."""
    drawn, genuine = [], source.draw_augmented_pair

    def spy(*arguments: Any, **keywords: Any) -> Any:
        views = genuine(*arguments, **keywords)
        drawn.append(tuple(views.warp.shift.flatten().tolist()))
        return views

    monkeypatch.setattr(source, "draw_augmented_pair", spy)
    for seed in (0, 1, 2**20):
        run(settings(iterations=2, seed=seed))
    assert len(drawn) >= 6 and len(set(drawn)) == len(drawn)  # a further one may have been drawn ahead


def test_global_randomness_is_neither_used_nor_changed() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    first = run(settings(iterations=2))
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    assert same_weights(first, run(settings(iterations=2)))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_every_epoch_shows_every_image_once_in_another_order() -> None:
    config = settings()
    epochs = [np.concatenate([batch_indices(16, 4 * epoch + k, config) for k in range(4)]) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(16)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert all(len(batch_indices(18, k, config)) == 4 for k in range(30))


def test_the_learning_rate_rises_and_falls() -> None:
    config = settings(optimizer__warmup=10, optimizer__schedule="cosine")
    assert lr_scale(0, 0.0, config) == pytest.approx(0.1)
    assert lr_scale(100, 0.5, config) == pytest.approx(0.5)
    assert lr_scale(100, 1.0, config) == pytest.approx(0.0, abs=1e-12)
    assert lr_scale(100, 0.9, settings("paper")) == 1.0


def test_every_network_learns_at_its_own_rate() -> None:
    config = settings("paper", gan__generator_rate=3e-4, gan__style_rate=2e-5, gan__discriminator_rate=1e-4)
    state = begun(config)
    rates = {name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in state.optimizers.items()}
    assert rates == {"encoder": [2e-5], "decoder": [3e-4, 2e-5], "discriminator": [1e-4]}


def test_what_is_switched_off_is_not_there() -> None:
    bare = begun(settings("paper", gan__enabled=False))
    assert set(bare.modules) == {"model", "ema", "means"}
    assert set(bare.optimizers) == {"encoder"}
    blind = begun(settings("paper", gan__adversarial=0))
    assert set(blind.modules) == {"model", "ema", "means", "decoder", "decoder_ema"}
    assert set(blind.optimizers) == {"encoder", "decoder"}
    assert "L_g of E" not in losses_of(settings("paper", gan__adversarial=0, iterations=1))


def test_algorithm_1_and_its_penalty_come_at_their_intervals(tmp_path: Path) -> None:
    run(settings("paper", gan__every=2, gan__penalty_every=2), tmp_path)
    assert ["L_d" in line for line in losses(tmp_path)] == [True, False] * 3
    assert ["penalty" in line for line in losses(tmp_path)] == [True, False, False, False, True, False]


def test_a_weight_falls_or_grows_geometrically_to_its_value() -> None:
    weight = Weight(3.0, anneal_from=100, anneal_until=0.4)
    assert [weight.at(progress) for progress in (0.0, 0.2, 0.4, 1.0)] == pytest.approx([300, 30, 3, 3])
    weight = Weight(3.0, anneal_from=0.01, anneal_until=0.4)
    assert [weight.at(progress) for progress in (0.0, 0.2, 0.4, 1.0)] == pytest.approx([0.03, 0.3, 3, 3])
    assert Weight(3.0).at(0.0) == 3


def test_the_schedule_of_a_weight_is_followed(tmp_path: Path) -> None:
    """With R_b alone in the sum, the loss over R_b is its weight: 1 at the start, 0.1 from the middle on."""
    only = {"equivariance": 0, "shape_prior": 0, "population": 0, "mirror": False}
    weight = {"value": 0.1, "anneal_from": 10, "anneal_until": 0.5}
    run(
        settings(gan__enabled=False, loss__barycenter=weight, **{f"loss__{key}": value for key, value in only.items()}),
        tmp_path,
    )
    found = [line["loss"] / line["R_b"] for line in losses(tmp_path)]
    assert found == pytest.approx([1, 10 ** (-1 / 3), 10 ** (-2 / 3), 0.1, 0.1, 0.1], rel=1e-3)


def test_the_untrained_model_is_the_seeds() -> None:
    first, again, other = (build_model(SHAPES.mean(0), settings(seed=seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert any(not torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_the_result_is_the_average_in_the_barycenters_order() -> None:
    trained = run(settings())
    assert not trained.model.training
    assert sorted(trained.model.order.tolist()) == list(range(68))
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    apart = (trained.model.encode(images).points.mean(0) - SHAPES.mean(0)).norm(dim=-1)
    assert float(apart.mean()) < 0.1


@pytest.mark.parametrize("time", ["in the middle", "at the end"])
def test_outputs_that_changed_places_are_put_in_order(monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    """A model whose outputs come shuffled: every detector that is handed on puts them right."""
    shuffle = torch.randperm(68, generator=torch.Generator().manual_seed(0))
    genuine = run_state.build_model

    def shuffled(barycenter: torch.Tensor, config: TrainingConfig) -> Any:
        model = genuine(barycenter[shuffle], config)
        model.barycenter.copy_(barycenter)
        return model

    monkeypatch.setattr(run_state, "build_model", shuffled)
    handed_on: list[torch.Tensor] = []
    config = settings("paper", iterations=1 if time == "at the end" else 3, checkpoint_every=2, ema__write_back_every=0)
    run(config, on_checkpoint=lambda trained: handed_on.append(trained.model.order.clone()))
    assert handed_on
    assert all(torch.equal(order, torch.argsort(shuffle)) for order in handed_on)


def test_a_checkpoint_is_handed_on_when_due_and_at_the_end() -> None:
    handed_on: list[int] = []
    run(settings(checkpoint_every=4), on_checkpoint=lambda trained: handed_on.append(trained.progress.iteration))
    assert handed_on == [4, 6]


@pytest.mark.parametrize("decoder", [True, False])
def test_previews_show_crops_with_their_landmarks(decoder: bool, tmp_path: Path) -> None:
    drawn: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []
    config = settings(preview_every=3, gan__enabled=decoder)
    run(config, tmp_path, preview=lambda *given: drawn.append(given) or Image.new("RGB", (4, 4)))
    assert len(drawn) == 2
    crops, points, redrawn = drawn[0]
    assert (redrawn is not None) == decoder
    assert redrawn is None or (redrawn.shape == crops.shape and redrawn.dtype == np.uint8)
    assert sorted(path.name for path in (tmp_path / "previews").iterdir()) == ["000003.png", "000006.png"]
    assert crops.shape[1:] == (32, 32, 3)
    assert crops.dtype == np.uint8
    assert np.array_equal(crops[0], FACES.images[0, 8:-8, 8:-8])  # the central crop, bit for bit
    assert points.shape == (len(crops), 68, 2)


def test_time_is_a_limit_too() -> None:
    trained = run(settings(iterations=10_000, time_limit=1e-6))
    assert trained.finished
    assert trained.progress.iteration == 1


def test_a_loss_that_is_not_finite_leaves_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine, done = loop.encoder_step, []

    def step(given: Step) -> dict[str, float]:
        done.append(1)
        if len(done) == 4:
            given.views.view1[0] = given.views.view2[0] = float("nan")
        return genuine(given)

    config = settings(checkpoint_every=2)
    whole = run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "encoder_step", step)
        with pytest.raises(TrainingError):
            run(config, tmp_path / "parts")
    resumed = run(config, tmp_path / "parts", resume=True)
    assert same_weights(resumed, whole)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="batch_size = 17"):
        run(settings(batch_size=17))


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=CHECKPOINT):
        run(settings(), tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="directory"):
        run(settings(), resume=True)


def test_other_networks_cannot_resume(tmp_path: Path) -> None:
    run(settings(iterations=1), tmp_path)
    with pytest.raises(CheckpointError, match="networks are not those"):
        run(settings(iterations=2, encoder__width=16), tmp_path, resume=True)


def test_something_has_to_tie_the_landmarks_to_the_shape() -> None:
    config = settings(loss__shape_prior=0, loss__barycenter=0, loss__population=0)
    with pytest.raises(ConfigError, match="no term keeps the landmarks"):
        run(config)


def test_a_handler_that_is_not_pythons_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python knows it as ``None``, and can't install it again."""
    genuine, known, touched = signal.signal, signal.getsignal, []

    def install(number: int, handler: Any) -> Any:
        if number != signal.SIGTERM:
            return genuine(number, handler)
        touched.append(handler)
        if handler is None:
            raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
        return None

    monkeypatch.setattr(signal, "signal", install)
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGTERM else known(number))
    with loop._stop_signal():
        assert known(signal.SIGINT) is not signal.default_int_handler
    assert not touched and known(signal.SIGINT) is signal.default_int_handler
