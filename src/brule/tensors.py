"""Tensors at the border of the library: from and to pictures, from and to files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from brule.errors import CheckpointError, OutputError
from brule.files import atomic_write

_log = logging.getLogger("brule")
_LOADED_IN = os.getpid()


class Images(Protocol):
    """What training needs of a store of crops: ``(n, W, W, C)`` bytes, indexable by an array."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: np.ndarray) -> np.ndarray: ...


def to_input(images: Tensor) -> Tensor:
    """Bytes ``(B, H, W, C)`` → ``(B, C, H, W)`` in ``[-1, 1]``, channels last in memory as the convolutions like it."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_bytes(images: Tensor) -> np.ndarray:
    """``(B, C, S, S)`` in ``[-1, 1]`` → bytes ``(B, S, S, C)``."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def resized(images: Tensor, size: int) -> Tensor:
    """Images ``(B, C, S, S)`` at another size; every pixel is the mean of what it covers."""
    return images if images.shape[-1] == size else F.interpolate(images, size=(size, size), mode="area")


def one_thread_after_fork() -> None:
    """Compute with one thread in a process that was forked after PyTorch was loaded.

    Its threads stayed in the first process; a computation that is shared among them would wait for ever.
    """
    if os.getpid() != _LOADED_IN and torch.get_num_threads() > 1:
        torch.set_num_threads(1)
        _log.warning(
            "this process was forked after PyTorch was loaded, so its threads can't be used: computing with one thread "
            "(multiprocessing's start method 'spawn' keeps them)"
        )


def why_unusable(device: object) -> str:
    """Why a device can't be computed on, in PyTorch's words; empty if it can."""
    try:
        torch.empty(1, device=device)  # type: ignore[call-overload]
    except (RuntimeError, AssertionError, TypeError) as error:
        return str(error).splitlines()[0]
    return ""


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors atomically: after a crash or a power cut the file is the old one or the whole new one.

    Raises:
        OutputError: they can't be written.
    """
    with atomic_write(path, flush=True) as temporary:
        try:
            save_file({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}, temporary, metadata)
        except SafetensorError as error:  # safetensors reports a full disk this way
            raise OutputError(f"{path}: can't be written: {error}; make room, or write to another place") from error


@contextmanager
def open_safetensors(path: Path, *, advice: str = "use an older copy or train again") -> Iterator[Any]:
    """A safetensors file to read from: its header first, tensors one by one.

    Args:
        path: the file.
        advice: ends the message of an error.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a saved file, there is none")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or cut short ({error}); {advice}") from None


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    with open_safetensors(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def load_module(
    module: nn.Module,
    state: dict[str, Tensor],
    path: Path,
    *,
    advice: str = "resume with the settings the run was started with",
) -> None:
    """Load a state, or report what doesn't fit.

    Raises:
        CheckpointError: naming the file and the first tensors that are missing, unknown or of another shape.
    """
    expected = module.state_dict()
    wrong = sorted(set(expected) ^ set(state)) + sorted(
        key for key in set(expected) & set(state) if expected[key].shape != state[key].shape
    )
    if wrong:
        raise CheckpointError(
            f"{path}: its networks are not those of the settings ({len(wrong)} tensors differ, such as {wrong[0]!r}); {advice}"
        )
    module.load_state_dict(state)
