"""A local Ray cluster of two workers: the same rows as in one process, though one worker is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pytest

from brule.bulk import Place, fingerprint, plan_parts, predict_parts
from brule.detector import PredictOptions

ray = pytest.importorskip("ray")


def workers_at_work() -> list[int]:
    """The processes of this test's cluster that run a part, by the name that Ray gives them."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if entry.name.isdigit() and b"ray::_on_worker" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds workers in /proc, which this system lacks")
def test_a_killed_worker_costs_nothing_but_time(run: Path, photos: Path, tmp_path: Path) -> None:
    how = PredictOptions()
    plan = plan_parts([str(photos)], detector=fingerprint(run, how), part_size=1)
    there = set(workers_at_work())  # of clusters that aren't ours
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 500
        while not killed and time.monotonic() < deadline:
            for process in set(workers_at_work()) - there:
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
                    break
            time.sleep(0.05)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    output = Place(str(tmp_path / "ray"))
    found = predict_parts(run, plan, output, options=how, engine="ray", workers=2)
    killer.join(10)
    assert killed and not found.failed and found.done == 9
    predict_parts(run, plan, Place(str(tmp_path / "here")), options=how, device="cpu")
    ours, theirs = (pyarrow.dataset.dataset(str(tmp_path / name)).to_table().sort_by("image") for name in ("ray", "here"))
    assert ours.num_rows == 9 and ours.select(["image", "object"]).equals(theirs.select(["image", "object"]))
    np.testing.assert_allclose(ours["points"].to_pylist(), theirs["points"].to_pylist(), atol=1e-3)
    assert predict_parts(run, plan, output, options=how, engine="ray", workers=2).before == 9  # without starting a cluster
