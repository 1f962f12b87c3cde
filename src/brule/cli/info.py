"""``brule info``: a detector's model card."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from brule.cli.output import say

MAX_WIDTH = 100  # longer lines are hard to read


def info(run: Path, /, *, as_json: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Show what a detector is, what it was trained on, how good it is, and what it reveals of its training images.

    The same is in the `README.md` of a saved detector, its model card. Counts and figures, never images. Figures are those of
    `brule evaluate`, with the floor (the error of a constant prediction) beside them. docs/model-cards.md explains each line.

    **Examples**

        brule info runs/first

        brule info runs/first --json

    Args:
        run: The folder of a run, or of a saved detector.
        as_json: Print all facts as JSON.
    """
    from brule.detector.model_card import ModelCard

    card = ModelCard.read(run)
    if as_json:
        say(json.dumps(card.facts, indent=1, ensure_ascii=False))
        return 0
    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    say("\n\n".join(_section(heading, rows, width) for heading, rows in card.sections()))
    return 0


def _section(heading: str, rows: list[tuple[str, str]], width: int) -> str:
    """A heading, and a paragraph for each row beside its name."""
    first = max(len(name) for name, _ in rows)
    lines = [
        textwrap.fill(
            text,
            width,
            initial_indent=f"  {name:<{first}}  ",
            subsequent_indent=" " * (first + 4),
            break_on_hyphens=False,
        )
        for name, text in rows
    ]
    return "\n".join([heading, *lines])
