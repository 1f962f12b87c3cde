"""Callbacks: how they are called, how they end a run, and the adapters for trackers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from brule.errors import ConfigError
from brule.tracking.callbacks import Callback, EarlyStopping, MLflow, Report, TensorBoard, WandB, checked_callbacks
from brule.tracking.log import RunLog

SETTINGS = {"seed": 7, "encoder.width": 8}


class Recorder(Callback):
    """Keeps what it is called with."""

    def __init__(self, stop_at: int = 0) -> None:
        self.reports: list[Report] = []
        self.others: list[object] = []
        self._stop_at = stop_at

    def on_start(self, settings: Mapping[str, Any], iteration: int) -> None:
        self.others.append((settings["seed"], iteration))

    def on_iteration(self, report: Report) -> bool:
        self.reports.append(report)
        return report.iteration == self._stop_at

    def on_preview(self, iteration: int, picture: Path) -> None:
        self.others.append((iteration, picture.name))

    def on_end(self) -> None:
        self.others.append("end")


def means(*values: float, term: str = "loss") -> list[Report]:
    return [Report(10 * (k + 1), 0.0, {}, {term: value}) for k, value in enumerate(values)]


def test_every_iteration_is_reported_and_means_come_with_the_lines() -> None:
    recorder = Recorder()
    with RunLog(None, every=2, start=4, callbacks=[recorder], quiet=True) as log:
        log.begin(SETTINGS)
        assert not log.add(5, 0.1, {"a": 1.0}, seconds=1.0)
        assert not log.add(6, 0.2, {"a": 3.0}, seconds=2.0)
        log.picture(6, Path("x/000006.png"))
    assert [(one.iteration, one.terms, one.means) for one in recorder.reports] == [
        (5, {"a": 1.0}, {}),
        (6, {"a": 3.0}, {"a": 2.0}),
    ]
    assert recorder.reports[1].extra == {"seconds": 2.0}
    assert recorder.others == [(7, 4), (6, "000006.png"), "end"]


def test_one_wish_ends_a_run_and_all_callbacks_are_called() -> None:
    wants, also = Recorder(stop_at=2), Recorder()
    with RunLog(None, every=1, callbacks=[wants, also], quiet=True) as log:
        assert [log.add(k, 0.1, {"a": 1.0}) for k in (1, 2)] == [False, True]
    assert len(also.reports) == 2


def test_the_end_is_reported_after_a_failure_too() -> None:
    recorder = Recorder()
    with pytest.raises(KeyError), RunLog(None, every=1, callbacks=[recorder], quiet=True):
        raise KeyError
    assert recorder.others == ["end"]


def test_early_stopping_waits_for_patience_lines_without_a_new_minimum() -> None:
    stop = EarlyStopping("loss", patience=2)
    assert [stop.on_iteration(report) for report in means(5, 4, 4, 3, 3, 3)] == [False, False, False, False, False, True]


def test_early_stopping_counts_only_falls_beyond_min_delta_and_after_the_warmup() -> None:
    stop = EarlyStopping("loss", patience=2, min_delta=0.5)
    assert [stop.on_iteration(report) for report in means(5, 4.7, 4.6)] == [False, False, True]
    stop = EarlyStopping("loss", patience=1, warmup=20)
    assert [stop.on_iteration(report) for report in means(1, 9, 9, 9)] == [None, None, False, True]


def test_early_stopping_begins_anew_with_every_run() -> None:
    stop = EarlyStopping("loss", patience=1)
    assert [stop.on_iteration(report) for report in means(5, 5)] == [False, True]
    stop.on_start(SETTINGS, 0)
    assert stop.on_iteration(means(9)[0]) is False


def test_an_unknown_term_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"terms loss, validation NME, validation W1, got 'consistency'"):
        EarlyStopping("consistency").on_iteration(means(1)[0])
    assert EarlyStopping("consistency").on_iteration(Report(1, 0.0, {"loss": 1.0})) is None


def test_a_term_that_begins_later_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    stop = EarlyStopping("labels", patience=1)
    later = [*means(1, 1, 1), *means(5, 5, term="labels")]
    assert [stop.on_iteration(report) for report in later] == [None, None, None, False, True]
    stop.on_end()
    assert not caplog.messages
    stop.on_start(SETTINGS, 0)
    stop.on_iteration(means(1)[0])
    stop.on_end()
    assert "had no 'labels'" in caplog.messages[0]


def test_early_stopping_by_the_error_on_validation_images() -> None:
    stop, line = EarlyStopping("validation NME", patience=2), means(1)[0]
    ended = []
    for iteration, error in ((10, 9.0), (20, 7.0), (30, 8.0), (40, 7.5)):
        stop.on_measurement(iteration, {"validation NME": error, "validation W1": 1.0 / iteration})
        ended.append(stop.on_iteration(line))
    assert ended == [False, False, False, True]


@pytest.mark.parametrize("options", [{"patience": 0}, {"min_delta": -1}, {"warmup": -1}])
def test_early_stopping_refuses_senseless_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="EarlyStopping: expected"):
        EarlyStopping("loss", **options)


def test_only_callbacks_are_callbacks() -> None:
    one = Recorder()
    assert checked_callbacks(one) == (one,)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="instances of"):
        checked_callbacks([print])  # type: ignore[list-item]


class FakeTracker:
    """MLflow and wandb in one: notes its calls."""

    def __init__(self, active: bool = False) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.active = active
        self.run = object() if active else None
        self.config = SimpleNamespace(update=lambda values, **_: self.calls.append(("config", values)))

    def active_run(self) -> object | None:
        return self.run

    def Image(self, path: str) -> str:
        return f"image {path}"

    def log(self, values: Any, step: int) -> None:
        self.calls.append((f"log {step}", values))

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self.calls.append((name, (*given, *named.items())))


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize(("make", "module"), [(lambda: MLflow("first"), "mlflow"), (lambda: WandB(project="wings"), "wandb")])
def test_trackers_get_settings_means_and_previews(
    make: Any, module: str, active: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeTracker(active)
    monkeypatch.setitem(sys.modules, module, fake)
    tracker = make()
    tracker.on_start(SETTINGS, 0)
    tracker.on_iteration(Report(1, 0.1, {"a": 1.0}))
    tracker.on_iteration(Report(2, 0.2, {"a": 3.0}, {"a": 2.0}, {"seconds": 9.0}))
    tracker.on_preview(2, Path("p.png"))
    tracker.on_end()
    names = [name for name, _ in fake.calls]
    begun = {"mlflow": "start_run", "wandb": "init"}[module]
    ended = {"mlflow": "end_run", "wandb": "finish"}[module]
    assert (begun in names) is (ended in names) is not active
    settings = next(given for name, given in fake.calls if name in ("log_params", "config"))
    settings = settings[0] if isinstance(settings, tuple) else settings
    assert str(settings["seed"]) == "7"
    logged = [given for name, given in fake.calls if name in ("log_metrics", "log 2")]
    assert (logged[0][0] if module == "mlflow" else logged[0]) == {"a": 2.0, "seconds": 9.0}
    assert any("p.png" in str(given) for _, given in fake.calls)


@pytest.mark.parametrize(("make", "module"), [(MLflow, "mlflow"), (WandB, "wandb"), (TensorBoard, "torch.utils.tensorboard")])
def test_a_missing_tracker_is_named_with_its_cure(
    make: Any, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"isn't installed: pip install"):
        make(tmp_path) if make is TensorBoard else make()


@pytest.mark.slow
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Image.new("RGB", (8, 8), "red").save(tmp_path / "p.png")
    board = TensorBoard(tmp_path / "board")
    board.on_iteration(Report(5, 0.1, {"a": 1.0}))
    board.on_iteration(Report(10, 0.2, {"a": 1.0}, {"a": 1.5}, {"seconds": 3.0}))
    board.on_preview(10, tmp_path / "p.png")
    board.on_end()
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("a")] == [(10, 1.5)]
    assert events.Tags()["images"] == ["preview"]
