"""``brule predict``: landmarks of images, as files and as pictures."""

from __future__ import annotations

import glob
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from brule.cli.options import Device, Many, Output, Reading, SkipBad, checked_device
from brule.cli.output import note, note_bad, progress_bar, say
from brule.cli.prediction_pictures import draw_heatmap, draw_overlay
from brule.cli.ranking import Ranking
from brule.errors import ConfigError, DataError
from brule.files import atomic_write

if TYPE_CHECKING:
    import numpy as np

    from brule.data import Annotation, SampleList
    from brule.data import Format as AnnotationFormat
    from brule.detector import LandmarkDetector

DEFAULT_FORMATS = ("pts", "csv", "json")


def predict(
    run: Path,
    paths: list[str],
    /,
    *,
    output: Annotated[Path, Output],
    format: Annotated[list[str], Parameter(name="--format")] = list(DEFAULT_FORMATS),  # noqa: B006
    overlays: Annotated[bool, Parameter(negative="--no-overlays")] = True,
    heatmaps: bool = False,
    boxes: Annotated[list[str] | None, Many] = None,
    objects: Literal["best", "all"] = "best",
    reading: Reading = Reading(),
    rank: bool = False,
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Find the landmarks of images, and write them as files and pictures.

    Sub-folders are kept: `photos/a/1.jpg` becomes `OUTPUT/a/1.pts` if `photos` was given. An annotation beside an image
    (or a file of `--boxes`) gives the object's box. Without one the detector's locator finds the object; a detector
    that has no locator expects it where its annotated images had it. Answers that are probably wrong are marked as
    *flagged*. Where one image has several objects, the second becomes `1-object2.pts`.

    Coordinates are pixels of the upright image; in the `.pts` files the first pixel is 1, elsewhere 0. *Spread* shows
    how sure each landmark is, in pixels: once the detector is calibrated (`brule calibrate`), its expected error; before, the
        standard deviation of a heatmap, which only orders landmarks. See docs/confidence.md.

    **Examples**

        brule predict runs/first photos/ -o landmarks

        brule predict runs/first new1.jpg new2.png -o landmarks --format csv --no-overlays

        brule predict runs/first "scans/**/*.png" -o landmarks --skip-bad

        brule predict runs/first photos/ -o landmarks --tta 4 --rank

        brule predict runs/first herds/ -o landmarks --objects all

    Args:
        run: The folder of a run, or of a saved detector.
        paths: Images: files, folders, globs (in quotes, `**` reaches any depth).
        output: The folder to write to: `NAME.pts`, `landmarks.csv`, `landmarks.json`, `overlays/NAME.jpg`.
        format: What to write: `pts`, `csv`, `json`, or any format of `brule data convert` (`coco`, `cvat`, `labelme`, …: files
            `landmarks-coco.json` and so on, or a folder for formats with one file per image); repeat the option for several.
        overlays: Draw the landmarks on every image, coloured by index, joined along their contours.
        heatmaps: Draw the crop of every object beside its skeleton heatmap, as the losses and the decoder see it:
            `heatmaps/NAME.png`.
        boxes: Files with the object's box in each image: a CSV with the columns `image,left,top,right,bottom` (pixels), or any
            annotation format that holds boxes.
        objects: `best`: the surest object of each image; `all`: every object that is found.
        rank: List the images that a person should check first, the highest expected error first: ten on the terminal, all of
            them in `rank.csv`.
    """
    from brule.data import find_annotations, find_images, read_folder
    from brule.data.training_data import box_files, log_missing_boxes
    from brule.detector import LandmarkDetector

    further = _further_formats(format)
    detector = LandmarkDetector.load(run, device=checked_device(device))
    written = _written_before(paths, output)
    found = [path for path in find_images(paths) if not _is_under(path, *written)]
    if not found:
        raise DataError(f"{', '.join(paths)}: no image but those in {output}, where predictions are written to")
    names = output_names(found, common_folder(paths, found))
    if "pts" in format:
        _refuse_overwriting(names, output)
    annotations = [path for path in find_annotations(paths) if not _is_under(path, *written)]
    also = [*annotations, *box_files(boxes)]
    samples: SampleList = read_folder(list(found), also=also, check_images=False, skip_bad=skip_bad)
    log_missing_boxes(samples, detector.whereabouts_.describe())
    ranking = Ranking(detector.calibration_ is not None, wanted=rank)
    count = _write_all(
        detector,
        samples,
        names,
        output=output,
        ranking=ranking,
        formats=set(format),
        further=further,
        overlays=overlays,
        heatmaps=heatmaps,
        options={"objects": objects, **asdict(reading)},
    )
    note_bad(detector.bad_files_)
    if len(detector.bad_files_) >= len(samples):
        raise DataError(f"none of the {len(found)} images could be read")
    read = len(samples) - len(detector.bad_files_)
    say(f"{count.text(read)}, {len(detector.barycenter_)} landmarks each: written to {output}")
    if rank:
        ranking.tell()
        say(f"all of them: {ranking.write(output)}")
    return 0


def common_folder(paths: Sequence[str], found: Sequence[Path]) -> str:
    """The folder that the names of the output start from: the deepest that holds everything that was given."""
    try:
        return os.path.commonpath(_roots(paths))
    except ValueError:  # on different drives
        return os.path.dirname(os.path.abspath(found[0]))


def output_names(found: Sequence[Path], base: str) -> dict[Path, Path]:
    """Where each image's results go, without suffix, relative to the output; no two in one place.

    Images that differ in their suffix alone keep it in the name: ``a.jpg`` and ``a.png`` → ``a.jpg.pts``, ``a.png.pts``.
    """
    plain = {path: _relative(path, base) for path in found}
    # File systems may not tell A from a, so neither do we.
    taken: dict[str, list[Path]] = {}
    for path, name in plain.items():
        taken.setdefault(str(name.with_suffix("")).lower(), []).append(path)
    names: dict[Path, Path] = {}
    used: set[str] = set()
    for path, name in plain.items():
        alone = len(taken[str(name.with_suffix("")).lower()]) == 1
        wanted = name.with_suffix("") if alone else name
        chosen, number = wanted, 2
        while str(chosen).lower() in used:
            chosen, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
        used.add(str(chosen).lower())
        names[path] = chosen
    return names


def numbered(name: Path, number: int) -> Path:
    """Where the results of the second and further objects of an image go: ``a``, ``a-object2`` and so on."""
    return name if number == 1 else name.with_name(f"{name.name}-object{number}")


def _write_all(
    detector: LandmarkDetector,
    samples: SampleList,
    names: dict[Path, Path],
    *,
    output: Path,
    ranking: Ranking,
    formats: set[str],
    further: list[AnnotationFormat],
    overlays: bool,
    heatmaps: bool,
    options: dict[str, Any],
) -> Counts:
    """Predict a batch at a time and write it at once."""
    from brule.data import Annotation, image_size, write_pts
    from brule.data.conversion import write_predictions

    items: list[Annotation] = []
    done, n = Counts(), len(detector.barycenter_)
    objects: Counter[Path] = Counter()
    with (
        _Table(output / "landmarks.csv", "csv" in formats, n) as table,
        _List(output / "landmarks.json", "json" in formats, n, calibrated=ranking.calibrated) as listing,
        progress_bar("predicting") as progress,
    ):
        found = detector.iter_predict(samples, skip_bad=samples.bad.skip, **options)
        for batch, landmarks in found:
            numbers = []
            for k, sample in enumerate(batch):
                points, spread = landmarks.points[k].numpy(), landmarks.spread[k].numpy()
                answer = Answer(points, spread, float(landmarks.score[k]), bool(landmarks.flagged[k]))
                objects[sample.path] += 1
                numbers.append(objects[sample.path])
                name = numbered(names[sample.path], objects[sample.path])
                if "pts" in formats and answer.found:
                    write_pts(output / f"{name}.pts", points)
                table.add(sample.path, answer)
                listing.add(sample.path, answer)
                done.count(sample.path, answer)
                if further and answer.found:
                    items.append(Annotation(os.path.abspath(sample.path), points, size=image_size(sample.path)))
                if overlays and answer.found:
                    draw_overlay(sample.path, points, target=output / "overlays" / f"{name}.jpg", edges=detector.edges_)
                if heatmaps and answer.found:
                    target = output / "heatmaps" / f"{name}.png"
                    draw_heatmap(sample.path, points, target=target, edges=detector.edges_, config=detector.config_)
            ranking.add(batch, landmarks, numbers)
            progress(int(landmarks.image.max()) + 1 if len(landmarks) else 0, len(samples))
    for one in further if items else ():
        for what in write_predictions(items, output, format=one, names=detector.landmark_names_, edges=detector.edges_):
            note(f"{one.title} can't hold {what}")
    return done


def _further_formats(names: Sequence[str]) -> list[AnnotationFormat]:
    """The annotation formats among those asked for."""
    from brule.data.formats import format_named

    return [format_named(name) for name in dict.fromkeys(names) if name not in DEFAULT_FORMATS]


@dataclass(frozen=True)
class Answer:
    """What is written of one object: landmarks and spreads in pixels, and how sure the detector is."""

    points: np.ndarray
    spread: np.ndarray
    score: float
    flagged: bool

    @property
    def found(self) -> bool:
        """Whether there are landmarks at all."""
        return bool(math.isfinite(float(self.points[0, 0])))


@dataclass
class Counts:
    """How many objects were written, and of how many images."""

    images: set[Path] = field(default_factory=set)
    objects: int = 0
    flagged: int = 0

    def count(self, path: Path, answer: Answer) -> None:
        """Take one object in."""
        self.objects += answer.found
        self.flagged += answer.flagged
        if answer.found:
            self.images.add(path)

    def text(self, images: int) -> str:
        """The counts in words."""
        text = f"{images} images" if self.objects == images else f"{self.objects} objects in {images} images"
        return text + (f" ({self.flagged} flagged as probably wrong)" if self.flagged else "")


class _Stream:
    """A text file that grows while predictions come, and gets its name when all are in."""

    def __init__(self, path: Path, wanted: bool, n_points: int, *, calibrated: bool = False) -> None:
        self._wanted, self._n, self._calibrated = wanted, n_points, calibrated
        self._whole = atomic_write(path)
        self._file: IO[str] | None = None

    def __enter__(self) -> _Stream:
        if self._wanted:
            temporary = self._whole.__enter__()
            with self._ending_well():
                self._file = temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="")
                self._file.write(self._head())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is None:
            return
        with self._ending_well(), self._file:  # closing writes what is left, which may fail as well
            if kind is None:
                self._file.write(self._foot())
        self._whole.__exit__(kind, error, trace)

    @contextmanager
    def _ending_well(self) -> Iterator[None]:
        """Leave nothing half-written where the file itself can't be written."""
        try:
            yield
        except OSError as error:
            self._whole.__exit__(type(error), error, error.__traceback__)  # which says it in words of ours
            raise

    def add(self, path: Path, answer: Answer) -> None:
        """Write one object's landmarks, pixels."""
        if self._file is not None:
            self._file.write(self._entry(path, answer))

    def _head(self) -> str:
        raise NotImplementedError

    def _entry(self, path: Path, answer: Answer) -> str:
        raise NotImplementedError

    def _foot(self) -> str:
        return ""


class _Table(_Stream):
    """``path, x0, y0, …, spread, score, flagged``: one line per object; the spread is the mean over its landmarks."""

    def _head(self) -> str:
        return _csv_line(["path", *(f"{axis}{i}" for i in range(self._n) for axis in "xy"), "spread", "score", "flagged"])

    def _entry(self, path: Path, answer: Answer) -> str:
        figures = [*answer.points.ravel().tolist(), float(answer.spread.mean()), answer.score]
        texts = [f"{value:.3f}" if math.isfinite(value) else "" for value in figures]
        return _csv_line([str(path), *texts, str(int(answer.flagged))])


class _List(_Stream):
    """``{"landmarks": N, "frame": …, "spread": …, "images": [{"path", "points", "spread", …}, …]}``."""

    _separator = "\n"

    def _head(self) -> str:
        frame = "pixels of the upright image, the centre of the first pixel at (0, 0)"
        spread = "expected distance from the truth" if self._calibrated else "standard deviation of the heatmap along one axis"
        return f'{{"landmarks": {self._n}, "frame": "{frame}", "spread": "{spread}, pixels", "images": ['

    def _entry(self, path: Path, answer: Answer) -> str:
        import json

        entry = {
            "path": str(path),
            "points": [[round(float(x), 3), round(float(y), 3)] for x, y in answer.points] if answer.found else None,
            "spread": [round(float(value), 3) for value in answer.spread] if answer.found else None,
            "score": round(answer.score, 4) if math.isfinite(answer.score) else None,
            "flagged": answer.flagged,
        }
        before, self._separator = self._separator, ",\n"
        return before + json.dumps(entry)

    def _foot(self) -> str:
        return "\n]}\n"


def _csv_line(cells: Sequence[str]) -> str:
    import csv
    import io

    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _roots(paths: Sequence[str]) -> list[str]:
    return [os.path.abspath(path if os.path.isdir(path) else _fixed_part(path)) for path in paths]


def _written_before(paths: Sequence[str], output: Path) -> list[str]:
    """The folders whose pictures are results of an earlier call rather than images to predict."""
    from brule.data.predictions import PICTURES

    folder = os.path.abspath(output)
    asked_for = any(_is_under(Path(root), folder) or root == folder for root in _roots(paths))
    return [os.path.join(folder, name) for name in PICTURES] if asked_for else [folder]


def _fixed_part(path: str) -> str:
    """The folder of a file, or the folders of a glob before its first magic part."""
    folder = os.path.dirname(path)
    while glob.has_magic(folder) and not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return folder or "."


def _relative(path: Path, base: str) -> Path:
    absolute = os.path.abspath(path)
    return Path(os.path.relpath(absolute, base)) if _is_under(path, base) else Path(path.name)


def _is_under(path: Path, *folders: str) -> bool:
    return os.path.abspath(path).startswith(tuple(os.path.join(folder, "") for folder in folders))


def _refuse_overwriting(names: dict[Path, Path], output: Path) -> None:
    for path, name in names.items():
        if os.path.abspath(output / name.parent) == os.path.abspath(path.parent):
            raise ConfigError(
                f"-o {output}: predictions would be beside the images, where they count as annotations (and replace "
                "those that are there); choose another folder, or leave pts out: --format csv --format json"
            )
