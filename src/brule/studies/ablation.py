"""What each term is worth: the full loss against the same without one of its parts (the paper's Figs. 4 and 12)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from brule.evaluation import compare_errors
from brule.files import write_text
from brule.plots import ablation_figure, save_figure
from brule.studies.runs import Arm, Score, StudyMaterial, run_arm
from brule.training.config import TrainingConfig

FULL = "full loss"


def ablation_arms(config: TrainingConfig) -> list[Arm]:
    """The full loss, and the same without each of its parts that the settings have.

    Without ``R_b`` nothing of the shape is left in the loss, without ``R_g`` nothing that compares moved images; in the
    presets that leave the paper, what stands in their place goes. Deformations in the random warps stay.

    Args:
        config: the settings that the arms start from.
    """
    loss, gan = config.loss, config.gan
    shape = {"loss.barycenter": 0, "loss.shape_prior": 0, "loss.population": 0, "loss.tied": False}
    arms = [
        Arm(FULL),
        Arm("without R_g", {"loss.geometric": 0, "loss.equivariance": 0}),
        Arm("without R_b", shape | {"teacher.centre": False, "teacher.noise": 0}),
    ]
    if not gan.enabled:
        return arms
    arms.append(Arm("without GAN and reconstruction", {"gan.enabled": False}))
    if loss.image_reconstruction:
        arms.append(Arm("without L_rec^I", {"loss.image_reconstruction": 0}))
    if loss.landmark_reconstruction or loss.drawn:
        arms.append(Arm("without L_rec^L", {"loss.landmark_reconstruction": 0, "loss.drawn": 0}))
    if gan.adversarial:
        arms.append(Arm("without discriminator", {"gan.adversarial": 0}))
    return arms


def run_ablation(
    directory: Path,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    material: StudyMaterial,
    *,
    preset: str,
    overrides: Mapping[str, Any],
    quiet: bool = False,
    say: Callable[[str], object] = print,
) -> list[Score] | None:
    """Run every arm with every seed, seed by seed; runs that are there already are read.

    Args:
        directory: of the study.
        arms: what is compared.
        seeds: of the runs.
        material: what is learnt from and measured on.
        preset: where settings start.
        overrides: settings that all arms share.
        quiet: no progress bars.
        say: told how each run ended.

    Returns:
        All scores; ``None`` if Ctrl-C ended the study, which the next call takes up.
    """
    scores = []
    for seed in seeds:
        for arm in arms:
            score = run_arm(directory, arm, seed, material, preset=preset, overrides=overrides, quiet=quiet)
            if score is None:
                return None
            say(f"{arm.name}, seed {seed}: NME {score.nme:.2f} %, W1 {score.w1:.2f} % (floor {score.floor_nme:.2f} %)")
            scores.append(score)
    return scores


def tell_ablation(directory: Path, scores: Sequence[Score]) -> str:
    """Write ``ablation.json``, ``ablation.md`` and ``ablation.png``.

    Returns:
        The table, as Markdown.
    """
    table = ablation_table(scores)
    write_text(directory / "ablation.json", json.dumps([asdict(score) for score in scores], indent=1) + "\n")
    write_text(directory / "ablation.md", table)
    by_arm = _by_arm(scores)
    figure = ablation_figure({name: [score.nme for score in found] for name, found in by_arm.items()})
    save_figure(figure, directory / "ablation.png")
    return table


def ablation_table(scores: Sequence[Score]) -> str:
    """A row an arm: NME of every seed, their median, W₁, and how much worse than the full loss it is on the same images.

    The difference is that of the errors, averaged over the seeds that both arms have, image by image, with the 95 % interval
    of a bootstrap over the images; it says nothing of how seeds differ, which the single figures show.
    """
    by_arm = _by_arm(scores)
    lines = [
        "| | NME (%) a seed | median | mean W₁ (%) | NME over the full loss (95 % interval over images) | iterations |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in by_arm.items():
        each = ", ".join(f"{score.nme:.2f}" for score in found)
        counts = sorted({score.iterations for score in found})
        over = "" if name == FULL or FULL not in by_arm else _difference(by_arm[FULL], found)
        middle = f"{median(score.nme for score in found):.2f} | {mean(score.w1 for score in found):.2f}"
        lines.append(f"| {name} | {each} | {middle} | {over} | {', '.join(map(str, counts))} |")
    floors = ", ".join(f"{score.floor_nme:.2f}" for score in next(iter(by_arm.values())))
    return "\n".join([*lines, "", f"Floor (the barycenter for every image), seed by seed: {floors}."]) + "\n"


def _by_arm(scores: Sequence[Score]) -> dict[str, list[Score]]:
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.arm, []).append(score)
    return {name: sorted(own, key=lambda score: score.seed) for name, own in found.items()}


def _difference(full: Sequence[Score], other: Sequence[Score]) -> str:
    mine, theirs = ({score.seed: np.array(score.errors) for score in scores} for scores in (full, other))
    shared = sorted(mine.keys() & theirs.keys())
    if not shared:
        return ""
    errors = {name: np.mean([own[seed] for seed in shared], axis=0) for name, own in (("full", mine), ("other", theirs))}
    (pair,) = compare_errors(errors)  # other − full
    return f"{pair.difference:+.2f} ({pair.low:+.2f} to {pair.high:+.2f})"
