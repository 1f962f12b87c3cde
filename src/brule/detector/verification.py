"""Checks of detectors from unknown sources: sizes against the file's header before anything is allocated, then the values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from brule.errors import CheckpointError, ConfigError
from brule.files import parse_json
from brule.tensors import open_safetensors
from brule.training.run import build_decoder, build_model

if TYPE_CHECKING:
    from brule.training.config import TrainingConfig

MAX_DESCRIPTION_BYTES = 16 * 2**20
MAX_LANDMARKS = 100_000
_ADVICE = "it was damaged or changed; train again, or use another copy"
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16}

Sizes = dict[str, tuple[tuple[int, ...], torch.dtype | None]]


def read_json(path: Path, *, advice: str = _ADVICE) -> Any:
    """The content of a JSON file of a detector; ``advice`` ends the message of an error.

    Raises:
        CheckpointError: it is too large, too deep, or no JSON.
    """
    if path.stat().st_size > MAX_DESCRIPTION_BYTES:
        raise CheckpointError(f"{path}: larger than {MAX_DESCRIPTION_BYTES // 2**20} MiB, which no detector needs; {advice}")
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged, no JSON ({error}); {advice}") from None


def header_of(path: Path) -> Sizes:
    """Names, shapes and types of the tensors of a safetensors file; no tensor is read.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    with open_safetensors(path, advice=_ADVICE) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: (tuple(one.get_shape()), _DTYPES.get(one.get_dtype())) for name, one in slices.items()}


def check_model_sizes(path: Path, config: TrainingConfig) -> None:
    """Compare a file's tensors with those of the encoder that the settings describe, before it is built.

    The networks are laid out on the ``meta`` device, which has shapes and no memory.

    Raises:
        CheckpointError: naming the first tensor that is missing, unknown, of another shape or of another type.
    """
    stored = header_of(path)
    shape, dtype = stored.get("barycenter", ((), None))
    if len(shape) != 2 or shape[1] != 2 or not 0 < shape[0] <= MAX_LANDMARKS or dtype != torch.float32:
        raise CheckpointError(f"{path}: expected a barycenter (N, 2) of float32, found {_named(shape, dtype)}; {_ADVICE}")
    shapes, shapes_dtype = stored.pop("shapes", ((0, *shape), torch.float32))
    if len(shapes) != 3 or shapes[1:] != shape or shapes_dtype != torch.float32:
        found = _named(shapes, shapes_dtype)
        raise CheckpointError(f"{path}: expected shapes (K, {shape[0]}, 2) of float32, found {found}; {_ADVICE}")
    with torch.device("meta"):
        model = _built(lambda: build_model(torch.empty(shape), config, final=has_final(stored)), path)
    _compare(path, stored, model)


def has_final(tensors: Mapping[str, object]) -> bool:
    """Whether a detector's tensors, by their names, include the regressions that end a prediction."""
    return any(name.startswith("final.") for name in tensors)


def check_decoder_sizes(path: Path, config: TrainingConfig) -> None:
    """The same for a decoder's file.

    Raises:
        CheckpointError: naming the first tensor that doesn't fit.
    """
    with torch.device("meta"):
        decoder = _built(lambda: build_decoder(config), path)
    _compare(path, header_of(path), decoder)


def check_values(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check what was read: finite numbers, and an order of the landmarks that is a permutation.

    Raises:
        CheckpointError: naming the first tensor that is wrong.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(f"{path}: {name!r} holds numbers that aren't finite; {_ADVICE}")
    order = tensors.get("order")
    if order is not None and not torch.equal(order.sort().values, torch.arange(len(order))):
        raise CheckpointError(f"{path}: 'order' isn't a permutation of 0 … {len(order) - 1}; {_ADVICE}")


def _built(build: Any, path: Path) -> nn.Module:
    try:
        module: nn.Module = build()
    except ConfigError as error:
        raise CheckpointError(f"{path}: the settings beside it describe no network ({error}); {_ADVICE}") from None
    return module


def _compare(path: Path, stored: Sizes, module: nn.Module) -> None:
    expected = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in module.state_dict().items()}
    for name in sorted(expected.keys() | stored.keys()):
        if expected.get(name) != stored.get(name):
            wanted, found = (_named(*one[name]) if name in one else "absent" for one in (expected, stored))
            raise CheckpointError(
                f"{path}: its networks are not those of the settings: {name!r} should be {wanted} and is {found}; {_ADVICE}"
            )


def _named(shape: tuple[int, ...], dtype: torch.dtype | None) -> str:
    return f"{shape} of {str(dtype).removeprefix('torch.') if dtype else 'another type'}"
