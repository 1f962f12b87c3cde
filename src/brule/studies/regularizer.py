"""Labels alone against labels with BRULÈ on unlabelled images, over the training (the paper's §6.2 and Fig. 3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from brule.arrays import evenly_spread
from brule.data import CropCache, SampleList, build_cache
from brule.detector import LandmarkDetector
from brule.detector.measuring import check_annotation
from brule.errors import CheckpointError, DataError
from brule.evaluation import normaliser, normalized_mean_error
from brule.files import make_folder, parse_json, wrap_oserror, write_text
from brule.plots import save_picture
from brule.plots.svg import captioned, learning_curves_chart
from brule.studies.failures import Failure, Results, check_readable, failed_content, failed_table
from brule.studies.runs import FLOOR, SCORE, Arm, Protocol, Score, paired_difference, run_arm, scores_by_arm
from brule.studies.study_data import StudyData

ALONE, REGULARIZED = "labels alone", "labels with BRULÈ"
PARTS = ("held-out images", "images learnt from")
CURVE = "curve.jsonl"
_MAX_MEASURED = 200  # images learnt from that are measured at every checkpoint


@dataclass(frozen=True)
class CurvePoint:
    """Errors at one moment of a training.

    Attributes:
        iteration: done by then.
        held_out: NME on the images that no run learns from, %.
        learnt: NME on the annotated images learnt from, or 200 of them, unmoved, %.
    """

    iteration: int
    held_out: float
    learnt: float


@dataclass(frozen=True)
class LearningCurve:
    """A run of the study.

    Attributes:
        score: how it ended.
        points: on the way, by iteration.
    """

    score: Score
    points: list[CurvePoint]


@dataclass
class CurveRecorder:
    """Measures a detector at its checkpoints, and adds one line per checkpoint to a file.

    Args:
        path: of the file; points that are already in it aren't measured again.
        held_out: annotated images that the run doesn't learn from.
        learnt: annotated images that it learns from.
    """

    path: Path
    held_out: SampleList
    learnt: SampleList
    points: dict[int, CurvePoint] = field(init=False)
    _caches: tuple[CropCache, CropCache] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.points = {point.iteration: point for point in read_curve(self.path)} if self.path.is_file() else {}
        chosen = evenly_spread(len(self.learnt), _MAX_MEASURED)
        self.learnt = self.learnt.replaced([self.learnt[i] for i in chosen])

    def __call__(self, detector: LandmarkDetector) -> None:
        """Measure, if this iteration hasn't been yet."""
        iteration = detector.progress_.iteration
        if iteration in self.points:
            return
        if self._caches is None:
            crop = detector.config_.crop
            parts = [check_annotation(detector, part) for part in (self.held_out, self.learnt)]
            held, learnt = (build_cache(part, crop.image_size, scale=crop.scale) for part in parts)
            self._caches = held, learnt
        errors = [_mean_error(detector, cache) for cache in self._caches]
        self.points[iteration] = CurvePoint(iteration, *errors)
        with wrap_oserror(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(self.points[iteration])) + "\n")


def run_regularizer(
    directory: Path,
    seeds: Sequence[int],
    data: StudyData,
    *,
    preset: str,
    overrides: Mapping[str, Any],
    quiet: bool = False,
    say: Callable[[str], object] = print,
) -> Results[LearningCurve] | None:
    """Train on the annotated images of each seed, alone and beside the unlabelled ones; finished runs are read.

    Args:
        directory: of the study.
        seeds: of the runs; each draws its own annotated images.
        data: with annotated images to learn from.
        preset: where settings start.
        overrides: settings that both arms share; ``checkpoint_every`` says how often errors are measured.
        quiet: no progress bars.
        say: called with a line when a run ends.

    Returns:
        All runs; ``None`` if Ctrl-C ended the study, which the next call resumes. A run that can't be trained is in
        ``failed`` of the result instead, and in ``failure.json`` of its folder; the next call tries it again.

    Raises:
        TrainingError: no run can be trained.
        DataError: an image can't be read, there are no annotated images, no unlabelled ones, or one of those measured on is
            learnt from.
        CheckpointError: the directory holds runs with other settings, or damaged ones.
    """
    check_apart(data)
    if not any(directory.glob(f"*/*/{SCORE}")):
        check_readable([data.measured, data.labelled, data.images])
    found = Results[LearningCurve]()
    for seed in seeds:
        learnt = data.drawn_labels(seed)
        assert learnt is not None
        for name, own in ((ALONE, replace(data, images=None)), (REGULARIZED, data)):
            arm = Arm(name)
            folder = arm.run(directory, seed)
            make_folder(folder)
            recorder = CurveRecorder(folder / CURVE, data.measured, learnt)
            with found.or_failure(folder, name, seed, say=say):
                score = run_arm(directory, arm, seed, data=own, preset=preset, overrides=overrides, quiet=quiet, watch=recorder)
                if score is None:
                    return None
                say(score.line())
                found.append(LearningCurve(score, _ended(recorder, score)))
    return found.checked()


