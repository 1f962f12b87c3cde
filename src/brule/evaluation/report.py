"""How an evaluation is told: rows of a table, and one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

from brule.evaluation.evaluate import FLOOR_NAMES, Evaluation
from brule.evaluation.metrics import Scores


class Row(NamedTuple):
    """One figure: what it is, the detector's value, and those of the two floors (empty where there is none)."""

    label: str
    detector: str
    barycenter: str
    mean_shape: str


HEADER = Row("", "this detector", *FLOOR_NAMES)


def figure_rows(evaluation: Evaluation) -> list[Row]:
    """The figures of CONTRIBUTING, "Measuring honestly", as text, each beside its floors."""
    mine, floor, mean = evaluation.scores, evaluation.barycenter, evaluation.mean_shape

    def row(label: str, name: str, *, percent: bool, shown: str | None = None) -> Row:
        values = [_shown(scores, name, percent) for scores in (mine, floor, mean)]
        return Row(label, shown or values[0], values[1], values[2])

    interval = f"{mine.nme:.2f} %  ({mine.nme_low:.2f} to {mine.nme_high:.2f})"
    return [
        row("NME (95 % interval)", "nme", percent=True, shown=interval),
        row("W₁, free of indices", "w1", percent=True),
        row("AUC at 8 %", "auc_8", percent=False),
        row("failures above 8 %", "fr_8", percent=False),
        row("AUC at 10 %", "auc_10", percent=False),
        row("failures above 10 %", "fr_10", percent=False),
    ]


def _shown(scores: Scores | None, name: str, percent: bool) -> str:
    if scores is None:
        return ""
    value = getattr(scores, name)
    if percent:
        return f"{value:.2f} %"
    return f"{100 * value:.1f} %" if name.startswith("fr") else f"{value:.3f}"


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        path: a PNG file, embedded whole.
        caption: what is to be seen on it.
    """

    path: Path
    caption: str


def page(
    title: str,
    summary: str,
    evaluation: Evaluation,
    *,
    facts: Sequence[tuple[str, str]],
    pictures: Sequence[Picture],
    commands: Sequence[tuple[str, str]],
) -> str:
    """One HTML page that needs no other file and no network, readable in light and in dark.

    Args:
        title: of the page.
        summary: a sentence or two under the title, plain text.
        evaluation: whose figures are shown.
        facts: what else has to be known about them: (name, value).
        pictures: in order.
        commands: how to go on: (what it does, the command).
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in HEADER)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in figure_rows(evaluation))
    known = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    shown = "".join(
        f'<figure><img src="{_data_uri(one.path)}" alt="{escape(one.caption)}">'
        f"<figcaption>{escape(one.caption)}</figcaption></figure>"
        for one in pictures
    )
    steps = "".join(f"<p>{escape(what)}</p><pre>{escape(command)}</pre>" for what, command in commands)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p>{escape(summary)}</p>"
        f'<h2>Figures</h2><div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"<dl>{known}</dl><h2>Pictures</h2>{shown}<h2>Going on</h2>{steps}</main></body></html>\n"
    )


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


_STYLE = """
:root { color-scheme: light dark; --ink: #22262b; --paper: #fff; --soft: #5b6470; --line: #d9dde2; --code: #f3f4f6 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --paper: #16181c; --soft: #a2abb6; --line: #363b43; --code: #22262c }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2 } h2 { font-size: 1.15rem; margin-top: 2.5rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .4rem 1.4rem .4rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--soft); font-weight: 600 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.4rem } dt { color: var(--soft) } dd { margin: 0 }
figure { margin: 0 0 2rem } img { max-width: 100%; height: auto; border-radius: 6px } figcaption { color: var(--soft) }
pre { background: var(--code); padding: .75rem 1rem; border-radius: 6px; overflow-x: auto } p { max-width: 46rem }
"""
