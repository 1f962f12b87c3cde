"""``brule predict`` on images: predictions written while they come, with a row for every image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brule.cli.output import note, progress_bar
from brule.cli.predicted_files import Counts, Described, LandmarkList, LandmarkTable, Prediction
from brule.cli.prediction_pictures import Overlays, draw_heatmap
from brule.cli.ranking import Ranking

if TYPE_CHECKING:
    from brule.data import Annotation, BadFile, Sample, SampleList
    from brule.data import Format as AnnotationFormat
    from brule.detector import LandmarkDetector, Landmarks


@dataclass(frozen=True)
class ImageFiles:
    """What is written of images, and where.

    Attributes:
        output: the folder to write to.
        names: where the results of each image go, without suffix, relative to it.
        formats: ``pts``, ``csv`` and ``json``, as far as they are wanted.
        further: other formats.
        overlays: whether pictures with landmarks are drawn.
        heatmaps: whether heatmaps are drawn.
    """

    output: Path
    names: dict[Path, Path]
    formats: frozenset[str]
    further: Sequence[AnnotationFormat] = ()
    overlays: bool = True
    heatmaps: bool = False


def numbered(name: Path, number: int) -> Path:
    """Where the results of the second and further objects of an image go: ``a``, ``a-object2`` and so on."""
    return name if number == 1 else name.with_name(f"{name.name}-object{number}")


def write_all(
    detector: LandmarkDetector, samples: SampleList, files: ImageFiles, *, ranking: Ranking, options: dict[str, Any]
) -> Counts:
    """Predict a batch at a time and write it at once."""
    from brule.data.conversion import predicted, write_predictions
    from brule.data.predictions import PICTURES, TABLES

    items: list[Annotation] = []
    done, objects = Counts(), Counter[Path]()
    total, (list_file, table_file) = len({sample.path for sample in samples}), TABLES
    known = Described(
        len(detector.barycenter_),
        detector.landmark_names_,
        calibrated=ranking.calibrated,
        measured=any(sample.spacing is not None for sample in samples),
    )
    with (
        LandmarkTable(files.output / table_file, "csv" in files.formats, known) as table,
        LandmarkList(files.output / list_file, "json" in files.formats, known) as listing,
        Overlays(files.output / PICTURES[0], files.names, detector.edges_) as pictures,
        progress_bar("predicting") as progress,
    ):
        found = detector.iter_predict(samples, skip_bad=samples.bad.skip, **options)
        for batch, landmarks in with_every_image(found, samples, detector=detector):
            numbers = []
            for k, sample in enumerate(batch):
                objects[sample.path] += 1
                numbers.append(objects[sample.path])
                prediction = _prediction(landmarks, k, sample)
                table.add(sample.path, prediction)
                listing.add(sample.path, prediction)
                done.count(sample.path, prediction)
                if prediction.found:
                    _write_own(detector, sample, prediction, files=files, number=numbers[-1])
                if prediction.found and files.overlays:
                    pictures.add(sample.path, prediction.points, flagged=prediction.flagged)
                if prediction.found and files.further:
                    items.append(predicted(sample, prediction.points))
            ranking.add(batch, landmarks, numbers)
            progress(done.images, total)
    for one in files.further if items else ():
        lost = write_predictions(items, files.output, format=one, names=detector.landmark_names_, edges=detector.edges_)
        for what in lost:
            note(f"{one.title} can't hold {what}")
    return done


def with_every_image(
    found: Iterable[tuple[list[Sample], Landmarks]], samples: SampleList, *, detector: LandmarkDetector
) -> Iterator[tuple[list[Sample], Landmarks]]:
    """Batches of predictions, with a row of NaN for each image in which nothing was found, in the order of the images.

    Args:
        found: of :meth:`LandmarkDetector.iter_predict`, where all objects of an image may be none.
        samples: what is predicted.
        detector: that predicts; the files that it can't read have no row.
    """
    from brule.detector.landmarks import joined, nothing_found

    first: dict[Path, Sample] = {}
    for sample in samples:
        first.setdefault(sample.path, sample)
    place = {path: k for k, path in enumerate(first)}
    paths, count = list(first), len(detector.barycenter_)
    end = 0  # images before it have a row, or were left out
    for batch, landmarks in found:
        here = {sample.path for sample in batch}
        start, end = end, max(end, *(place[path] + 1 for path in here), 0)
        gone = _without_row(paths[start:end], here, detector.bad_files_)
        if not gone:
            yield batch, landmarks
            continue
        own = [*batch, *(first[path] for path in gone)]
        order = sorted(range(len(own)), key=lambda k: place[own[k].path])
        empty = nothing_found([place[path] for path in gone], count)
        yield [own[k] for k in order], joined([landmarks, empty]).chosen(order)
    if gone := _without_row(paths[end:], set(), detector.bad_files_):
        yield [first[path] for path in gone], nothing_found([place[path] for path in gone], count)


def _without_row(paths: Sequence[Path], found: set[Path], bad: Iterable[BadFile]) -> list[Path]:
    """The images that have neither a prediction nor a reason for being left out."""
    gone = [path for path in paths if path not in found]
    left_out = {one.path for one in bad} if gone else set()
    return [path for path in gone if path not in left_out]


def _prediction(landmarks: Landmarks, k: int, sample: Sample) -> Prediction:
    return Prediction(
        points=landmarks.points[k].numpy(),
        spread=landmarks.spread[k].numpy(),
        score=float(landmarks.score[k]),
        flagged=bool(landmarks.flagged[k]),
        spacing=sample.spacing,
    )


def _write_own(detector: LandmarkDetector, sample: Sample, prediction: Prediction, *, files: ImageFiles, number: int) -> None:
    """The files that one object has for itself."""
    from brule.data import write_pts
    from brule.data.predictions import PICTURES

    name = numbered(files.names[sample.path], number)
    if "pts" in files.formats:
        write_pts(files.output / f"{name}.pts", prediction.points)
    if files.heatmaps:
        target = files.output / PICTURES[1] / f"{name}.png"
        draw_heatmap(sample.path, prediction.points, target=target, edges=detector.edges_, config=detector.config_)