def read_curve(path: Path) -> list[CurvePoint]:
    """The points of a run's file, by iteration; a last line that was cut off is taken away from it.

    Raises:
        CheckpointError: a line is damaged.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    points = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            point = CurvePoint(**parse_json(line))
            sound = bool(np.isfinite([point.iteration, point.held_out, point.learnt]).all())
        except (ValueError, TypeError):
            sound = False
        if not sound:
            raise CheckpointError(
                f"{path}: line {number}: damaged: expected iteration, held_out and learnt; remove the run's folder to train "
                "it again"
            )
        points[point.iteration] = point
    return [points[iteration] for iteration in sorted(points)]


def report_regularizer(
    directory: Path, curves: Sequence[LearningCurve], *, protocol: Protocol, failed: Sequence[Failure] = ()
) -> str:
    """Write ``regularizer.json``, ``regularizer.md`` and the learning curves, ``regularizer.svg``.

    Returns:
        The table, as Markdown, and the protocol below it.
    """
    description = protocol.describe([curve.score for curve in curves])
    table = f"{regularizer_table(curves)}{failed_table(failed)}\n{description}\n"
    content = {"protocol": asdict(protocol), "runs": [asdict(curve) for curve in curves]} | failed_content(failed)
    write_text(directory / "regularizer.json", json.dumps(content, indent=1) + "\n")
    write_text(directory / "regularizer.md", table)
    drawn: dict[str, list[list[tuple[float, float, float]]]] = {}
    for curve in curves:
        points = [(float(point.iteration), point.held_out, point.learnt) for point in curve.points]
        drawn.setdefault(curve.score.arm, []).append(points)
    floor = median(curve.score.floor_nme for curve in curves)
    save_picture(captioned(learning_curves_chart(drawn, parts=PARTS, floor=floor), description), directory / "regularizer.svg")
    return table


def regularizer_table(curves: Sequence[LearningCurve]) -> str:
    """One row per arm: held-out error at the end, that on the images learnt from, and the gap between them."""
    scores = [curve.score for curve in curves]
    by_arm = scores_by_arm(scores)
    lines = [
        "| | held-out (%) per seed | median | learnt from (%) | gap | lowest held-out | over alone (95 %) | iterations |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in by_arm.items():
        own = [curve.points for curve in curves if curve.score.arm == name]
        each = ", ".join(f"{score.nme:.2f}" for score in found)
        learnt = median(points[-1].learnt for points in own)
        gap = median(points[-1].held_out - points[-1].learnt for points in own)
        lowest = median(min(point.held_out for point in points) for points in own)
        over = paired_difference(by_arm[ALONE], found) if name != ALONE and ALONE in by_arm else ""
        counts = ", ".join(str(count) for count in sorted({score.iterations for score in found}))
        middle = f"{median(score.nme for score in found):.2f} | {learnt:.2f} | {gap:.2f} | {lowest:.2f}"
        lines.append(f"| {name} | {each} | {middle} | {over} | {counts} |")
    floor = median(score.floor_nme for score in scores)
    lines += [
        "",
        f"Errors are NME in %. {FLOOR}. Its median NME: {floor:.2f}.",
        "All figures but those of each seed are medians over the seeds; the last difference is that of the errors on the same",
        "images, with an interval over them. The lowest held-out error during training is chosen on the held-out images:",
        "compared with the final one it shows overfitting, but it is no result.",
    ]
    return "\n".join(lines) + "\n"


def _ended(recorder: CurveRecorder, score: Score) -> list[CurvePoint]:
    points = [recorder.points[iteration] for iteration in sorted(recorder.points)]
    if not points or points[-1].iteration != score.iterations:
        raise CheckpointError(
            f"{recorder.path}: doesn't reach iteration {score.iterations}, where the run ended; remove the run's folder to "
            "train it again"
        )
    return points


def _mean_error(detector: LandmarkDetector, cache: CropCache) -> float:
    truth = np.asarray(cache.points, dtype=np.float64)
    found = detector.predict_crops(np.array(cache.images)).points.numpy()
    return float(normalized_mean_error(found, truth, distance=normaliser(truth)[1]).mean())


def check_apart(data: StudyData) -> None:
    """Check that there are annotated and unlabelled images to learn from, and that none of them is measured on.

    Raises:
        DataError: that isn't the case.
    """
    if not data.labelled or not data.images:
        raise DataError("expected annotated images to learn from, and unlabelled ones beside them")
    if data.n_labelled is not None and not 1 <= data.n_labelled <= len(data.labelled):
        raise DataError(
            f"expected to draw from 1 to {len(data.labelled)} annotated images, as many as there are, got {data.n_labelled}"
        )
    learnt = {sample.path.resolve() for sample in data.labelled}
    both = [sample.path for sample in data.measured if sample.path.resolve() in learnt]
    if both:
        raise DataError(
            f"{both[0]}: is learnt from and measured on, as are {len(both) - 1} others; measure on other images "
            "(--exclude-validation keeps those of one folder apart)"
        )
