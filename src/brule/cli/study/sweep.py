"""``brule study sweep``: one setting at several values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from brule.cli.options import Many, Output
from brule.cli.output import note, say
from brule.cli.study.training_data import SEEDS, stopped, study_material


def sweep(
    term: str,
    /,
    *,
    values: Annotated[list[str], Many],
    images: Annotated[list[str], Many],
    shapes: Annotated[list[str], Many],
    data: Annotated[list[str], Many],
    output: Annotated[Path, Output],
    n_shapes: int | None = 10,
    seeds: Annotated[list[int] | None, Many] = None,
    preset: str = "cpu",
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True)] = None,
    exclude_validation: bool = False,
    quiet: bool = False,
) -> int:
    """One setting at several values: where landmarks are best, and how its extremes destroy them (Figs. 10, 11).

    Every value is trained anew with every seed, for the same number of iterations, and measured on the same images. A study
    that was stopped continues with the same command; values may be added later. The folder gets `sweep.md` (the table),
    `sweep.svg` (error against value), `predictions.png` (predictions at the lowest, the best and the highest value) and
    `sweep.json`.

    **Examples**

        brule study sweep R_b --values 0 0.01 0.1 1 10 --images photos/ --shapes annotated/ --data annotated-test/ -o studies/rb

        brule study sweep warp.bends --values 0 1 2 --images 300w --shapes 300w --data 300w --exclude-validation -o studies/bend

    Args:
        term: A setting (`brule train --list-settings` shows all), or a name of the paper: R_b, R_g, L_rec^I, L_rec^L, L_g,
            L_style, lambda, sigma. Where the preset has the paper's own weight at 0, our replacement is swept; the
            table names the setting.
        values: Of the setting.
        images: Folders, files or globs of unlabelled images.
        shapes: The annotated shapes, of which each seed draws its own.
        data: Annotated images to measure on.
        output: The study's folder.
        n_shapes: Shapes a run gets.
        seeds: Seeds of the runs; by default 0 1 2.
        preset: Base settings: `cpu`, `gpu`, `paper`, or a `.toml` file.
        set_: Settings that all runs share, `key=value`; a time limit would let them differ in iterations, so there is none
            unless it is set here.
        exclude_validation: Learn from images outside the validation tenth, and measure on that tenth of `--data`.
        quiet: No progress bars.
    """
    from brule.studies import report_sweep, resolve_sweep, run_arms
    from brule.training.config import parse_overrides

    overrides = {"time_limit": "0"} | parse_overrides(set_ or [])
    found = resolve_sweep(term, values, preset=preset, overrides=overrides)
    material = study_material(images, shapes, data, n_shapes=n_shapes, exclude_validation=exclude_validation)
    scores = run_arms(
        output, found.arms, seeds or SEEDS, material=material, preset=preset, overrides=overrides, quiet=quiet, say=note
    )
    if scores is None:
        return stopped()
    say(report_sweep(output, found, scores, measured=material.measured))
    return 0
