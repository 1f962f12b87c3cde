"""The progress of work in several stages, which is reported to one callback."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], object]


def in_stages(progress: Progress | None, *sizes: int) -> list[Progress]:
    """Callbacks of stages that follow each other: to ``progress(done, total)`` they are one, which never goes back.

    Args:
        progress: is called with what all stages have done, and with their common total; ``None`` for nobody.
        sizes: how much there is to do in each stage.

    Returns:
        A callback for each stage, called as ``progress(done, total)`` of this stage.
    """

    def stage(before: int) -> Progress:
        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(before + done, sum(sizes))

        return report

    return [stage(sum(sizes[:k])) for k in range(len(sizes))]
