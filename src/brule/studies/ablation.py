"""What each term is worth: the full loss against the same without one of its parts (the paper's Figs. 4 and 12)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median

from brule.files import write_text
from brule.plots import save_picture
from brule.plots.svg import ablation_chart, captioned
from brule.studies.failures import Failure, failed_content, failed_table
from brule.studies.runs import FLOOR, Arm, Protocol, Score, paired_difference, scores_by_arm
from brule.training.config import TrainingConfig

FULL = "full loss"


def ablation_arms(config: TrainingConfig) -> list[Arm]:
    """The full loss, and the same without each of its parts that the settings have.

    Without ``R_b`` nothing of the shape is left in the loss, without ``R_g`` nothing that compares moved images; in the
    presets that leave the paper, their replacements are removed. Deformations in the random warps stay.

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
    if loss.geometric and loss.coordinates:
        arms.append(Arm("R_g without its l1 norm", {"loss.coordinates": 0}))
    if not gan.enabled:
        return arms
    arms.append(Arm("without GAN and reconstruction", {"gan.enabled": False}))
    if loss.image_reconstruction:
        arms.append(Arm("without L_rec^I", {"loss.image_reconstruction": 0}))
    if loss.landmark_reconstruction or loss.drawn:
        arms.append(Arm("without L_rec^L", {"loss.landmark_reconstruction": 0, "loss.drawn": 0}))
    if gan.adversarial:
        arms.append(Arm("without discriminator", {"gan.adversarial": 0}))
    if gan.style:
        arms.append(Arm("without L_style", {"gan.style": 0}))
    return arms


def report_ablation(directory: Path, scores: Sequence[Score], *, protocol: Protocol, failed: Sequence[Failure] = ()) -> str:
    """Write ``ablation.json``, ``ablation.md`` and ``ablation.svg``.

    Returns:
        The table, as Markdown, and the protocol below it.
    """
    description = protocol.describe(scores)
    table = f"{ablation_table(scores)}{failed_table(failed)}\n{description}\n"
    content = {"protocol": asdict(protocol), "runs": [asdict(score) for score in scores]} | failed_content(failed)
    write_text(directory / "ablation.json", json.dumps(content, indent=1) + "\n")
    write_text(directory / "ablation.md", table)
    by_arm = scores_by_arm(scores)
    figure = ablation_chart({name: [score.nme for score in found] for name, found in by_arm.items()})
    save_picture(captioned(figure, description), directory / "ablation.svg")
    return table


def ablation_table(scores: Sequence[Score]) -> str:
    """One row per arm: NME of every seed, their median, W₁, and how much worse than the full loss it is on the same images.

    The difference is that of the errors, averaged over the seeds that both arms have, image by image, with the 95 % interval
    of a bootstrap over the images. It doesn't show how seeds differ; the single figures do.
    """
    by_arm = scores_by_arm(scores)
    lines = [
        "| | NME (%) per seed | median | mean W₁ (%) | NME over the full loss (95 % interval over images) | iterations |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in by_arm.items():
        each = ", ".join(f"{score.nme:.2f}" for score in found)
        counts = sorted({score.iterations for score in found})
        over = "" if name == FULL or FULL not in by_arm else paired_difference(by_arm[FULL], found)
        middle = f"{median(score.nme for score in found):.2f} | {mean(score.w1 for score in found):.2f}"
        lines.append(f"| {name} | {each} | {middle} | {over} | {', '.join(map(str, counts))} |")
    floors = ", ".join(f"{score.floor_nme:.2f}" for score in next(iter(by_arm.values())))
    return "\n".join([*lines, "", f"{FLOOR}. NME (%) per seed: {floors}."]) + "\n"
