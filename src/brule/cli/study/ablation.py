"""``brule study ablation``: what each part of the loss is worth."""

from __future__ import annotations

from typing import Annotated

from brule.cli.options import Many
from brule.cli.output import say
from brule.cli.study.runs import ShapeRuns, stopped
from brule.errors import ConfigError


def ablation(*, runs: ShapeRuns, arms: Annotated[list[str] | None, Many] = None) -> int:
    """What each part of the loss is worth: the full loss against the same without R_g, without R_b, without the GAN (Fig. 12).

    Every variant is trained from scratch with every seed, for the same number of iterations, and measured on the same images.
    A study that was stopped continues with the same command; runs that are finished are read. Two commands with different
    `--seeds` may work on one folder at a time. The folder gets `ablation.md` (the table), `ablation.svg` and `ablation.json`.

    **Examples**

        brule study ablation --images photos/ --shapes annotated/ --data annotated-test/ -o studies/ablation

        brule study ablation --images 300w --shapes 300w --data 300w --exclude-validation --set iterations=800 -o studies/short

    Args:
        arms: Names of the variants to run, as in the table; by default all.
    """
    from brule.studies import ablation_arms, report_ablation
    from brule.training.config import load_config

    known = {arm.name: arm for arm in ablation_arms(load_config(runs.preset, runs.overrides()))}
    for name in arms or ():
        if name not in known:
            raise ConfigError(f"--arms: {name!r} is none of the variants of these settings: {', '.join(known)}")
    study_data = runs.study_data()
    scores = runs.run([known[name] for name in arms or known], study_data)
    if scores is None:
        return stopped()
    say(report_ablation(runs.output, scores, protocol=runs.protocol(study_data), failed=scores.failed))
    scores.check_complete()
    return 0
