"""``python -m benchmarks``: run the command, with the error messages and exit codes of ``brule``."""

from __future__ import annotations

import sys

from cyclopts import App, Parameter

from benchmarks.command import bench
from brule.cli import run_app

app = App(
    name="python -m benchmarks",
    help_format="markdown",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
app.default(bench)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_app(app, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
