"""Two processes that train together are one process with the whole batch.

This file is also the program that the two processes run: each of them trains every case below, one after the other.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import brule.tracking.log as run_logging
import brule.training.loop as loop
from brule.coordinates import pixel_centres
from brule.data.shapes import to_crop
from brule.data.synthetic import synthetic_faces
from brule.errors import BruleError, ConfigError
from brule.tensors import read_safetensors
from brule.tracking.run_files import CHECKPOINT
from brule.training.batches import LabelledImages
from brule.training.config import TrainingConfig, load_config
from brule.training.distributed import SINGLE, Distributed, check_shares, join_distributed

FACES = synthetic_faces(16, size=32)
SHAPES = torch.stack([torch.as_tensor(to_crop(points)) for points in FACES.points[:10]]).double()
TINY = {
    "crop.image_size": 32,
    "crop.context": 1.0,
    "encoder.width": 8,
    "encoder.stacks": 1,
    "encoder.depth": 2,
    "encoder.stem_stride": 2,
    "batch_size": 8,  # four images a process: the group of the discriminator's minibatch statistics
    "iterations": 4,
    "time_limit": 0,
    "checkpoint_every": 2,
    "preview_every": 0,
    "log_every": 1,
    "precision": "float32",
    "compile": False,
    "threads": 1,
    "decoder.width": 4,
    "decoder.max_width": 8,
    "decoder.style_dim": 8,
    "decoder.noise_dim": 8,
    "decoder.mapping_depth": 2,
    "ema.write_back_every": 3,
}
SHORT = {"iterations": 3}
FAKES = {"loss.fakes": 0.5, "gan.penalty_every": 2}
CASES: dict[str, tuple[str, dict[str, Any], bool]] = {  # preset, settings, with labels
    "encoder": ("cpu", {"split": 1}, False),  # parts would have statistics of their own
    "paper": ("paper", {**SHORT, "gan.penalty_every": 1, "loss.landmark_reconstruction": 20.0}, False),
    "gpu": ("gpu", {**SHORT, **FAKES, "gan.enabled": True, "labelled.batch_size": 4}, True),
    "alternating": ("paper", {**SHORT, "gan.enabled": False, "labelled.every": 2, "labelled.together": False}, True),
}
LEARNING = {"optimizer.learning_rate": 1e-3, "gan.style_rate": 1e-3}
LONG = {"iterations": 6, "ema.write_back_every": 0}


def settings(case: str, **changes: Any) -> TrainingConfig:
    preset, own, _ = CASES[case]
    return load_config(preset, TINY | LEARNING | own | {key.replace("__", "."): value for key, value in changes.items()})


def labels() -> LabelledImages:
    """Images with missing landmarks, far more of them in some than in others."""
    points = torch.stack([torch.as_tensor(to_crop(points)) for points in FACES.points[:6]]).double()
    for index in range(6):
        points[index, : 11 * index] = float("nan")
    return LabelledImages(FACES.images[:6], points)


def run(config: TrainingConfig, directory: Path, case: str = "encoder", **keywords: Any) -> Any:
    own = {"labelled": labels()} if CASES[case][2] else {}
    return loop.train(FACES.images, SHAPES.mean(0), config, shapes=SHAPES, directory=directory, quiet=True, **own, **keywords)


def disturb(iteration: int, what: Callable[[Any], object]) -> None:
    """Do something in the middle of an iteration, given what the step is given."""
    genuine, done = loop.encoder_step, []

    def step(*given: Any, **keywords: Any) -> dict[str, float]:
        done.append(1)
        if len(done) == iteration:
            loop.encoder_step = genuine
            what(given)
        return genuine(*given, **keywords)

    loop.encoder_step = step


def spoil(given: Any) -> None:
    given[0].views.view2[0] = float("nan")


def in_both(root: Path) -> None:
    """What each of the two processes does."""
    second = os.environ["RANK"] == "1"
    for case in CASES:
        trained = run(settings(case), root / case, case)
        torch.save(trained.model.state_dict(), root / f"{case}-{os.environ['RANK']}.pt")
    if second:
        disturb(3, lambda _: signal.raise_signal(signal.SIGINT))
    stopped = run(settings("encoder", **LONG), root / "two-one")
    run(settings("encoder", **LONG), root / "one-two", resume=True)
    said = [f"{stopped.finished} {stopped.progress.iteration}"]
    for number, batch in ((4, 8), (1, 7)):
        if second:
            disturb(number, spoil)
        try:
            run(settings("encoder", batch_size=batch), root / f"refused-{batch}")
        except BruleError as error:
            said.append(f"{type(error).__name__}: {error}")
        loop.encoder_step = GENUINE
    own = FACES.images[: 16 - second]
    try:
        loop.train(own, SHAPES.mean(0), settings("encoder"), shapes=SHAPES, quiet=True)
    except BruleError as error:
        said.append(f"{type(error).__name__}: {error}")
    (root / f"said-{os.environ['RANK']}.json").write_text(json.dumps(said))


GENUINE = loop.encoder_step


def prepare(patch: pytest.MonkeyPatch) -> None:
    """Compute in double precision, and spare TensorBoard's import.

    Sums over shares are rounded otherwise than sums over the batch. Adam makes full steps of what is rounding alone (the
    gradient of a bias before a softmax, say), and the paper's settings double small differences in every iteration.
    """
    patch.setattr(torch.Tensor, "float", torch.Tensor.double)
    patch.setitem(pixel_centres.__kwdefaults__, "dtype", torch.float64)
    patch.setattr(run_logging, "_tensorboard", lambda directory: None)
    torch.set_default_dtype(torch.float64)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    prepare(monkeypatch)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left behind."""
    pytest.importorskip("accelerate", reason="needs accelerate: pip install 'brule-landmarks[devices]'")
    root = tmp_path_factory.mktemp("two")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch)
        disturb(3, lambda _: signal.raise_signal(signal.SIGINT))
        run(settings("encoder", **LONG), root / "one-two")
    torch.set_default_dtype(torch.float32)
    signal.signal(signal.SIGINT, before)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(root)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=600)  # cores may be shared
        assert process.returncode == 0, errors
    return root


