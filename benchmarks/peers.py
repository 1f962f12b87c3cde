"""dlib's shape predictor on the same faces, boxes and cores as a detector of brule: error, minutes, size and speed.

``python -m benchmarks.peers 300w -n 10 50 0`` learns from the annotated images that ``brule train --n-labelled`` draws with
the same seed (0: from all), and measures on the validation images inside the same boxes. Needs ``pip install dlib-bin``. Two
sets of options: dlib's own ("defaults") and, up to 100 images, those of its example program for small sets ("example": trees
of depth 2, nu 0.05, 300 random starts for each image).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.whole_images import Annotations
from brule.data import Sample, load_image
from brule.data.training_data import labelled_images

SMALL = 100  # images up to which the example's options are measured, too
EXAMPLE = {"oversampling_amount": 300, "nu": 0.05, "tree_depth": 2}


def measure(samples: list[Sample], held_out: Annotations, *, threads: int, options: dict[str, Any]) -> str:
    """Train and measure: a row of the table."""
    dlib = import_module("dlib")
    settings = dlib.shape_predictor_training_options()
    settings.num_threads = threads
    for name, value in options.items():
        setattr(settings, name, value)
    images, found = [], []
    for sample in samples:
        assert sample.points is not None
        images.append(np.asarray(load_image(sample.path)))
        parts = dlib.points([dlib.point(round(x), round(y)) for x, y in sample.points])
        found.append([dlib.full_object_detection(_rectangle(dlib, sample), parts)])
    started = time.perf_counter()
    predictor = dlib.train_shape_predictor(images, found, settings)
    minutes = (time.perf_counter() - started) / 60
    with tempfile.TemporaryDirectory() as folder:
        predictor.save(path := os.path.join(folder, "predictor.dat"))
        megabytes = os.path.getsize(path) / 1e6
    answers, seconds = [], 0.0
    for sample in held_out.samples:
        image = np.asarray(load_image(sample.path))
        started = time.perf_counter()
        answer = predictor(image, _rectangle(dlib, sample))
        seconds += time.perf_counter() - started
        answers.append([(part.x, part.y) for part in answer.parts()])
    errors = held_out.percent(np.array(answers, dtype=np.float64))
    speed = len(errors) / seconds
    return f"{errors.mean():.2f} % | {np.median(errors):.2f} % | {minutes:.1f} | {megabytes:.1f} | {speed:.0f}"


def _rectangle(dlib: Any, sample: Sample) -> Any:
    box = sample.crop(1.0)
    assert box is not None
    return dlib.rectangle(*(round(edge) for edge in box))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="annotated images with one object each, without missing landmarks")
    parser.add_argument("-n", type=int, nargs="+", default=[10, 50, 0], help="annotated images; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    held_out = Annotations.read(str(asked.data), part="validation")
    print("| annotated images | options | NME | median | minutes | MB | images/s |")
    print("|---" * 7 + "|")
    for n in asked.n:
        chosen = labelled_images([asked.data], n_labelled=n or None, seed=asked.seed, exclude_validation=True, skip_bad=False)
        samples = list(chosen)
        for name, options in {"defaults": {}, **({"example": EXAMPLE} if len(samples) <= SMALL else {})}.items():
            row = measure(samples, held_out, threads=asked.threads, options=options)
            print(f"| {len(samples)} | {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
