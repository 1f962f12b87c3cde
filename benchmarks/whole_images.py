"""How a trained detector does on whole images: found by its best detection and among three, speed, and memory.

``python -m benchmarks.whole_images RUN DATA`` takes the folder of a run and annotated images with one object each. *Found* is
the share of images with an error below the floor: the mean shape placed in the true box.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from brule import LandmarkDetector
from brule.arrays import Array, mean_of_present
from brule.data import Sample, SampleList, read_samples, split_by_name
from brule.detector import Landmarks, measure_detector
from brule.evaluation import Measurement, normaliser

MAX_DETECTIONS = 3  # per image


@dataclass(frozen=True)
class Annotations:
    """Annotated images with one object each.

    Attributes:
        samples: the images.
        points: ``(B, N, 2)`` their landmarks, pixels.
        distance: ``(B,)`` what errors are divided by, pixels.
    """

    samples: SampleList
    points: Array
    distance: Array

    @classmethod
    def read(cls, data: str, *, part: str = "all") -> Annotations:
        """Annotated images of a folder: ``all``, the ``validation`` tenth, or the ``training`` images."""
        samples = read_samples([data], require_points=True)
        split = split_by_name(samples)
        chosen = {"all": list(samples), "validation": list(split.validation), "training": list(split.train)}[part]
        points = np.array([sample.points for sample in chosen], dtype=np.float64)
        return cls(samples.replaced(chosen), points, normaliser(points, "auto")[1])

    @property
    def bare(self) -> SampleList:
        """The same images without their annotations."""
        return self.samples.replaced(Sample(sample.path) for sample in self.samples)

    def errors(self, found: Landmarks) -> Array:
        """``(M,)`` the error of each detection in percent, infinite if nothing was found."""
        return np.nan_to_num(self.percent(found.points.double().numpy(), found.image.numpy()), nan=np.inf)

    def percent(self, points: Array, image: Array | slice = slice(None)) -> Array:
        """``(M,)`` the errors of landmarks ``(M, N, 2)`` in percent, of all images in order or of the chosen ones."""
        apart = np.linalg.norm(points - self.points[image], axis=2)
        return 100 * mean_of_present(apart, axis=1) / self.distance[image]


def found_table(detector: LandmarkDetector, data: Annotations) -> list[str]:
    """Rows of a table: the best detection, one of three, and the same detector inside the true boxes."""
    measured = measure_detector(detector, data.samples)
    assert measured.whole is not None and measured.given is not None
    whole, given = measured.whole.scores, measured.given.scores
    three = detector.predict(data.bare, objects="all", most=MAX_DETECTIONS, flagged="keep")
    best = np.full(len(data.points), np.inf)
    np.minimum.at(best, three.image.numpy(), data.errors(three))
    right = best < whole.floor_nme
    own = measured.given.errors[_found(measured)].mean()
    rows = [("detections", "found", "NME of the found", "NME", "median")]
    rows += [("---",) * 5]
    rows += [
        (
            "the best",
            f"{100 * whole.found:.1f} %",
            f"{whole.nme_found:.2f} %",
            f"{whole.nme:.2f} %",
            f"{whole.median_nme:.2f} %",
        )
    ]
    rows += [
        (
            f"{len(three) / len(best):.2f}, at most {MAX_DETECTIONS}",
            f"{100 * right.mean():.1f} %",
            f"{best[right].mean():.2f} %",
            "",
            "",
        )
    ]
    rows += [
        (
            "given boxes",
            f"{100 * given.found:.1f} %",
            f"{own:.2f} % (the same images)",
            f"{given.nme:.2f} %",
            f"{given.median_nme:.2f} %",
        )
    ]
    return ["| " + " | ".join(row) + " |" for row in rows] + [f"\nfloor: {whole.floor_nme:.2f} %, {whole.n} images"]


def _found(measured: Measurement) -> Array:
    """``(B,)`` booleans: images whose object is found by the best detection."""
    assert measured.whole is not None
    missed = measured.whole.per_image.missed
    right = measured.whole.errors < measured.whole.scores.floor_nme
    return right if missed is None else right & ~missed


def speed(detector: LandmarkDetector, data: Annotations, *, rounds: int) -> str:
    """Images per second from files to landmarks, and by how much memory grows from the first round to the last."""
    images = data.bare
    _predicted(detector, images)  # the first call fills caches
    memory, seconds, processor = [], [], []
    for _ in range(rounds):
        start, own = time.perf_counter(), time.process_time()
        _predicted(detector, images)
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - own)
        memory.append(_resident())
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    best = min(seconds)
    return (
        f"{len(images) / best:.1f} images per second (best of {rounds} rounds over {len(images)} images, "
        f"{torch.get_num_threads()} threads, load {load:.1f}); {1000 * min(processor) / len(images):.1f} ms of processor time "
        f"per image; memory {memory[-1] - memory[0]:+.0f} MB from the first round to the last"
    )


def _predicted(detector: LandmarkDetector, images: SampleList) -> int:
    return sum(len(found) for _, found in detector.iter_predict(images))


def _resident() -> float:
    """The memory of this process in MB; NaN where the system doesn't show it."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if path.exists() else float("nan")


def options(about: str | None) -> argparse.ArgumentParser:
    """The options that the tools for trained detectors share."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a run")
    parser.add_argument("data", help="annotated images with one object each")
    parser.add_argument("--part", choices=("all", "validation", "training"), default="validation", help="which of them")
    parser.add_argument("--threads", type=int, default=2)
    return parser


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of the speed; 0 leaves it out")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    detector, data = LandmarkDetector.load(asked.run), Annotations.read(asked.data, part=asked.part)
    print("\n".join(found_table(detector, data)))
    if asked.rounds:
        print(speed(detector, data, rounds=asked.rounds))


if __name__ == "__main__":
    main()
