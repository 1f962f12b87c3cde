"""``brule train --data --measure-every``: annotated images that are measured during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from brule.errors import ConfigError

if TYPE_CHECKING:
    from brule.data import SampleList
    from brule.detector.run_record import RunRecord


def check_measuring(every: int | None, data: Sequence[str] | None) -> None:
    """Check ``--measure-every``.

    Raises:
        ConfigError: it is negative, or there is nothing to measure on.
    """
    if every is not None and every < 0:
        raise ConfigError(f"--measure-every: expected a number of iterations, or 0 for none before the end, got {every}")
    if every and not data:
        raise ConfigError("--measure-every: there is nothing to measure on; give annotated images with --data")


def validation_images(record: RunRecord, skip_bad: bool) -> SampleList | None:
    """The images of ``--data`` where they are to be measured during training.

    Raises:
        DataError: there is none.
    """
    from brule.data.training_data import annotated_samples

    if not record.data or record.measure_every == 0:
        return None
    return annotated_samples(record.found_from_here().data, only_validation=record.exclude_validation, skip_bad=skip_bad)
