"""How transport grows with the number of landmarks: time of each part for several N, and the exponent of its growth.

Run with the project's Python, ``OMP_NUM_THREADS=1 python -m benchmarks.transport``: it prints a table for benchmarks/README.md.
Landmark sets are a ring, a little different in every set. The exponent is the slope of log time over log N from 68 on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import Plan
from benchmarks.timing import time_call
from benchmarks.work import random_points
from brule.losses import barycenter_regularizer
from brule.transport import free_support_barycenter, transport_plan, wasserstein1

NUMBERS = (5, 20, 68, 120, 200, 500)
FITTED_FROM = 68  # below, the time is that of calls, not of points
SETS = 10


def parts(n: int, batch: int, plan: Plan) -> dict[str, Callable[[], object]]:
    """What is timed, for n landmarks."""
    points, others = (random_points(batch, n, plan, seed=seed) for seed in (0, 1))
    leaf = points.clone().requires_grad_()
    sets = list(random_points(SETS, n, plan, seed=2))
    return {
        "transport_plan": lambda: transport_plan(points, others),
        "wasserstein1": lambda: wasserstein1(points, others),
        "barycenter_regularizer, forward and backward": lambda: torch.autograd.grad(
            barycenter_regularizer(leaf, others[:1]).sum(), leaf
        ),
        f"free_support_barycenter, {SETS} sets": lambda: free_support_barycenter(sets),
    }


def exponent(numbers: tuple[int, ...], seconds: list[float]) -> float:
    """The slope of log time over log N, fitted by least squares."""
    chosen = [(n, time) for n, time in zip(numbers, seconds, strict=True) if n >= FITTED_FROM]
    log_n, log_time = np.log(np.array(chosen).T)
    return float(np.polyfit(log_n, log_time, 1)[0])


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--repeats", type=int, default=10)
    options.add_argument("--seconds", type=float, default=10.0, help="of one part at one N, at most, but for three repeats")
    asked = options.parse_args()
    torch.set_num_threads(1)
    plan, device = Plan(), torch.device("cpu")
    found: dict[str, list[float]] = {}
    for n in NUMBERS:
        for name, run in parts(n, asked.batch, plan).items():
            timing = time_call(run, device, repeats=asked.repeats, seconds=asked.seconds, warm_up=1)
            found.setdefault(name, []).append(timing.median)
    print(f"B = {asked.batch}, one thread, PyTorch {torch.__version__}; load of the machine {os.getloadavg()[0]:.1f}\n")
    print("| median, ms | " + " | ".join(f"N = {n}" for n in NUMBERS) + f" | exponent from {FITTED_FROM} |")
    print("|---" * (len(NUMBERS) + 2) + "|")
    for name, seconds in found.items():
        cells = " | ".join(f"{1000 * value:.3g}" for value in seconds)
        print(f"| `{name.split(',')[0]}`{name[len(name.split(',')[0]) :]} | {cells} | {exponent(NUMBERS, seconds):.1f} |")


if __name__ == "__main__":
    main()
