"""``brule study``: the paper's studies on your own images; one file per study."""

from __future__ import annotations

from cyclopts import App

from brule.cli.study.ablation import ablation
from brule.cli.study.barycenter_size import barycenter_size
from brule.cli.study.labels import labels
from brule.cli.study.regularizer import regularizer
from brule.cli.study.sweep import sweep
from brule.cli.study.table import table

study = App(name="study", help="Repeat the paper's studies on your own images.")
for _command in (barycenter_size, ablation, sweep, regularizer, labels, table):
    study.command(_command)
