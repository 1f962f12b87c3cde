"""From a PyTorch module to an ONNX file, by PyTorch's own exporter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from brule.errors import ExportError


def save_program(
    module: nn.Module,
    example: Sequence[np.ndarray],
    path: Path,
    *,
    inputs: Mapping[str, dict[int, str] | None],
    outputs: Sequence[str],
    facts: Mapping[str, str],
    what: str,
    opset: int | None = None,
) -> int:
    """Write a module as an ONNX file.

    Args:
        module: in evaluation mode.
        example: a value for each input.
        path: of the file.
        inputs: the name of each input, and its axes of any length by index with their names; ``None`` if there are none.
        outputs: the names of what the module returns.
        facts: are kept in the file's metadata.
        what: the module in a message.
        opset: of ONNX; by default that of the exporter.

    Returns:
        The opset of the file.

    Raises:
        ExportError: PyTorch can't export the module.
        OSError: the file can't be written.
    """
    from torch.export import Dim

    shapes = {name: None if axes is None else {k: Dim(axis) for k, axis in axes.items()} for name, axes in inputs.items()}
    try:
        with _quiet():
            program: Any = torch.onnx.export(
                module,
                tuple(torch.from_numpy(value) for value in example),
                dynamo=True,
                verbose=False,
                input_names=tuple(inputs),
                output_names=tuple(outputs),
                dynamic_shapes=shapes,
                opset_version=opset,
            )
            program.model.metadata_props.update(facts)
            program.save(path)
    except OSError:  # a full disk, say: the caller names the file
        raise
    except Exception as error:  # the exporter's own, and whatever torch meets on the way
        raise ExportError(f"torch can't export {what}: {str(error).strip().splitlines()[0]}") from error
    return int(program.model.opset_imports[""])


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's remarks on packages that aren't needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
