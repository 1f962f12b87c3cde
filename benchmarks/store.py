"""Measure the store of decoded images: what it costs to build, to read, and to go on with after an interruption.

    python -m benchmarks.store --images 50000

Draws some faces, gives the files many names (hard links: drawing and writing isn't what is measured), and measures in fresh
processes, so that their peaks of memory are their own. Everything lies in a temporary folder, which is removed at the end.
Linux only: memory is read from ``/proc``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PER_FOLDER = 10_000
BATCH = 32


def draw(folder: Path, distinct: int, side: int) -> list[Path]:
    """So many different faces, as JPEG."""
    from PIL import Image

    from brule.data.synthetic import synthetic_faces

    paths = []
    folder.mkdir()
    for start in range(0, distinct, 100):
        faces = synthetic_faces(min(100, distinct - start), size=side, seed=start)
        for index, image in enumerate(faces.images, start):
            paths.append(folder / f"{index}.jpg")
            Image.fromarray(image).save(paths[-1], quality=90)
    return paths


def name(files: list[Path], folder: Path, count: int) -> Path:
    """So many names for the files."""
    for index in range(count):
        target = folder / f"{index // PER_FOLDER:03d}" / f"image-{index:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(files[index % len(files)], target)
    return folder


def memory(key: str) -> float:
    """A line of this process's ``/proc/self/status``, MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024


class Peak:
    """The most anonymous memory (what isn't given back when it is short) while something runs, MB, by looking every 20 ms."""

    def __enter__(self) -> Peak:
        self.start = self.most = memory("RssAnon")
        self.start_all = memory("VmRSS")
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.most = max(self.most, memory("RssAnon"))


def measure(folder: Path, store: Path, size: int, *, batches: int) -> dict[str, float]:
    """Scan, build, open again, and read random batches; in this process."""
    import numpy as np

    from brule.data import build_cache, load_crop, read_samples

    load_crop(read_samples(next(folder.rglob("*.jpg")))[0], size)  # what is imported at the first image isn't growth
    before = memory("RssAnon")
    start = time.perf_counter()
    samples = read_samples(folder, check_images=False)
    scanned = time.perf_counter() - start
    result = {"images": len(samples), "scan_s": scanned, "records_mb": memory("RssAnon") - before}
    calls: list[int] = []
    with Peak() as peak:
        start = time.perf_counter()
        cache = build_cache(samples, size, directory=store, progress=lambda done, _: calls.append(done) if not calls else None)
        result |= {"build_s": time.perf_counter() - start, "from": calls[0] if calls[0] > 1 else 0}
    result["build_anon_mb"] = peak.most - peak.start
    start = time.perf_counter()
    cache = build_cache(samples, size, directory=store)
    result["open_s"] = time.perf_counter() - start
    random = np.random.default_rng(0)
    np.asarray(cache.images).reshape(-1)[::4096].sum()  # every page once: what follows reads a warm page cache
    with Peak() as peak:
        start = time.perf_counter()
        for _ in range(batches):
            cache.images[np.sort(random.choice(len(cache), BATCH, replace=False))]
        result["read_per_s"] = batches * BATCH / (time.perf_counter() - start)
    result["read_anon_mb"] = peak.most - peak.start
    result["rss_file_mb"] = memory("RssFile")
    result["disk_mb"] = sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) / 1e6
    return result


def in_fresh_process(*words: object) -> dict[str, float]:
    """The same in a process of its own."""
    return json.loads(subprocess.check_output([sys.executable, __file__, "--worker", *map(str, words)]))


def kill_at(folder: Path, store: Path, size: int, *, images: int) -> None:
    """Kill a building process (SIGKILL) once its log has 60 % of the images."""
    process = subprocess.Popen([sys.executable, __file__, "--worker", str(folder), str(store), str(size), "1"])
    while process.poll() is None and _logged(store) < 0.6 * images:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _logged(store: Path) -> int:
    logs = list(store.glob("*/log.jsonl"))
    lines = logs[0].read_text().splitlines() if logs else []
    return json.loads(lines[-1])["read"] if len(lines) > 1 else 0


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--distinct", type=int, default=2_000, help="different JPEG files behind the names")
    parser.add_argument("--side", type=int, default=128, help="of the JPEGs, pixels")
    parser.add_argument("--size", type=int, default=80, help="of the stored crops, pixels; the preset cpu stores 80")
    parser.add_argument("--batches", type=int, default=2_000)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        folder, store, size, batches = options.worker
        print(json.dumps(measure(Path(folder), Path(store), int(size), batches=int(batches))))
        return
    root = Path(tempfile.mkdtemp(prefix="brule-store-"))
    try:
        files = draw(root / "drawn", min(options.distinct, options.images), options.side)
        rows = []
        for count in (options.images // 5, options.images):
            folder = name(files, root / f"names-{count}", count)
            rows.append(in_fresh_process(folder, root / f"store-{count}", options.size, options.batches))
        kill_at(folder, root / "killed", options.size, images=options.images)
        rows.append(in_fresh_process(folder, root / "killed", options.size, options.batches))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print_table(rows)


def print_table(rows: list[dict[str, float]]) -> None:
    """The table, in Markdown."""
    names = {
        "images": "images",
        "scan_s": "scan, s",
        "records_mb": "records, MB",
        "from": "built from image",
        "build_s": "build, s",
        "build_anon_mb": "growth while building, MB",
        "open_s": "open again, s",
        "read_per_s": f"read in batches of {BATCH}, images/s",
        "read_anon_mb": "growth while reading, MB",
        "rss_file_mb": "pages mapped, MB",
        "disk_mb": "disk, MB",
    }
    print("| | small | all | killed at 60 %, then again |\n|---|---|---|---|")
    for key, text in names.items():
        print(f"| {text} | " + " | ".join(f"{row[key]:,.{1 if row[key] < 100 else 0}f}" for row in rows) + " |")
    per = " | ".join(f"{1000 * row['build_s'] / max(1, row['images'] - row['from']):.2f}" for row in rows)
    print(f"| s per 1,000 images built | {per} |")


if __name__ == "__main__":
    main()
