"""Checkpoints: one safetensors file, written atomically, from which a run resumes exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brule.errors import CheckpointError
from brule.files import parse_json
from brule.tensors import load_module, read_safetensors, write_safetensors
from brule.training.migration import current_state_name
from brule.training.state import Progress

FORMAT = "brule-checkpoint-1"
_ADAM, _MUON = {"step", "exp_avg", "exp_avg_sq"}, {"momentum"}  # what their states hold of each parameter
_ADVICE = "it was damaged or changed; use an older copy, or start a new run"
_OF_OPTIMIZER = "optimizer."  # before the name of one, so that it may be called like the network it moves


def save_checkpoint(
    path: Path,
    *,
    progress: Progress,
    modules: dict[str, nn.Module],
    optimizers: dict[str, torch.optim.Optimizer],
    run: str | None = None,
) -> None:
    """Write all the state of a run into one file; an interruption leaves the old file or the new one, never a mixture.

    Args:
        path: of the file.
        progress: of the run.
        modules: by name.
        optimizers: by name.
        run: the identifier of the run, which its detector has, too.
    """
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{_OF_OPTIMIZER}{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    metadata = {"format": FORMAT, "progress": json.dumps(progress.__dict__)}
    if run is not None:
        metadata["run"] = run
    write_safetensors(path, tensors, metadata)


def load_checkpoint(
    path: Path,
    *,
    modules: dict[str, nn.Module],
    optimizers: dict[str, torch.optim.Optimizer],
    run: str | None = None,
) -> Progress:
    """Read what :func:`save_checkpoint` wrote into the modules and optimizers, in place.

    Args:
        path: of the file.
        modules: by name.
        optimizers: by name.
        run: the identifier in the detector beside it; ``None`` if an earlier version wrote it without one.

    Raises:
        CheckpointError: if the file is missing, damaged, or of another run.
    """
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected a checkpoint of brule ({FORMAT}), got format {metadata.get('format')!r}")
    if metadata.get("run") != run:
        raise CheckpointError(
            f"{path}: belongs to another run than the detector in this folder; put this run's own checkpoint back, or start a "
            "new run in another folder"
        )
    tensors = {current_state_name(name): tensor for name, tensor in tensors.items()}
    for name, module in modules.items():
        own = _under(tensors, name)
        load_module(module, own, path)
        if wrong := [key for key, value in own.items() if value.is_floating_point() and not value.isfinite().all()]:
            raise CheckpointError(f"{path}: '{name}/{wrong[0]}' holds numbers that aren't finite; {_ADVICE}")
    for name, optimizer in optimizers.items():
        _load_optimizer(optimizer, _under(tensors, _OF_OPTIMIZER + name), path)
    try:
        stored = parse_json(metadata["progress"])
        pending = {str(name): [float(value) for value in values] for name, values in stored.get("pending", {}).items()}
        regressions = int(stored.get("regressions", 0))
        return Progress(int(stored["iteration"]), float(stored["elapsed"]), pending, regressions)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path}: holds no progress of the run ({error}); use an older copy") from None


def _under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill an optimizer; it keeps a state of each parameter, once it has moved it.

    Raises:
        CheckpointError: naming the first entry that is missing, unknown or of another shape.
    """
    groups = optimizer.param_groups
    parameters = [parameter for group in groups for parameter in group["params"]]
    expected = [_MUON if "momentum" in group else _ADAM for group in groups for _ in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, _, field = key.partition("/")
        if not index.isdecimal() or int(index) >= len(parameters) or field not in expected[int(index)]:
            raise CheckpointError(f"{path}: {key!r} isn't part of its optimizer; {_ADVICE}")
        like = parameters[int(index)]
        if value.shape != (torch.Size() if field == "step" else like.shape) or not value.is_floating_point():
            found = f"{tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
            raise CheckpointError(f"{path}: {key!r} of its optimizer is {found}, which doesn't fit; {_ADVICE}")
        # A fused optimizer walks through parameter and state side by side in memory, so they have to lie alike.
        laid = value if field == "step" else torch.empty_like(like, dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[field] = laid
    for number, fields in state.items():
        if missing := expected[number] - fields.keys():
            raise CheckpointError(f"{path}: '{number}/{min(missing)}' of its optimizer is missing; {_ADVICE}")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
