"""``brule study regularizer``: labels alone against labels with BRULÈ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from brule.cli.options import Many, Output
from brule.cli.output import note, say
from brule.cli.study.training_data import SEEDS, stopped

POINTS = 20


def regularizer(
    *,
    labelled: Annotated[list[str], Many],
    images: Annotated[list[str], Many],
    data: Annotated[list[str], Many],
    output: Annotated[Path, Output],
    n_labelled: int | None = None,
    shapes: Annotated[list[str] | None, Many] = None,
    n_shapes: int | None = None,
    seeds: Annotated[list[int] | None, Many] = None,
    preset: str = "cpu",
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True)] = None,
    exclude_validation: bool = False,
    quiet: bool = False,
) -> int:
    """What unlabelled images bring beside labels: annotated images alone against the same with BRULÈ (Fig. 3).

    Both learn from the same annotated images for the same number of iterations; one of them sees the unlabelled images,
    too. At every checkpoint, by default twenty times, the error on held-out images and on those learnt from is measured. A
    study that was stopped continues with the same command. The folder gets `regularizer.md` (the table), `regularizer.svg`
    (the learning curves) and `regularizer.json`.

    **Examples**

        brule study regularizer --labelled annotated/ --images photos/ --data annotated-test/ -o studies/labels

        brule study regularizer --labelled 300w --n-labelled 50 --images 300w --data 300w --exclude-validation -o studies/fifty

    Args:
        labelled: Annotated images to learn from.
        images: Folders, files or globs of unlabelled images.
        data: Annotated images to measure on; none may be learnt from.
        output: The study's folder.
        n_labelled: Number of annotated images to draw with each seed; by default all are used.
        shapes: The annotated shapes; by default those of the annotated images.
        n_shapes: Shapes a run gets, drawn with its seed.
        seeds: Seeds of the runs; by default 0 1 2.
        preset: Base settings: `cpu`, `gpu`, `paper`, or a `.toml` file.
        set_: Settings that both share, `key=value`; `checkpoint_every` says how often errors are measured. A time limit would
            let them differ in iterations, so there is none unless it is set here.
        exclude_validation: Learn from images outside the validation tenth, and measure on that tenth of `--data`.
        quiet: No progress bars.
    """
    from brule.cli.evaluate import annotated_samples
    from brule.data.training_data import annotated_shapes, labelled_images, training_images
    from brule.studies import StudyMaterial, report_regularizer, run_regularizer
    from brule.training.config import load_config, parse_overrides

    overrides = {"time_limit": "0"} | parse_overrides(set_ or [])
    iterations = load_config(preset, overrides).iterations
    overrides = {"checkpoint_every": str(-(-iterations // POINTS))} | overrides
    reading = {"exclude_validation": exclude_validation, "skip_bad": False}
    outlines = annotated_shapes(shapes, n_shapes=None, seed=0, warn=n_shapes is None, **reading) if shapes else None
    material = StudyMaterial(
        training_images(images, exclude_validation=exclude_validation, skip_bad=False),
        outlines,
        n_shapes,
        annotated_samples(data, only_validation=exclude_validation),
        labelled_images(labelled, n_labelled=None, seed=0, **reading),
        n_labelled,
    )
    found = run_regularizer(output, seeds or SEEDS, material, preset=preset, overrides=overrides, quiet=quiet, say=note)
    if found is None:
        return stopped()
    say(report_regularizer(output, found))
    return 0
