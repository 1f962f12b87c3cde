"""``brule study regularizer``: labels alone against labels with BRULÈ."""

from __future__ import annotations

from brule.cli.output import say
from brule.cli.study.runs import SEEDS, LabelRuns, stopped

POINTS = 20


def regularizer(
    *,
    runs: LabelRuns,
    n_labelled: int | None = None,
) -> int:
    """How much unlabelled images help beside labels: annotated images alone against the same with BRULÈ (Fig. 3).

    Both learn from the same annotated images for the same number of iterations; one of them sees the unlabelled images,
    too. No image of `--data` may be learnt from. At every checkpoint, by default twenty times
    (`--set checkpoint_every=…`), the error on held-out images and on those learnt from is measured. A study that was
    stopped continues with the same command. The folder gets `regularizer.md` (the table), `regularizer.svg` (the learning
    curves) and `regularizer.json`.

    **Examples**

        brule study regularizer --labelled annotated/ --images photos/ --data annotated-test/ -o studies/labels

        brule study regularizer --labelled 300w --n-labelled 50 --images 300w --data 300w --exclude-validation -o studies/fifty

        brule study regularizer --labelled annotated/ --images photos/ --data annotated-test/ --start-from runs/first
            -o studies/finetuned

    Args:
        n_labelled: Number of annotated images to draw with each seed; by default all are used.
    """
    from brule.studies import report_regularizer, run_regularizer
    from brule.training.config import load_config

    iterations = load_config(runs.preset, runs.overrides()).iterations
    options = runs.options()
    options["overrides"] = {"checkpoint_every": str(-(-iterations // POINTS))} | options["overrides"]
    study_data = runs.study_data(n_labelled)
    found = run_regularizer(runs.output, runs.seeds or SEEDS, study_data, **options)
    if found is None:
        return stopped()
    say(report_regularizer(runs.output, found, protocol=runs.protocol(study_data), failed=found.failed))
    found.check_complete()
    return 0
