"""Callbacks: one protocol for trackers, early stopping and anything else that follows a training.

Write a class with any of the methods of :class:`Callback`, and hand it to ``fit``::

    class Print(Callback):
        def on_iteration(self, report):
            if report.means:
                print(report.iteration, report.means)

    LandmarkDetector().fit(images, shapes=shapes, callbacks=[Print(), EarlyStopping("equivariance", patience=20)])
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brule.errors import ConfigError
from brule.tracking.run_state import VALIDATION_NME, VALIDATION_W1
from brule.tracking.term_labels import TERM_LABELS

_log = logging.getLogger("brule")
_MEASURED = (VALIDATION_NME, VALIDATION_W1)


@dataclass(frozen=True)
class Report:
    """An iteration that was just done.

    Attributes:
        iteration: counted from one.
        progress: share of the run that is done, 0 … 1.
        terms: the losses of this iteration, before weighting.
        means: their means since the last line of the log, every ``log_every`` iterations and at the end; else empty.
        extra: further figures, such as ``seconds`` of training.
    """

    iteration: int
    progress: float
    terms: Mapping[str, float]
    means: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)


class Callback:
    """Does nothing; override what you need. Of several processes that train together, the first one alone calls it.

    An exception ends the run; its last checkpoint stays.
    """

    def on_start(self, settings: Mapping[str, Any], iteration: int) -> None:
        """Training begins, or continues from ``iteration``; ``settings`` holds all settings by name (``encoder.width``)."""

    def on_iteration(self, report: Report) -> bool | None:
        """An iteration is done; return ``True`` to end the run here, as if its schedule were over."""

    def on_measurement(self, iteration: int, figures: Mapping[str, float]) -> None:
        """The averaged model was measured on validation images."""

    def on_preview(self, iteration: int, picture: Path) -> None:
        """A preview was drawn, a PNG file."""

    def on_end(self) -> None:
        """Training has ended, for whatever reason."""


class EarlyStopping(Callback):
    """End the run once a term, or the error on validation images, hasn't fallen for some lines of the log.

    Args:
        term: its name, as in ``metrics.jsonl``: a term that may begin later, as those of annotated images do; or
            ``validation NME`` or ``validation W1``, which need validation images (``fit(validation=…)``).
        patience: lines of the log without a new minimum: means over ``log_every`` iterations, or measurements.
        min_delta: how far below the minimum a value has to be to count.
        warmup: iterations to wait first.
    """

    def __init__(self, term: str, *, patience: int = 10, min_delta: float = 0.0, warmup: int = 0) -> None:
        if patience < 1 or min_delta < 0 or warmup < 0:
            got = f"{patience=}, {min_delta=}, {warmup=}"
            raise ConfigError(f"EarlyStopping: expected patience ≥ 1, min_delta ≥ 0 and warmup ≥ 0, got {got}")
        self.term, self.patience, self.min_delta, self.warmup = term, patience, min_delta, warmup
        self._forget()

    def _forget(self) -> None:
        self._best, self._waited, self._seen = math.inf, 0, False

    def on_start(self, settings: Mapping[str, Any], iteration: int) -> None:
        """Forget what was seen before."""
        self._forget()

    def on_iteration(self, report: Report) -> bool | None:
        """Whether the term has stopped falling.

        Raises:
            ConfigError: there is no such term in any training.
        """
        if self.term in _MEASURED:
            return self._waited >= self.patience
        if not report.means:
            return None
        if self.term not in report.means and self.term not in TERM_LABELS:
            known = ", ".join([*report.means, *_MEASURED])
            raise ConfigError(f"EarlyStopping: expected one of the terms {known}, got {self.term!r}")
        return self._stopped(report.iteration, report.means[self.term]) if self.term in report.means else None

    def on_measurement(self, iteration: int, figures: Mapping[str, float]) -> None:
        """Take the error on validation images into account, if that is the term."""
        if self.term in figures:
            self._stopped(iteration, figures[self.term])

    def on_end(self) -> None:
        """Warn if the term never came up."""
        if not self._seen:
            _log.warning("EarlyStopping: this training had no %r, so it couldn't end for that", self.term)

    def _stopped(self, iteration: int, value: float) -> bool | None:
        self._seen = True
        if iteration <= self.warmup:
            return None
        fell = value < self._best - self.min_delta
        self._best, self._waited = (value, 0) if fell else (self._best, self._waited + 1)
        return self._waited >= self.patience


class TensorBoard(Callback):
    """Write terms and previews for TensorBoard; needs ``pip install 'brule-landmarks[log]'``.

    Where it is installed, ``fit(directory=…)`` and ``brule train`` do that anyway, into ``tensorboard/`` of the run.

    Args:
        directory: for its event files.
    """

    def __init__(self, directory: Path | str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigError("TensorBoard isn't installed: pip install 'brule-landmarks[log]'") from None
        self._writer: Any = SummaryWriter(str(directory))

    def on_iteration(self, report: Report) -> bool | None:
        """Write the means, if there are any."""
        for name, value in {**report.means, **report.extra}.items() if report.means else ():
            self._writer.add_scalar(name, value, report.iteration)
        return None

    def on_measurement(self, iteration: int, figures: Mapping[str, float]) -> None:
        """Write the figures."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, iteration)

    def on_preview(self, iteration: int, picture: Path) -> None:
        """Show the picture."""
        import numpy as np
        from PIL import Image

        with Image.open(picture) as image:
            self._writer.add_image("preview", np.asarray(image), iteration, dataformats="HWC")

    def on_end(self) -> None:
        """Close the files."""
        self._writer.close()


