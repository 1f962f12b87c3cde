"""Which images to annotate next: rounds of annotation with different ways of choosing, on images whose landmarks are known.

``python -m benchmarks.active_learning OUT --data 300w`` starts from ten random annotated images, trains, chooses ten more,
trains again from the start, and so on. *random*: at random; *uncertain*: those with the largest uncertainty; *diverse*:
``brule.choosing.choose_next`` without weights; *both*: weighted by uncertainty. Errors are given on the pool's other half
(``dev``), on which the way was chosen, and on the validation images. Crops are cut by the true boxes. ``--unlabelled`` also
trains on the pool's images without labels. Finished rounds are kept in OUT; the same command continues.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from benchmarks.whole_images import Annotations
from brule import LandmarkDetector
from brule.arrays import Array, mean_of_present
from brule.choosing import choose_next, encoder_descriptors
from brule.data import SampleList, build_cache
from brule.evaluation import normaliser
from brule.files import write_text
from brule.training.config import load_config

WAYS = ("random", "uncertain", "diverse", "both")


@dataclass(frozen=True)
class Crops:
    """Annotated crops ``(B, S, S, 3)`` and their landmarks ``(B, N, 2)`` in the unit square."""

    samples: SampleList
    images: Array
    points: Array

    @classmethod
    def cut(cls, samples: SampleList, size: int) -> Crops:
        """Cut by the boxes of the true landmarks."""
        cache = build_cache(samples, size)
        return cls(cache.samples, np.array(cache.images), np.asarray(cache.points))

    def error(self, detector: LandmarkDetector) -> float:
        """NME in percent."""
        apart = np.linalg.norm(detector.predict_crops(self.images).points.double().numpy() - self.points, axis=2)
        return float(100 * (mean_of_present(apart, axis=1) / normaliser(self.points, "auto")[1]).mean())


def chosen_next(way: str, detector: LandmarkDetector, pool: Crops, annotated: Array, *, count: int, seed: int) -> Array:
    """The images ``(count,)`` to annotate next."""
    free = np.setdiff1d(np.arange(len(pool.images)), annotated)
    if way == "random":
        return np.random.default_rng([seed, len(annotated)]).choice(free, count, replace=False)
    uncertainty = detector.predict_crops(pool.images).uncertainty
    assert uncertainty is not None
    weights = uncertainty.double().numpy()
    if way == "uncertain":
        return free[np.argsort(-weights[free], kind="stable")[:count]]
    descriptors = encoder_descriptors(detector, pool.images)
    return choose_next(descriptors, count, annotated=annotated, weights=weights if way == "both" else None).indices


def rounds(way: str, seed: int, pool: Crops, held_out: dict[str, Crops], asked: argparse.Namespace) -> list[dict[str, float]]:
    """Errors after each round, read from OUT or trained."""
    annotated, found = np.sort(np.random.default_rng(seed).choice(len(pool.images), asked.count, replace=False)), []
    for number in range(asked.rounds + 1):
        run = asked.out / (f"first-{seed}" if number == 0 else f"{way}-{seed}-{number}")
        record = run.with_suffix(".json")
        if record.exists():
            detector = LandmarkDetector.load(run)
            found.append(json.loads(record.read_text())["errors"])
        else:
            detector = LandmarkDetector(**asked.set, seed=seed, quiet=True)
            some = pool.samples.replaced(pool.samples[index] for index in annotated)
            detector.fit(pool.samples.unlabelled() if asked.unlabelled else None, labelled=some, directory=run)
            found.append({name: crops.error(detector) for name, crops in held_out.items()})
            write_text(record, json.dumps({"errors": found[-1], "annotated": annotated.tolist()}) + "\n")
        print(f"{way}, seed {seed}, {len(annotated)} annotated: {found[-1]}", flush=True)
        if number < asked.rounds:
            more = chosen_next(way, detector, pool, annotated, count=asked.count, seed=seed)
            annotated = np.sort(np.concatenate([annotated, more]))
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the runs")
    parser.add_argument("--data", required=True, help="annotated images with one object each")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=10, help="images per round")
    parser.add_argument("--unlabelled", action="store_true", help="train on the pool's images without labels, too")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the training")
    asked = parser.parse_args()
    asked.set = dict(setting.split("=", 1) for setting in asked.set)
    training, validation = (Annotations.read(asked.data, part=part).samples for part in ("training", "validation"))
    size = load_config("cpu", asked.set).crop.image_size
    in_pool = [int(sha256(sample.name.encode()).hexdigest(), 16) % 2 == 0 for sample in training]
    halves = [training.replaced(s for s, here in zip(training, in_pool, strict=True) if here is part) for part in (True, False)]
    pool, dev = (Crops.cut(half, size) for half in halves)
    held_out = {"dev": dev, "validation": Crops.cut(validation, size)}
    table: dict[str, list[list[float]]] = {}
    for seed in asked.seeds:
        for way in asked.ways:
            found = rounds(way, seed, pool, held_out, asked)
            for name in held_out:
                table.setdefault(f"{way}, {name}", []).append([one[name] for one in found])
    print(f"| way, errors on | {' | '.join(str((k + 1) * asked.count) for k in range(asked.rounds + 1))} |")
    print("|---" * (asked.rounds + 2) + "|")
    for name, values in table.items():
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in np.mean(values, axis=0))} |")


if __name__ == "__main__":
    main()
