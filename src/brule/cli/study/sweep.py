"""``brule study sweep``: one setting at several values."""

from __future__ import annotations

from typing import Annotated

from brule.cli.options import Many
from brule.cli.output import say
from brule.cli.study.runs import ShapeRuns, stopped


def sweep(term: str, /, *, values: Annotated[list[str], Many], runs: ShapeRuns) -> int:
    """One setting at several values: where landmarks are best, and how its extremes destroy them (Figs. 10, 11).

    Every value is trained from scratch with every seed, for the same number of iterations, and measured on the same images. A
    study that was stopped continues with the same command; you can add values later. The folder gets `sweep.md` (the table),
    `sweep.svg` (error against value), `predictions.png` (predictions at the lowest, the best and the highest value) and
    `sweep.json`.

    **Examples**

        brule study sweep R_g --values 0 150 1500 15000 --preset paper-small --images photos/ --shapes annotated/
            --data annotated-test/ -o studies/rg

        brule study sweep warp.bends --values 0 1 2 --images 300w --shapes 300w --data 300w --exclude-validation -o studies/bend

    Args:
        term: A setting (`brule train --list-settings` shows all), or a name of the paper: R_b, R_g, L_rec^I, L_rec^L, L_g,
            L_style, lambda, sigma. A term that the preset has switched off is refused: the presets `paper` and
            `paper-small` have them all.
        values: The values of the setting.
    """
    from brule.studies import report_sweep, resolve_sweep

    found = resolve_sweep(term, values, preset=runs.preset, overrides=runs.overrides())
    study_data = runs.study_data()
    scores = runs.run(found.arms, study_data)
    if scores is None:
        return stopped()
    protocol = runs.protocol(study_data)
    measured = study_data.measured
    say(report_sweep(runs.output, found, scores, measured=measured, protocol=protocol, failed=scores.failed))
    scores.check_complete()
    return 0