class MLflow(Callback):
    """Log settings, terms and previews to MLflow; needs ``pip install mlflow``.

    It uses the active run, or starts one and ends it.

    Args:
        run_name: of the run that it starts.
    """

    def __init__(self, run_name: str | None = None) -> None:
        self._mlflow = _needed("mlflow", "MLflow")
        self._name, self._started = run_name, False

    def on_start(self, settings: Mapping[str, Any], iteration: int) -> None:
        """Start a run unless one is active, and log the settings."""
        if self._mlflow.active_run() is None:
            self._mlflow.start_run(run_name=self._name)
            self._started = True
        self._mlflow.log_params({key: str(value) for key, value in settings.items()})

    def on_iteration(self, report: Report) -> bool | None:
        """Log the means, where there are some."""
        if report.means:
            self._mlflow.log_metrics({**report.means, **report.extra}, step=report.iteration)
        return None

    def on_measurement(self, iteration: int, figures: Mapping[str, float]) -> None:
        """Log the figures."""
        self._mlflow.log_metrics(dict(figures), step=iteration)

    def on_preview(self, iteration: int, picture: Path) -> None:
        """Keep the picture as an artifact."""
        self._mlflow.log_artifact(str(picture), "previews")

    def on_end(self) -> None:
        """End the run, if it is ours."""
        if self._started:
            self._mlflow.end_run()
            self._started = False


class WandB(Callback):
    """Log settings, terms and previews to Weights & Biases; needs ``pip install wandb``.

    It uses the active run, or starts one and ends it.

    Args:
        **options: of ``wandb.init``, such as ``project="wings"``.
    """

    def __init__(self, **options: Any) -> None:
        self._wandb = _needed("wandb", "Weights & Biases")
        self._options, self._started = options, False

    def on_start(self, settings: Mapping[str, Any], iteration: int) -> None:
        """Start a run unless one is active, and log the settings."""
        if self._wandb.run is None:
            self._wandb.init(**self._options)
            self._started = True
        self._wandb.config.update(dict(settings), allow_val_change=True)

    def on_iteration(self, report: Report) -> bool | None:
        """Log the means, where there are some."""
        if report.means:
            self._wandb.log({**report.means, **report.extra}, step=report.iteration)
        return None

    def on_measurement(self, iteration: int, figures: Mapping[str, float]) -> None:
        """Log the figures."""
        self._wandb.log(dict(figures), step=iteration)

    def on_preview(self, iteration: int, picture: Path) -> None:
        """Show the picture."""
        self._wandb.log({"preview": self._wandb.Image(str(picture))}, step=iteration)

    def on_end(self) -> None:
        """End the run, if it is ours."""
        if self._started:
            self._wandb.finish()
            self._started = False


def checked_callbacks(callbacks: Sequence[Callback]) -> tuple[Callback, ...]:
    """Check that these are callbacks; a single one becomes a tuple of one.

    Raises:
        ConfigError: one is something else.
    """
    found = tuple(callbacks) if not isinstance(callbacks, Callback) else (callbacks,)
    for one in found:
        if not isinstance(one, Callback):
            raise ConfigError(f"callbacks: expected instances of brule.tracking.callbacks.Callback, got {one!r}")
    return found


def _needed(module: str, title: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(f"{title} isn't installed: pip install {module}") from None
