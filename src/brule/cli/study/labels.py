"""``brule study labels``: how much unlabelled images help with all, half or a tenth of the labels."""

from __future__ import annotations

from typing import Annotated

from brule.cli.options import Many
from brule.cli.output import say
from brule.cli.study.runs import SEEDS, LabelRuns, stopped


def labels(*, runs: LabelRuns, shares: Annotated[list[float] | None, Many] = None) -> int:
    """How much unlabelled images help at several shares of the labels: labels alone against labels with BRULÈ (Table 1).

    The paper's table claims that its terms help even where all images are labelled, for a stacked hourglass, the network of
    the preset `paper`; `paper-small` has a smaller one. Each share of the annotated images is trained on twice, with the
    same network, the same annotated images and the same iterations: alone, and beside unlabelled images. A study that was
    stopped continues with the same command, and you can add shares later. The folder gets `labels.md` (the table),
    `labels.svg` and `labels.json`.

    **Examples**

        brule study labels --preset paper-small --labelled 300w --images 300w lfw --data 300w --exclude-validation
            --set iterations=1000 -o studies/labels

        brule study labels --labelled annotated/ --shares 1 0.2 --images photos/ --data annotated-test/ -o studies/shares

    Args:
        shares: Shares of the annotated images, drawn with each seed; by default 1 0.5 0.1.
    """
    from brule.studies import label_counts, report_labels, run_labels
    from brule.studies.labels import SHARES
    from brule.training.config import load_config

    load_config(runs.preset, runs.overrides())  # refuses wrong settings before images are read
    study_data, chosen = runs.study_data(), shares or SHARES
    total = len(study_data.labelled or ())
    label_counts(chosen, total)
    scores = run_labels(runs.output, runs.seeds or SEEDS, study_data, shares=chosen, **runs.options())
    if scores is None:
        return stopped()
    protocol = runs.protocol(study_data)
    say(report_labels(runs.output, scores, shares=chosen, total=total, protocol=protocol, failed=scores.failed))
    scores.check_complete()
    return 0
