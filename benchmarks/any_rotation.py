"""Several objects at any angle: a detector trained on drawn scenes, and its precision and recall on others.

``python -m benchmarks.any_rotation FOLDER`` draws scenes with 1 to 6 faces turned by any angle, annotates ten of them, trains
on those and on others without labels, and searches new ones. A found face is right if its object keypoint similarity (OKS) with
an annotated one is 0.5 or more, each annotated face counting once.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from brule import LandmarkDetector
from brule.data import Sample, SampleList
from brule.data.synthetic import SyntheticScenes, synthetic_scenes
from brule.locating import DetectionCounts, count_detections

SIZE = 256
OBJECTS, SIDE = (1, 6), (0.2, 0.4)
TEST_FROM, ANNOTATED_FROM = 1_000_000, 2_000_000  # numbers of the scenes: ranges that can't meet


def scenes(count: int, start: int) -> SyntheticScenes:
    """Scenes with 1 to 6 faces at any angle."""
    return synthetic_scenes(count, size=SIZE, objects=OBJECTS, side=SIDE, rotation=180, start=start)


def annotated(folder: Path, count: int) -> SampleList:
    """Scenes written to files, one sample per face."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn, samples = scenes(count, ANNOTATED_FROM), []
    for k, (image, shapes) in enumerate(zip(drawn.images, drawn.points, strict=True)):
        path = folder / f"{k}.png"
        Image.fromarray(image).save(path)
        samples += [Sample(path, shape) for shape in shapes]
    return SampleList(samples)


def counted(detector: LandmarkDetector, test: SyntheticScenes, **options: object) -> DetectionCounts:
    """Precision and recall over scenes."""
    found = detector.predict(list(test.images), objects="all", **options)  # type: ignore[arg-type]
    total = DetectionCounts()
    for k, truth in enumerate(test.points):
        own = found.of(k)
        total += count_detections(own.points.double().numpy(), truth.astype(np.float64), scores=own.score.numpy())
    return total


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the annotated scenes and the run are written")
    parser.add_argument("--images", type=int, default=200, help="scenes without labels")
    parser.add_argument("--test", type=int, default=100, help="scenes that are searched")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    start = time.perf_counter()
    settings = {"iterations": asked.iterations, "time_limit": 0, "threads": asked.threads, "locator.any_rotation": "always"}
    detector = LandmarkDetector(**settings)
    unlabelled = list(scenes(asked.images, 0).images)
    detector.fit(unlabelled, labelled=annotated(asked.folder / "annotated", 10), directory=asked.folder / "run")
    minutes = (time.perf_counter() - start) / 60
    test = scenes(asked.test, TEST_FROM)
    total = counted(detector, test)
    faces = sum(len(shapes) for shapes in test.points)
    print(f"trained for {minutes:.1f} minutes; {faces} faces in {asked.test} scenes")
    print(f"precision {total.precision:.3f}, recall {total.recall:.3f}")


if __name__ == "__main__":
    main()
