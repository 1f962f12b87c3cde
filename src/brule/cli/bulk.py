"""``brule predict --engine parts`` and ``--engine ray``: millions of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from cyclopts import Group, Parameter

from brule.cli.output import note, progress_bar, say
from brule.errors import ConfigError, DataError


@Parameter(name="*", group=Group("Millions of images", sort_key=3))
@dataclass(frozen=True)
class Bulk:
    """How many images are predicted at a time, and where.

    Args:
        engine: `local`: the files above, for up to some hundred thousand images. `parts`: Parquet files, one per `--part-size`
            images or per shard (`.tar`); the same command continues where it was stopped. `ray`: the same on all cores of this
            machine, or on the Ray cluster of the variable `RAY_ADDRESS`. docs/scaling.md explains.
        part_size: For `parts` and `ray`: images per part.
        workers: For `ray`: parts at a time; by default one per core.
        gpus_per_worker: For `ray`: share of a GPU that each worker takes.
    """

    engine: Literal["local", "parts", "ray"] = "local"
    part_size: int = 2000
    workers: int | None = None
    gpus_per_worker: float = 0.0

    def check(self) -> None:
        """Refuse options that the engine doesn't have.

        Raises:
            ConfigError: one is set.
        """
        own = {"local": (), "parts": ("part_size",), "ray": ("part_size", "workers", "gpus_per_worker")}[self.engine]
        for one in fields(self):
            if one.name not in ("engine", *own) and getattr(self, one.name) != one.default:
                option, engines = f"--{one.name.replace('_', '-')}", "parts or ray" if one.name == "part_size" else "ray"
                raise ConfigError(f"{option}: has no effect with --engine {self.engine}; it is for --engine {engines}")


def predict_bulk(
    run: Path, paths: Sequence[str], output: str, *, options: dict[str, Any], bulk: Bulk, device: str | None
) -> int:
    """Predict in parts; returns the exit code."""
    from brule.bulk import Place, fingerprint, plan_parts, predict_parts
    from brule.bulk.work import need_pyarrow
    from brule.detector import PredictOptions

    need_pyarrow()
    how = PredictOptions(**options)
    plan = plan_parts(paths, detector=fingerprint(run, how), part_size=bulk.part_size)
    with progress_bar("parts") as progress:
        found = predict_parts(
            run,
            plan,
            Place(output),
            options=how,
            engine="ray" if bulk.engine == "ray" else "parts",
            workers=bulk.workers,
            address=os.environ.get("RAY_ADDRESS") or None,
            gpus=bulk.gpus_per_worker,
            device=device,
            progress=progress,
        )
    if found.before and found.done:
        note(f"{found.before} parts were there already")
    if not found.done and not found.failed:
        say(f"all {found.before} parts are there already, in {output}")
        return 0
    if found.counts["errors"]:
        note(f"{found.counts['errors']} images can't be read; the column error has the reasons")
    say(f"{found.counts['images']} images, {found.counts['objects']} objects in {found.done} parts: written to {output}")
    if found.failed:
        name, reason = next(iter(found.failed.items()))
        raise DataError(f"{len(found.failed)} parts failed, the first is {name}: {reason}; the same command tries them again")
    return 0
