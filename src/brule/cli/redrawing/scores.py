"""What ``brule evaluate`` reports about a run's decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brule.cli.output import PlainTable, note, say
from brule.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brule.data import SampleList
    from brule.detector import LandmarkDetector
    from brule.evaluation import Evaluation
    from brule.redrawing.scores import DecoderScores


def decoder_figures(
    detector: LandmarkDetector,
    samples: SampleList,
    result: Evaluation | None,
    *,
    wanted: bool | None = None,
    normaliser: str = "auto",
    batch_size: int = 64,
) -> dict[str, Any]:
    """Measure the decoder on the images of an evaluation, print its table, and return its figures.

    Args:
        detector: with or without a decoder.
        samples: what was evaluated.
        result: of that evaluation inside given boxes: its predictions are drawn from, its truth gives the distances; ``None``
            if there was none.
        wanted: ``None`` measures where there is a decoder, ``False`` never.
        normaliser: as ``kind`` of :func:`brule.evaluation.normaliser`.
        batch_size: images at a time.

    Returns:
        ``{"decoder": …}`` for the JSON file, or nothing if there is none to measure.

    Raises:
        ConfigError: it is wanted, and there is none.
    """
    from brule.data import build_cache
    from brule.detector.measuring import check_annotation
    from brule.redrawing import Redrawer, evaluate_decoder
    from brule.redrawing.similarity import WINDOW

    if detector.decoder_ is None and wanted:
        raise ConfigError("--decoder: this run was trained without one; train one that has it with --set gan.enabled=true")
    if result is None and wanted:
        raise ConfigError("--decoder: is measured inside given boxes; leave --boxes none out")
    if detector.decoder_ is None or wanted is False or result is None:
        return {}
    redrawer = Redrawer(detector, batch_size=batch_size)
    if redrawer.image_size < WINDOW:
        note(f"no figures of the decoder: its images have {redrawer.image_size} px, structural similarity needs {WINDOW}")
        return {}
    crop = detector.config_.crop
    samples = check_annotation(detector, samples)
    cache = build_cache(samples, crop.image_size, scale=crop.scale, skip_bad=True)  # those decoded for the evaluation
    scores = evaluate_decoder(redrawer, cache.images, points=result.predictions, truth=result.truth, normaliser=normaliser)
    _say(scores)
    return {"decoder": scores.to_dict()}


def _say(scores: DecoderScores) -> None:
    from rich.console import Console

    from brule.redrawing.scores import HEADER

    table = PlainTable(header_style="bold")
    for index, column in enumerate(HEADER):
        table.add_column(column, no_wrap=index < 2, style="bold" if index == 1 else "")
    for row in scores.rows():
        table.add_row(*row)
    say()
    Console().print(table, highlight=False)
    say()
    for name, value in _facts(scores):
        say(f"{name:<18}{value}")


def _facts(scores: DecoderScores) -> Sequence[tuple[str, str]]:
    return [
        ("redrawn", f"{scores.n} images of {scores.image_size} px, from their own landmarks and style"),
        ("fakes", f"the same landmarks, styles {scores.styles}; landmark errors in % of {scores.normaliser}"),
        ("a constant", "the mean image of the set, the mean landmarks of the set"),
    ]
