"""How well the mean shape of all images is known from a few annotated ones and a detector that hasn't learnt from them.

``python -m benchmarks.mean_shape 300w runs/without-labels`` draws sets of annotated images at random and prints how far three
estimates lie from the mean of all annotated training shapes: the mean of the set, prediction-powered inference, and the same
with its power tuned, as ``brule.training.debiasing`` has it. In % of the normaliser, a mean over landmarks; both sides
symmetric where the shape is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brule import LandmarkDetector
from brule.data import build_cache
from brule.data.training_data import labelled_images
from brule.evaluation import normaliser
from brule.geometry import mirror_permutation, mirrored
from brule.training.debiasing import mean_of_all


def estimates(truth: Tensor, found: Tensor, everywhere: Tensor) -> dict[str, Tensor]:
    """The mean of all, ``(N, 2)``, by the name of the estimate."""
    return {
        "mean of the annotated": truth.mean(0),
        "prediction-powered": everywhere + (truth - found).mean(0),
        "power-tuned": mean_of_all(truth, found, everywhere),
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="annotated images; those for validation are left out")
    options.add_argument("detector", type=Path, nargs="+")
    options.add_argument("-n", type=int, nargs="+", default=[10, 50], help="annotated images in a set")
    options.add_argument("--draws", type=int, default=200)
    asked = options.parse_args()
    samples = labelled_images([asked.data], n_labelled=None, seed=0, exclude_validation=True, skip_bad=False)
    print("| detector | its NME | annotated | mean of the annotated | prediction-powered | power-tuned |")
    print("|---" * 6 + "|")
    for folder in asked.detector:
        detector = LandmarkDetector.load(folder)
        crop = detector.config_.crop
        cache = build_cache(samples, crop.image_size, scale=crop.scale)
        truth = torch.as_tensor(np.asarray(cache.points)).double()
        found = detector.predict_crops(np.array(cache.images)).points.double()
        if not truth.isfinite().all():
            options.error("expected annotations that lack no landmark")
        unit = torch.as_tensor(normaliser(truth.numpy())[1]).reshape(-1, 1)
        nme = float(((found - truth).norm(dim=-1) / unit).mean())
        mirror = mirror_permutation(truth.mean(0).float())
        if mirror is not None:  # every image counts twice, as it is and mirrored
            truth, found = (torch.stack([one, mirrored(one, mirror)], 1) for one in (truth, found))
        else:
            truth, found = truth[:, None], found[:, None]
        everywhere, goal = found.flatten(0, 1).mean(0), truth.flatten(0, 1).mean(0)
        for n in asked.n:
            off: dict[str, list[float]] = {}
            for draw in range(asked.draws):
                chosen = np.random.default_rng(draw).choice(len(truth), n, replace=False)
                drawn = (truth[chosen].flatten(0, 1), found[chosen].flatten(0, 1))
                for name, mean in estimates(*drawn, everywhere).items():
                    off.setdefault(name, []).append(float((mean - goal).norm(dim=-1).mean() / unit.mean()))
            cells = " | ".join(f"{100 * np.mean(one):.2f}" for one in off.values())
            print(f"| {folder.name} | {100 * nme:.1f} | {n} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
