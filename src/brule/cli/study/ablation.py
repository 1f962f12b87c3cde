"""``brule study ablation``: what each part of the loss is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from brule.cli.options import Many, Output
from brule.cli.output import note, say
from brule.cli.study.training_data import SEEDS, stopped, study_material
from brule.errors import ConfigError


def ablation(
    *,
    images: Annotated[list[str], Many],
    shapes: Annotated[list[str], Many],
    data: Annotated[list[str], Many],
    output: Annotated[Path, Output],
    n_shapes: int | None = 10,
    seeds: Annotated[list[int] | None, Many] = None,
    arms: Annotated[list[str] | None, Many] = None,
    preset: str = "cpu",
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True)] = None,
    exclude_validation: bool = False,
    quiet: bool = False,
) -> int:
    """What each part of the loss is worth: the full loss against the same without R_g, without R_b, without the GAN (Fig. 12).

    Every arm is trained anew with every seed, for the same number of iterations, and measured on the same images. A study
    that was stopped continues with the same command; runs that are finished are read. Two commands with different `--seeds`
    may work on one folder at a time. The folder gets `ablation.md` (the table), `ablation.svg` and `ablation.json`.

    **Examples**

        brule study ablation --images photos/ --shapes annotated/ --data annotated-test/ -o studies/ablation

        brule study ablation --images 300w --shapes 300w --data 300w --exclude-validation --set iterations=800 -o studies/short

    Args:
        images: Folders, files or globs of unlabelled images.
        shapes: The annotated shapes, of which each seed draws its own.
        data: Annotated images to measure on.
        output: The study's folder.
        n_shapes: Shapes a run gets.
        seeds: Seeds of the runs; by default 0 1 2.
        arms: Names of the arms to run, as the table has them; by default all.
        preset: Base settings: `cpu`, `gpu`, `paper`, or a `.toml` file.
        set_: Settings that all arms share, `key=value`; a time limit would let the arms differ in iterations, so there is none
            unless it is set here.
        exclude_validation: Learn from images outside the validation tenth, and measure on that tenth of `--data`.
        quiet: No progress bars.
    """
    from brule.studies import ablation_arms, report_ablation, run_arms
    from brule.training.config import load_config, parse_overrides

    overrides = {"time_limit": "0"} | parse_overrides(set_ or [])
    known = {arm.name: arm for arm in ablation_arms(load_config(preset, overrides))}
    for name in arms or ():
        if name not in known:
            raise ConfigError(f"--arms: {name!r} is none of the arms of these settings: {', '.join(known)}")
    chosen = [known[name] for name in arms or known]
    material = study_material(images, shapes, data, n_shapes=n_shapes, exclude_validation=exclude_validation)
    scores = run_arms(
        output, chosen, seeds or SEEDS, material=material, preset=preset, overrides=overrides, quiet=quiet, say=note
    )
    if scores is None:
        return stopped()
    say(report_ablation(output, scores))
    return 0
