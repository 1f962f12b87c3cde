"""How often the locator finds the object in whole photographs, how long it learns, and how fast it searches.

``python -m benchmarks.locating DIR`` takes a folder of annotated images (any format that brule reads), draws ten of the
training images for each seed, learns a locator from them and from the other training images without their labels, and
searches the images held out, and training images that weren't learnt from. A detection is right if its centre is off by at most
25 % of the object's longer side, and its size by at most 30 %.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from brule.data import Sample, landmark_box, load_image, read_samples, split_by_name
from brule.locating import Locator, LocatorSettings, agrees, from_boxes, learn_locator


def shares(locator: Locator, samples: list[Sample]) -> tuple[float, float, float]:
    """Percentage of images whose best detection is right, and with a right one among the best three; milliseconds per image."""
    images = [load_image(sample.path) for sample in samples]
    start = time.perf_counter()
    found = locator.locate(images, most=3)
    milliseconds = 1000 * (time.perf_counter() - start) / len(images)
    first, three = [], []
    for k, sample in enumerate(samples):
        truth = from_boxes(np.array([landmark_box(sample.points)]))  # type: ignore[arg-type]
        right = agrees(from_boxes(found.of(k).boxes), truth[0])
        first.append(bool(right[:1].any()))
        three.append(bool(right.any()))
    return 100 * float(np.mean(first)), 100 * float(np.mean(three)), milliseconds


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="annotated images")
    options.add_argument("-n", type=int, default=10, help="annotated images to learn from")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--unlabelled", type=int, default=300, help="unlabelled images at most")
    options.add_argument("--others", type=int, default=150, help="training images that are searched at most")
    options.add_argument("--validation", action="store_true", help="search the images held out too")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the locator")
    asked = options.parse_args()
    torch.set_num_threads(asked.threads)
    named = {name: float(value) if "." in value else int(value) for name, value in (pair.split("=") for pair in asked.set)}
    settings = replace(LocatorSettings(unlabelled=asked.unlabelled), **named)  # type: ignore[arg-type]
    everything = read_samples([asked.data])
    split = split_by_name([sample for sample in everything if sample.crop() is not None])
    print("| seed | learnt in | images | first detection right | one of three right | ms per image |")
    print("|---" * 6 + "|")
    for seed in range(asked.seeds):
        order = np.random.default_rng(seed).permutation(len(split.train))
        ten, rest = [split.train[k] for k in order[: asked.n]], [split.train[k] for k in order[asked.n :]]
        others = rest[-asked.others :]
        unlabelled = rest[: -asked.others] if len(rest) > asked.others + 20 else rest
        paths = [one.path for one in unlabelled]
        start = time.perf_counter()
        locator = learn_locator([one.path for one in ten], [one.points for one in ten], paths, settings=settings, seed=seed)
        seconds = time.perf_counter() - start
        searched = {"training": others, "held out": list(split.validation) if asked.validation else []}
        for name, part in searched.items():
            if part:
                first, three, milliseconds = shares(locator, part)
                cells = (
                    seed,
                    f"{seconds:.0f} s",
                    f"{len(part)} {name}",
                    f"{first:.1f} %",
                    f"{three:.1f} %",
                    f"{milliseconds:.1f}",
                )
                print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
