"""Quantisation to int8, and what it costs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from brule.errors import DataError, ExportError
from brule.export.running import open_session

LIMIT = 0.01  # of the crop's side: a detector whose landmarks move more than this on average is another detector
MIN_IMAGES = 8
_BATCH = 16


@dataclass(frozen=True)
class Int8Report:
    """How far int8 moves the landmarks, on images that its ranges weren't found on.

    Attributes:
        calibration: images that the ranges were found on.
        images: images that were measured on.
        mean: distance between the landmarks in int8 and in float32, mean over images and landmarks, in crops' sides.
        p99: the same, the largest but for one in a hundred.
        largest: the same, the largest.
    """

    calibration: int
    images: int
    mean: float
    p99: float
    largest: float


def check_calibration(crops: np.ndarray, size: int) -> None:
    """See that there are crops to find the ranges with, and that they are of the detector's size.

    Raises:
        DataError: if not.
    """
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
        raise DataError(f"int8: expected crops (K, {size}, {size}, 3) of bytes, got {crops.shape} of {crops.dtype}")
    if len(crops) < MIN_IMAGES:
        raise DataError(
            f"int8: expected at least {MIN_IMAGES} images to find the ranges with, better a hundred, got {len(crops)}"
        )


def quantise(source: Path, target: Path, wanted: nn.Module, *, crops: np.ndarray, name: Path) -> Int8Report:
    """Write the convolutions of an ONNX file in int8; the heads stay in float32, since coordinates need more than 8 bits.

    Args:
        source: the file in float32.
        target: the file to write.
        wanted: what it should compute.
        crops: ``(K, S, S, 3)`` bytes: every other one gives the ranges of the activations, the rest is measured on.
        name: what to call the file in an error.

    Raises:
        ExportError: onnxruntime can't quantise it, or int8 moves the landmarks by more than ``LIMIT``.
    """
    _quantise_static(source, target, crops[::2])
    found, truth = _points(target, wanted, crops[1::2])
    away = np.linalg.norm(found - truth, axis=-1)
    report = Int8Report(
        calibration=len(crops[::2]),
        images=len(away),
        mean=float(away.mean()),
        p99=float(np.quantile(away, 0.99)),
        largest=float(away.max()),
    )
    if not report.mean <= LIMIT:
        raise ExportError(
            f"{name}: not written: int8 moves the landmarks by {100 * report.mean:.2f} % of the crop's side on average, more "
            f"than {100 * LIMIT:g} %; give more calibration images of the object, or leave int8 out"
        )
    return report


def _quantise_static(source: Path, target: Path, crops: np.ndarray) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class _Crops(CalibrationDataReader):
        """Hands out the calibration images, a batch at a time."""

        def __init__(self) -> None:
            self._batches: Iterator[np.ndarray] = _batches(crops)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"images": batch}

    logging.getLogger().addFilter(_no_advice)
    try:
        quantize_static(
            str(source),
            str(target),
            _Crops(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,  # a filter of large weights would leave the others few levels
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # 7 bits: processors without VNNI add two products in 16, which 8 bits overflow
        )
    except Exception as error:
        raise ExportError(f"int8: onnxruntime can't quantise this detector: {error}") from error
    finally:
        logging.getLogger().removeFilter(_no_advice)


def _no_advice(record: logging.LogRecord) -> bool:
    """Drop onnxruntime's advice to run its pre-processing: torch's exporter has done that already."""
    return "pre-processing" not in record.getMessage()


def _points(path: Path, wanted: nn.Module, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks ``(K, N, 2)`` by the file and by PyTorch."""
    session = open_session(path, threads=1)
    found, truth = [], []
    for batch in _batches(crops):
        found.append(session.run(["points"], {"images": batch})[0])
        truth.append(wanted(torch.from_numpy(batch))[0].numpy())
    return np.concatenate(found), np.concatenate(truth)


def _batches(crops: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(crops), _BATCH):
        yield np.ascontiguousarray(crops[start : start + _BATCH])
