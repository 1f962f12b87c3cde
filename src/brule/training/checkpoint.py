"""Checkpoints: one safetensors file, written atomically, from which a run goes on as if it had never stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from brule.errors import CheckpointError, OutputError
from brule.files import atomic_write
from brule.training.migration import current_state_name

FORMAT = "brule-checkpoint-1"
_OF_OPTIMIZER = "optimizer."  # before the name of one, so that it may be called like the network it moves


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        iteration: iterations done.
        elapsed: seconds spent in them, over all the times the run was taken up.
    """

    iteration: int = 0
    elapsed: float = 0.0


def save_checkpoint(
    path: Path, *, progress: Progress, modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer]
) -> None:
    """Write all the state of a run into one file; an interruption leaves the old file or the new one, never a mixture."""
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{_OF_OPTIMIZER}{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    metadata = {"format": FORMAT, "progress": json.dumps(progress.__dict__)}
    write_safetensors(path, tensors, metadata)


def load_checkpoint(path: Path, *, modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer]) -> Progress:
    """Read what :func:`save_checkpoint` wrote into the modules and optimizers, in place.

    Raises:
        CheckpointError: if the file is missing, damaged, or of a run with other networks.
    """
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected a checkpoint of brule ({FORMAT}), got format {metadata.get('format')!r}")
    tensors = {current_state_name(name): tensor for name, tensor in tensors.items()}
    for name, module in modules.items():
        load_module(module, _under(tensors, name), path)
    for name, optimizer in optimizers.items():
        _load_optimizer(optimizer, _under(tensors, _OF_OPTIMIZER + name))
    try:
        return Progress(**json.loads(metadata["progress"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: says nothing of how far the run came ({error}); use an older copy") from None


def load_module(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load a state, or say what doesn't fit.

    Raises:
        CheckpointError: naming the file and the first tensors that are missing, unknown or of another shape.
    """
    expected = module.state_dict()
    wrong = sorted(set(expected) ^ set(state)) + sorted(
        key for key in set(expected) & set(state) if expected[key].shape != state[key].shape
    )
    if wrong:
        raise CheckpointError(
            f"{path}: its networks are not those of the settings ({len(wrong)} tensors differ, such as {wrong[0]!r}); "
            "resume with the settings the run was started with"
        )
    module.load_state_dict(state)


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors, whole or not at all, even if the power goes.

    Raises:
        OutputError: they can't be written.
    """
    with atomic_write(path, flush=True) as temporary:
        try:
            save_file({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}, temporary, metadata)
        except SafetensorError as error:  # which is how safetensors tells of a full disk
            raise OutputError(f"{path}: can't be written: {error}; make room, or write to another place") from error


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a saved file, there is none")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or cut short ({error}); use an older copy or train anew") from None


def _under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, _, field = key.partition("/")
        like = parameters[int(index)]
        # A fused optimizer walks through parameter and state side by side in memory, so they have to lie alike.
        laid = torch.empty_like(like, dtype=value.dtype).copy_(value) if value.shape == like.shape else value
        state.setdefault(int(index), {})[field] = laid
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
