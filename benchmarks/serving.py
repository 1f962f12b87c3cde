"""Latency of ``brule serve`` under a short, bounded load from this machine.

``python -m benchmarks.serving RUN IMAGE [--seconds 10] [--clients 1 4]`` starts the server on a free port of the loopback,
lets that many clients send the image one request after the other, and prints p50, p99 and images per second. ``--limit``
bounds the requests.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--limit", type=int, default=2000)
    given = parser.parse_args()
    command = [sys.executable, "-m", "brule", "serve", str(given.run), "--port", "0", "--max-waiting", "64"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[2]
            load(address, given.image, clients=1, seconds=1.0, limit=20)  # warms up
            print("clients  requests  failed  p50 ms  p99 ms  images/s")
            for clients in given.clients:
                times, failed, took = load(address, given.image, clients=clients, seconds=given.seconds, limit=given.limit)
                p50, p99 = (1000 * float(np.percentile(times, share)) for share in (50, 99))
                print(f"{clients:7d}  {len(times):8d}  {failed:6d}  {p50:6.1f}  {p99:6.1f}  {len(times) / took:8.1f}")
        finally:
            server.terminate()
    return 0


def load(address: str, image: Path, *, clients: int, seconds: float, limit: int) -> tuple[list[float], int, float]:
    """Seconds of each request that was answered, the number of those that weren't, and how long it all took."""
    import httpx

    content, times, failed = image.read_bytes(), list[float](), list[int]()
    began = time.perf_counter()

    def ask() -> None:
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            while time.perf_counter() - began < seconds and len(times) < limit:
                start = time.perf_counter()
                answer = client.post("predict", content=content, headers={"content-type": "application/octet-stream"})
                if answer.status_code == 200:
                    times.append(time.perf_counter() - start)
                else:
                    failed.append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(failed), time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
