"""Doing the parts: in this process, or on a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from brule.bulk.places import Place
from brule.bulk.plan import Part, Plan
from brule.bulk.work import detector_files, need_pyarrow, predict_part
from brule.detector.predicting import PredictOptions
from brule.errors import BruleError, ConfigError, OutputError

if TYPE_CHECKING:
    from brule.detector import LandmarkDetector

_log = logging.getLogger("brule")

Engine = Literal["parts", "ray"]
Done = tuple[Part, dict[str, int] | str]  # the counts of a part, or why it failed
RETRIES = 3  # of a part whose worker died
_WAITING = 2  # parts that wait for each worker


@dataclass
class Outcome:
    """The result of a run over parts.

    Attributes:
        counts: ``images``, ``objects`` and ``errors`` (images that couldn't be read) of the parts done now.
        done: parts done now.
        before: parts that were there already.
        failed: parts that failed, and why; the same call tries them again.
    """

    counts: Counter[str] = field(default_factory=Counter)
    done: int = 0
    before: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def predict_parts(
    run: Path,
    plan: Plan,
    output: Place,
    *,
    options: PredictOptions,
    engine: Engine = "parts",
    workers: int | None = None,
    address: str | None = None,
    gpus: float = 0.0,
    device: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Outcome:
    """Do all parts of a plan that aren't done yet.

    Args:
        run: the folder of a run, or of a saved detector.
        plan: of :func:`brule.bulk.plan_parts`, its ``detector`` being ``fingerprint(run, options)``.
        output: where the parts' files go; what is there is kept.
        options: how images are predicted.
        engine: ``parts``: one after the other, in this process; ``ray``: on a Ray cluster.
        workers: of Ray, parts at a time; by default one per CPU (or per GPU share) of the cluster.
        address: of a Ray cluster; by default ``RAY_ADDRESS``, else one is started on this machine for the call.
        gpus: of Ray, share of a GPU that each worker takes.
        device: of ``parts``.
        progress: called with the number of parts done, and of all.

    Returns:
        What was done, and what failed.

    Raises:
        CheckpointError: the output holds other predictions.
        ConfigError: a package is missing.
    """
    need_pyarrow()
    todo = plan.open(output)
    outcome = Outcome(before=len(plan.parts) - len(todo))
    if not todo:
        return outcome
    finished = (
        _on_ray(run, todo, output, options=options, workers=workers, address=address, gpus=gpus)
        if engine == "ray"
        else _here(run, todo, output, options=options, device=device)
    )
    for part, result in finished:
        if isinstance(result, str):
            _log.warning("%s: %s", part.name, result)
            outcome.failed[part.name] = result
        else:
            outcome.done += 1
            outcome.counts.update(result)
        if progress is not None:
            progress(outcome.before + outcome.done + len(outcome.failed), len(plan.parts))
    return outcome


def _here(run: Path, parts: Sequence[Part], output: Place, *, options: PredictOptions, device: str | None) -> Iterator[Done]:
    from brule.detector import LandmarkDetector

    detector = LandmarkDetector.load(run, device=device)
    for part in parts:
        try:
            yield part, predict_part(detector, part, output, options=options)
        except OutputError:  # the other parts couldn't be written either
            raise
        except BruleError as error:
            yield part, str(error)
        except Exception as error:  # a mistake of ours in one part is none in the others
            _log.debug("%s failed", part.name, exc_info=True)
            yield part, f"failed unexpectedly ({': '.join([type(error).__name__, *str(error).strip().splitlines()[:1]])})"


def _on_ray(
    run: Path,
    parts: Sequence[Part],
    output: Place,
    *,
    options: PredictOptions,
    workers: int | None,
    address: str | None,
    gpus: float,
) -> Iterator[Done]:
    """The parts as Ray tasks; a task whose worker dies is started again elsewhere."""
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        own = address is None and not os.environ.get("RAY_ADDRESS")  # Ray refuses num_cpus for a cluster that runs already
        ray.init(address=address, num_cpus=workers if own else None, include_dashboard=False, log_to_driver=False)
    try:
        files = ray.put(detector_files(run))
        task = ray.remote(max_retries=RETRIES, num_cpus=1, num_gpus=gpus)(_on_worker)
        slots = workers or max(1, int(ray.cluster_resources().get("GPU", 0) / gpus if gpus else ray.cluster_resources()["CPU"]))
        waiting, running = list(reversed(parts)), dict[Any, Part]()
        while waiting or running:
            while waiting and len(running) < _WAITING * slots:
                part = waiting.pop()
                running[task.remote(files, part, output, options=options)] = part
            ready, _ = ray.wait(list(running), num_returns=1)
            for reference in ready:
                yield running.pop(reference), _result(ray, reference)
    finally:
        if started:
            ray.shutdown()


def _result(ray: Any, reference: Any) -> dict[str, int] | str:
    try:
        found: dict[str, int] | str = ray.get(reference)
        return found
    except ray.exceptions.RayTaskError as error:  # raised in the part's work, which Ray doesn't try again
        return f"its worker failed ({_cause(error)})"
    except ray.exceptions.RayError as error:
        return f"its worker failed {RETRIES + 1} times ({str(error).splitlines()[0] if str(error) else type(error).__name__})"


def _cause(error: Any) -> str:
    """What went wrong in a task; the first line of Ray's own message only says where."""
    cause = getattr(error, "cause", None)
    if cause is None:  # it couldn't be pickled: the traceback is left, which ends with it
        return (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return ": ".join([type(cause).__name__, *str(cause).strip().splitlines()[:1]])


def _on_worker(files: dict[str, bytes], part: Part, output: Place, *, options: PredictOptions) -> dict[str, int] | str:
    """A part in a worker of Ray, which keeps its detector for the next one."""
    import torch

    torch.set_num_threads(1)  # a worker has one core
    try:
        return predict_part(_detector(tuple(sorted(files.items()))), part, output, options=options)
    except BruleError as error:
        return str(error)


@lru_cache(maxsize=1)
def _detector(files: tuple[tuple[str, bytes], ...]) -> LandmarkDetector:
    from brule.detector import LandmarkDetector

    with TemporaryDirectory(prefix="brule-") as folder:
        for name, content in files:
            (Path(folder) / name).write_bytes(content)
        return LandmarkDetector.load(folder)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ConfigError("--engine ray needs Ray: pip install 'brule-landmarks[ray]'") from None
    return ray
