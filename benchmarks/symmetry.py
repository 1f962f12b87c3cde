"""How often the mirror symmetry of a few annotated shapes is found, and how often one that isn't there.

``python -m benchmarks.symmetry 300w`` draws sets of ten shapes and compares the permutation that is found with that of the mean
of all shapes: by several shapes, as training looks for it, and by their mean alone. ``--subset 8`` takes so many landmarks at
random, in a crop of their own; ``--none`` says that the object has no symmetry, so that "none" is what is right.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brule.data.shapes import to_crop
from brule.data.training_data import labelled_images
from brule.geometry import mirror_permutation


def verdict(found: Tensor | None, truth: Tensor | None) -> str:
    """Whether what was found is right."""
    if found is None:
        return "none"
    return "right" if truth is not None and torch.equal(found, truth) else "other"


def main() -> None:
    """Draw, look and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="annotated images")
    options.add_argument("-n", type=int, nargs="+", default=[5, 10, 20], help="shapes in a set")
    options.add_argument("--draws", type=int, default=60)
    options.add_argument("--subset", type=int, help="so many landmarks, drawn anew each time")
    options.add_argument("--none", action="store_true", help="the object has no symmetry")
    asked = options.parse_args()
    samples = labelled_images([asked.data], n_labelled=None, seed=0, exclude_validation=True, skip_bad=False)
    points = [np.asarray(sample.points, dtype=np.float64) for sample in samples]
    whole = torch.stack([torch.from_numpy(to_crop(one)) for one in points])
    truth = None if asked.none or asked.subset else mirror_permutation(whole.mean(0))
    print("| shapes | by | right | other | none |\n|---|---|---|---|---|")
    for n in asked.n:
        verdicts: dict[str, Counter[str]] = {"several shapes": Counter(), "their mean": Counter()}
        for draw in range(asked.draws):
            generator = np.random.default_rng(draw)
            chosen = generator.choice(len(points), n, replace=False)
            places = generator.choice(len(whole[0]), asked.subset, replace=False) if asked.subset else np.arange(len(whole[0]))
            shapes = torch.stack([torch.from_numpy(to_crop(points[k][places])) for k in chosen])
            verdicts["several shapes"][verdict(mirror_permutation(shapes), truth)] += 1
            verdicts["their mean"][verdict(mirror_permutation(shapes.mean(0)), truth)] += 1
        for by, counts in verdicts.items():
            print(f"| {n} | {by} | {counts['right']} | {counts['other']} | {counts['none']} |", flush=True)


if __name__ == "__main__":
    main()
