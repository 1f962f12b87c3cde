"""``brule study table``: finished evaluations beside the paper's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from brule.cli.options import Many, Output
from brule.cli.output import say


def table(evaluations: Annotated[list[Path], Many], /, *, output: Annotated[Path | None, Output] = None) -> int:
    """Finished evaluations as rows of a table, and the paper's rows, quoted, in another (Table 1).

    Each row has the data and number of images that a run was measured on, its error with interval and floor, how many shapes,
    annotated and unlabelled images it learnt from, and its training time and device. The paper's figures are in a separate
    table with source and protocol, because they were measured differently.

    **Examples**

        brule study table runs/first runs/second

        brule study table runs/first/evaluation/test report/ -o studies/table

    Args:
        evaluations: Folders that `brule evaluate` wrote, runs that hold such folders, or JSON files of `brule evaluate --json`.
        output: A folder for `table.md` and `table.json`; by default both tables are printed only.
    """
    from brule.studies import measured_table, quoted_table, read_rows, report_table

    rows = read_rows(evaluations)
    say(f"{measured_table(rows)}\n{quoted_table()}" if output is None else report_table(output, rows))
    return 0