# Sums are added up in another order, and the iterations blow the difference up: the l1 norm's gradient jumps between -1 and 1.
ROUNDING = 1e-6


def losses(directory: Path) -> list[dict[str, float]]:
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    """Losses of every iteration; and weights, averages, running means and statistics of the checkpoint at the end."""
    assert len(losses(one)) == len(losses(other)) > 0
    for mine, theirs in zip(losses(one), losses(other), strict=True):
        assert theirs == pytest.approx(mine, rel=ROUNDING, abs=ROUNDING)
    (weights, _), (others, _) = (read_safetensors(place / CHECKPOINT) for place in (one, other))
    assert set(weights) == set(others)
    networks = {name: tensor.double() for name, tensor in weights.items() if not name.startswith("optimizer.")}
    apart = {name: float((tensor - others[name]).abs().max()) for name, tensor in networks.items()}
    assert max(apart.values()) < ROUNDING, sorted(apart.items(), key=lambda item: -item[1])[:5]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_one_with_the_whole_batch(case: str, two: Path, tmp_path: Path) -> None:
    run(settings(case), tmp_path / "one", case)
    assert_same_run(tmp_path / "one", two / case)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_process_ends_with_the_same_detector(case: str, two: Path) -> None:
    first, second = (torch.load(two / f"{case}-{rank}.pt") for rank in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.slow
def test_ctrl_c_in_one_process_stops_both_at_the_same_iteration(two: Path) -> None:
    assert [json.loads((two / f"said-{rank}.json").read_text())[0] for rank in range(2)] == ["False 3"] * 2
    assert len(losses(two / "two-one")) == 3


@pytest.mark.slow
def test_a_run_goes_on_with_more_or_fewer_processes(two: Path, tmp_path: Path) -> None:
    config = settings("encoder", **LONG)
    run(config, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", two / "one-two")
    run(config, two / "two-one", resume=True)
    assert_same_run(tmp_path / "whole", two / "two-one")


@pytest.mark.slow
def test_what_is_wrong_in_one_process_is_reported_by_both(two: Path) -> None:
    first, second = (json.loads((two / f"said-{rank}.json").read_text())[1:] for rank in range(2))
    assert first == second
    not_finite, uneven, other_files = first
    assert "TrainingError" in not_finite and "a predicted coordinate is nan" in not_finite and "intact" in not_finite
    assert "batch_size=7" in uneven and "2 processes" in uneven
    assert "number of images is 16 for process 0 and 15 for process 1" in other_files


@pytest.mark.slow
def test_the_checkpoint_before_outlives_a_loss_that_is_not_finite(two: Path, tmp_path: Path) -> None:
    run(settings("encoder"), tmp_path / "whole")
    run(settings("encoder"), two / "refused-8", resume=True)
    assert_same_run(tmp_path / "whole", two / "refused-8")


def test_the_shares_of_a_batch_are_the_batch() -> None:
    batch = torch.arange(12)
    shares = [Distributed(rank, 3).rows(batch) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()
    assert torch.equal(torch.stack([share[:2] for share in shares], 1).flatten(), batch[:6])  # first rows are first rows
    assert SINGLE.rows(batch) is batch


def test_a_batch_has_to_be_shared_out_evenly() -> None:
    check_shares(settings("gpu"), Distributed(0, 4))
    with pytest.raises(ConfigError, match=r"labelled\.batch_size=4"):
        check_shares(settings("gpu"), Distributed(0, 8))
    check_shares(settings("gpu", batch_size=7), SINGLE)


def test_one_process_needs_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)  # as if it weren't installed
    assert join_distributed("cpu") is SINGLE
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert join_distributed("cpu") is SINGLE  # set for something else: nobody said which of the two this is
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match=r"brule-landmarks\[devices\]"):
        join_distributed("cpu")


def test_batch_statistics_of_shares_are_those_of_the_batch() -> None:
    """With one process as the whole world: values, gradients and what is remembered are those of PyTorch's own."""
    from brule.networks.sync_norm import SynchronizedBatchNorm

    torch.manual_seed(0)
    plain, x = torch.nn.BatchNorm2d(3), 3 * torch.randn(4, 3, 5, 5) + 2
    torch.nn.init.uniform_(plain.weight)
    twin = SynchronizedBatchNorm(torch.nn.BatchNorm2d(3), SINGLE.mean, count=1)
    twin.load_state_dict(plain.state_dict())
    results = []
    for norm in (plain, twin):
        given = x.clone().requires_grad_()
        out = norm(given)
        out.pow(3).sum().backward()
        results.append([out, given.grad, norm.weight.grad, *(buffer.float() for buffer in norm.buffers()), norm.eval()(x)])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    prepare(pytest.MonkeyPatch())
    in_both(Path(sys.argv[1]))
