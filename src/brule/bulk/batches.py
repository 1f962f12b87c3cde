"""A detector as the class that Ray Data's ``map_batches`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brule.errors import DataError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from brule.detector.predicting import PredictKeywords

COLUMNS = ("image", "bytes", "path")  # where an image may be, the first that is there


class PredictBatches:
    """Adds landmarks to batches of images.

    For pipelines of your own::

        ds = ray.data.read_images("s3://bucket/photos", include_paths=True)
        ds = ds.map_batches(PredictBatches, fn_constructor_args=["runs/first"], batch_size=64, concurrency=8)
        ds.drop_columns(["image"]).write_parquet("s3://bucket/landmarks")

    Args:
        detector: the folder of a run, or of a saved detector; every worker reads it once.
        threads: of PyTorch in each worker.
        **options: of :meth:`LandmarkDetector.predict`; ``objects`` stays ``best``, one row per image.
    """

    def __init__(self, detector: Path | str, *, threads: int = 1, **options: Unpack[PredictKeywords]) -> None:
        import torch

        from brule.detector import LandmarkDetector

        torch.set_num_threads(threads)
        if options.get("objects", "best") != "best":
            raise DataError("PredictBatches: expected objects='best', so that each image keeps its row")
        self._detector, self._options = LandmarkDetector.load(detector), options

    def __call__(self, batch: Mapping[str, np.ndarray | Sequence[object]]) -> dict[str, object]:
        """The batch with the columns ``points (B, N, 2)``, ``spread (B, N)``, ``box (B, 4)``, ``score`` and ``flagged``.

        Args:
            batch: with the images in one of the columns ``image`` (arrays), ``bytes`` (files' contents) or ``path``.

        Raises:
            DataError: it has none of them, or an image can't be read.
        """
        column = next((name for name in COLUMNS if name in batch), None)
        if column is None:
            raise DataError(f"PredictBatches: expected one of the columns {', '.join(COLUMNS)}, got {', '.join(batch)}")
        found = self._detector.predict(_images(batch[column]), **self._options)
        columns = {name: getattr(found, name).cpu().numpy() for name in ("points", "spread", "box", "score", "flagged")}
        return {**batch, **columns}


def _images(values: np.ndarray | Sequence[object]) -> list:
    """Images one by one; paths as samples, so that annotations beside them don't count."""
    from brule.data import Sample

    return [Sample(Path(value)) if isinstance(value, str) else value for value in values]
