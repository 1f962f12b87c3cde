"""``brule study regularizer``: labels alone against labels with BRULÈ."""

from __future__ import annotations

from typing import Annotated

from brule.cli.options import Many
from brule.cli.output import say
from brule.cli.study.runs import SEEDS, Runs, stopped

POINTS = 20


def regularizer(
    *,
    labelled: Annotated[list[str], Many],
    runs: Runs,
    n_labelled: int | None = None,
    shapes: Annotated[list[str] | None, Many] = None,
    n_shapes: int | None = None,
) -> int:
    """What unlabelled images bring beside labels: annotated images alone against the same with BRULÈ (Fig. 3).

    Both learn from the same annotated images for the same number of iterations; one of them sees the unlabelled images,
    too. No image of `--data` may be learnt from. At every checkpoint, by default twenty times
    (`--set checkpoint_every=…`), the error on held-out images and on those learnt from is measured. A study that was
    stopped continues with the same command. The folder gets `regularizer.md` (the table), `regularizer.svg` (the learning
    curves) and `regularizer.json`.

    **Examples**

        brule study regularizer --labelled annotated/ --images photos/ --data annotated-test/ -o studies/labels

        brule study regularizer --labelled 300w --n-labelled 50 --images 300w --data 300w --exclude-validation -o studies/fifty

    Args:
        labelled: Annotated images to learn from.
        n_labelled: Number of annotated images to draw with each seed; by default all are used.
        shapes: The annotated shapes; by default those of the annotated images.
        n_shapes: Shapes a run gets, drawn with its seed.
    """
    from brule.data.training_data import annotated_shapes, labelled_images
    from brule.studies import StudyMaterial, report_regularizer, run_regularizer
    from brule.training.config import load_config

    iterations = load_config(runs.preset, runs.overrides()).iterations
    options = runs.options()
    options["overrides"] = {"checkpoint_every": str(-(-iterations // POINTS))} | options["overrides"]
    reading = {"exclude_validation": runs.exclude_validation, "skip_bad": False}
    outlines = annotated_shapes(shapes, n_shapes=None, seed=0, warn=n_shapes is None, **reading) if shapes else None
    learnt = labelled_images(labelled, n_labelled=None, seed=0, **reading)
    material = StudyMaterial(runs.unlabelled(), outlines, n_shapes, runs.measured(), learnt, n_labelled)
    found = run_regularizer(runs.output, runs.seeds or SEEDS, material, **options)
    if found is None:
        return stopped()
    say(report_regularizer(runs.output, found))
    return 0
