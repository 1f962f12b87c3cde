"""How much unlabelled images help at several shares of the labels: with and without BRULÈ (the paper's Table 1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from brule.errors import ConfigError
from brule.files import write_text
from brule.plots import save_picture
from brule.plots.svg import ablation_chart, captioned
from brule.studies.failures import Failure, Results, failed_content, failed_table
from brule.studies.regularizer import ALONE, REGULARIZED, check_apart
from brule.studies.runs import FLOOR, Arm, Protocol, Score, paired_difference, run_each, scores_by_arm
from brule.studies.study_data import StudyData

SHARES = (1.0, 0.5, 0.1)


def label_counts(shares: Sequence[float], total: int) -> dict[float, int]:
    """How many annotated images each share is, the largest share first.

    Raises:
        ConfigError: a share isn't in (0, 1], or two of them are the same number of images.
    """
    for share in shares:
        if not 0 < share <= 1:
            raise ConfigError(f"--shares: expected shares of the labels above 0 and up to 1, got {share:g}")
    counts = {share: max(1, round(share * total)) for share in sorted(set(shares), reverse=True)}
    if len(set(counts.values())) < len(counts) or not counts:
        raise ConfigError(f"--shares: expected shares that differ by an image at least; {total} annotated images are too few")
    return counts


def run_labels(
    directory: Path,
    seeds: Sequence[int],
    data: StudyData,
    *,
    shares: Sequence[float] = SHARES,
    preset: str,
    overrides: Mapping[str, Any],
    quiet: bool = False,
    say: Callable[[str], object] = print,
) -> Results[Score] | None:
    """Train on each share of the annotated images, alone and beside the unlabelled ones, seed by seed; finished runs are read.

    Args:
        directory: of the study.
        seeds: of the runs; each draws its own annotated images, the same ones for both arms of a share.
        data: with annotated images and unlabelled ones.
        shares: of the annotated images.
        preset: where settings start.
        overrides: settings that all runs share.
        quiet: no progress bars.
        say: called with a line when a run ends.

    Returns:
        All scores; ``None`` if Ctrl-C ended the study, which the next call resumes. A run that can't be trained is in
        ``failed`` of the result instead, and in ``failure.json`` of its folder; the next call tries it again.

    Raises:
        TrainingError: no run can be trained.
        ConfigError: a share makes no sense.
        DataError: there are no annotated images, no unlabelled ones, or one of those measured on is learnt from.
        CheckpointError: the directory holds runs with other settings, or damaged ones.
    """
    check_apart(data)
    counts = label_counts(shares, len(data.labelled or ()))
    runs = []
    for seed in seeds:
        for share, count in counts.items():
            own = replace(data, n_labelled=count)
            runs.append((Arm(arm_name(ALONE, share)), seed, replace(own, images=None)))
            runs.append((Arm(arm_name(REGULARIZED, share)), seed, own))
    return run_each(directory, runs, preset=preset, overrides=overrides, quiet=quiet, say=say)


def arm_name(name: str, share: float) -> str:
    """What a table calls an arm: ``labels alone, 10 %``."""
    return f"{name}, {100 * share:g} %"


def report_labels(
    directory: Path,
    scores: Sequence[Score],
    *,
    shares: Sequence[float],
    total: int,
    protocol: Protocol,
    failed: Sequence[Failure] = (),
) -> str:
    """Write ``labels.json``, ``labels.md`` and the chart ``labels.svg``.

    Args:
        directory: of the study.
        scores: of all runs.
        shares: of the annotated images.
        total: how many annotated images there are.
        protocol: how the runs were made.
        failed: the runs without a score.

    Returns:
        The table, as Markdown, and the protocol below it.
    """
    description = protocol.describe(scores)
    table = f"{labels_table(scores, label_counts(shares, total))}{failed_table(failed)}\n{description}\n"
    content = {"protocol": asdict(protocol), "shares": list(shares), "runs": [asdict(score) for score in scores]}
    content |= failed_content(failed)
    write_text(directory / "labels.json", json.dumps(content, indent=1) + "\n")
    write_text(directory / "labels.md", table)
    errors = {name: [score.nme for score in found] for name, found in scores_by_arm(scores).items()}
    save_picture(captioned(ablation_chart(errors), description), directory / "labels.svg")
    return table


def labels_table(scores: Sequence[Score], counts: Mapping[float, int]) -> str:
    """One row per share: both arms with every seed, their medians and W₁, and the difference on the same images."""
    by_arm = scores_by_arm(scores)
    lines = [
        "| labels | alone, NME (%) per seed | median (W₁) | with BRULÈ, NME (%) per seed | median (W₁) "
        "| with − alone (95 % interval over images) |",
        "|---|---|---|---|---|---|",
    ]
    for share, count in counts.items():
        alone, beside = (by_arm.get(arm_name(name, share), []) for name in (ALONE, REGULARIZED))
        if alone and beside:
            cells = [f"{100 * share:g} %, {count}", *_cells(alone), *_cells(beside), paired_difference(alone, beside)]
            lines.append(f"| {' | '.join(cells)} |")
    floor = median(score.floor_nme for score in scores)
    lines += ["", f"{FLOOR}. Median NME: {floor:.2f} %."]
    return "\n".join(lines) + "\n"


def _cells(scores: Sequence[Score]) -> tuple[str, str]:
    each = ", ".join(f"{score.nme:.2f}" for score in scores)
    return each, f"{median(score.nme for score in scores):.2f} ({mean(score.w1 for score in scores):.2f})"
