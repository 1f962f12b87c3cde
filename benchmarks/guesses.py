"""How far off the page's guess is after ten annotated images, with ImageNet features and without, beside the mean shape.

    python -m benchmarks.guesses drawn
    python -m benchmarks.guesses 300w_photos

Errors in percent of the outer eye corners' distance for 68-point faces, else of the diagonal of the landmarks' box.
With a folder, images are drawn from its training part.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from brule.annotating.examples import Example
from brule.annotating.features import LearntFeatures
from brule.annotating.guessing import GuessModel, mean_guess
from brule.annotating.imagenet import Features, available
from brule.annotating.template import BUILT_IN
from brule.data import read_samples
from brule.data.images import image_size, load_reduced
from brule.data.samples import split_by_name
from brule.data.synthetic import synthetic_faces

SIDE = 512  # pixels, as the page reads images for guesses


def drawn(n: int, seed: int) -> list[Example]:
    """Drawn faces of 256 pixels."""
    faces = synthetic_faces(n, size=256, seed=seed)
    greys = faces.images.mean(-1).astype(np.uint8)
    return [Example(grey, (256, 256), own.astype(np.float64)) for grey, own in zip(greys, faces.points, strict=True)]


def photographs(folder: Path, n: int, seed: int) -> list[Example]:
    """Photographs of the training part of a folder."""
    samples = split_by_name(read_samples([folder], require_points=True)).train
    chosen = np.random.default_rng(seed).permutation(len(samples))[:n]
    found = []
    for sample in (samples[k] for k in chosen):
        grey = np.asarray(load_reduced(sample.path, SIDE).convert("L"))
        found.append(Example(grey, image_size(sample.path), np.asarray(sample.points, dtype=np.float64)))
    return found


def error(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance in percent."""
    whole = truth[[36, 45]] if len(truth) == 68 else np.stack([truth.min(0), truth.max(0)])
    return 100 * float(np.linalg.norm(found - truth, axis=1).mean() / np.linalg.norm(whole[0] - whole[1]))


def measure(examples: list[Example], n: int) -> None:
    """Fit to the first ``n`` images, and print the errors on the others."""
    ten, others = examples[:n], examples[n:]
    pairs = BUILT_IN["face68"][1].pairs if len(ten[0].annotated()) == 68 else None
    start = time.process_time()
    model = GuessModel.fit(ten, pairs=pairs)
    assert model is not None
    print(f"fitted in {time.process_time() - start:.1f} s of processor time")
    guesses = {
        "mean shape": lambda one: mean_guess(model.statistics, model.pose_prior, one.size),
        "own model": lambda one: model.guess(one).points,
    }
    if available():
        start = time.process_time()
        learnt = LearntFeatures(Features.load())
        learnt.learn(ten, range(n), pairs)
        features = learnt.model(model.statistics)
        print(f"features learnt in {time.process_time() - start:.1f} s")
        guesses["with ImageNet features"] = lambda one: model.guess(one, features).points
    for name, guess in guesses.items():
        start = time.process_time()
        errors = [error(guess(one), one.annotated()) for one in others]
        each = 1000 * (time.process_time() - start) / len(others)
        below = 100 * np.mean(np.array(errors) < 10)
        print(
            f"{name}: mean {np.mean(errors):.2f} %, median {np.median(errors):.2f} %, {below:.0f} % below 10; {each:.0f} ms",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="`drawn`, or a folder of annotated images")
    parser.add_argument("-n", type=int, default=10, help="annotated images")
    parser.add_argument("--others", type=int, default=40, help="images that are measured on")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    count = asked.n + asked.others
    measure(drawn(count, asked.seed) if asked.data == "drawn" else photographs(Path(asked.data), count, asked.seed), asked.n)


if __name__ == "__main__":
    main()
