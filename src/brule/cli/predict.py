"""``brule predict``: landmarks of images, as files and as pictures."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from brule.cli.options import Device, Many, Output, SkipBad, Views, checked_device
from brule.cli.output import note_bad, progress_bar, say
from brule.cli.ranking import Ranking
from brule.errors import ConfigError, DataError
from brule.files import atomic_write

if TYPE_CHECKING:
    import numpy as np

    from brule.data import Edges, SampleList
    from brule.detector import LandmarkDetector

Format = Literal["pts", "csv", "json"]
ALL_FORMATS: tuple[Format, ...] = ("pts", "csv", "json")
OVERLAY_SIDE = 1280  # pixels: larger overlays would take longer to draw than the landmarks to find


def predict(
    run: Path,
    paths: list[str],
    /,
    *,
    output: Annotated[Path, Output],
    format: Annotated[list[Format], Parameter(name="--format")] = list(ALL_FORMATS),  # noqa: B006
    overlays: Annotated[bool, Parameter(negative="--no-overlays")] = True,
    boxes: Annotated[list[str] | None, Many] = None,
    batch_size: int = 64,
    views: Views = 1,
    rank: bool = False,
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Find the landmarks of images, and write them as files and pictures.

    Sub-folders are kept: `photos/a/1.jpg` becomes `OUTPUT/a/1.pts` if `photos` was given. An annotation beside an image
    gives the box to cut out, as in training; without one, the whole image is taken. Where one image has boxes of several
    objects, the second becomes `1-object2.pts`. Coordinates are pixels of the
    upright image; in the `.pts` files the first pixel is 1, elsewhere 0. *Spread* says how sure each landmark is, in
    pixels: once the detector is calibrated (`brule calibrate`), the distance that it is expected to be off; before, the
    standard deviation of a heatmap, which says little. docs/confidence.md has more.

    **Examples**

        brule predict runs/first photos/ -o landmarks

        brule predict runs/first new1.jpg new2.png -o landmarks --format csv --no-overlays

        brule predict runs/first "scans/**/*.png" -o landmarks --skip-bad

        brule predict runs/first photos/ -o landmarks --views 4 --rank

    Args:
        run: The folder of a run, or of a saved detector.
        paths: Images: files, folders, globs (in quotes, `**` reaches any depth).
        output: The folder to write to: `NAME.pts`, `landmarks.csv`, `landmarks.json`, `overlays/NAME.jpg`.
        format: What to write: `pts`, `csv`, `json`; repeat the option for several.
        overlays: Draw the landmarks on every image, coloured by index, joined along their contours.
        boxes: Files that say where the object is: a CSV with the columns `image,left,top,right,bottom` (pixels), or any
            annotation format that holds boxes.
        batch_size: Images at a time; memory doesn't grow with their number.
        rank: List the images that most need a person's look, the highest expected error first: ten on the terminal, all of
            them in `rank.csv`.
    """
    from brule.data import find_annotations, find_images, read_folder
    from brule.data.training_data import box_files, log_missing_boxes
    from brule.detector import LandmarkDetector

    detector = LandmarkDetector.load(run, device=checked_device(device))
    written = _written_before(paths, output)
    found = [path for path in find_images(paths) if not _is_under(path, written)]
    if not found:
        raise DataError(f"{', '.join(paths)}: no image but those in {output}, where predictions are written to")
    names = output_names(found, common_folder(paths, found))
    if "pts" in format:
        _refuse_overwriting(names, output)
    annotations = [path for path in find_annotations(paths) if not _is_under(path, written)]
    also = [*annotations, *box_files(boxes)]
    samples: SampleList = read_folder(list(found), also=also, check_images=False, skip_bad=skip_bad)
    log_missing_boxes(samples)
    ranking = Ranking(detector.calibration_ is not None, wanted=rank)
    count = _write_all(
        detector,
        samples,
        names,
        output,
        ranking,
        formats=set(format),
        overlays=overlays,
        batch_size=batch_size,
        views=views,
    )
    note_bad(detector.bad_files_)
    if not count:
        raise DataError(f"none of the {len(found)} images could be read")
    say(f"{count} images, {len(detector.barycenter_)} landmarks each: written to {output}")
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
    output: Path,
    ranking: Ranking,
    *,
    formats: set[Format],
    overlays: bool,
    batch_size: int,
    views: int,
) -> int:
    """Predict a batch at a time and write it at once; returns how many images there were."""
    from brule.data import write_pts

    done = 0
    objects: Counter[Path] = Counter()
    with (
        _Table(output / "landmarks.csv", "csv" in formats, len(detector.barycenter_)) as table,
        _List(output / "landmarks.json", "json" in formats, len(detector.barycenter_), ranking.calibrated) as listing,
        progress_bar("predicting") as progress,
    ):
        found = detector.iter_predict(samples, batch_size=batch_size, views=views, skip_bad=samples.bad.skip)
        for batch, landmarks in found:
            numbers = []
            for sample, points, spread in zip(batch, landmarks.points.numpy(), landmarks.spread.numpy(), strict=True):
                objects[sample.path] += 1
                numbers.append(objects[sample.path])
                name = numbered(names[sample.path], objects[sample.path])
                if "pts" in formats:
                    target = output / f"{name}.pts"
                    write_pts(target, points)
                table.add(sample.path, points, spread)
                listing.add(sample.path, points, spread)
                if overlays:
                    _draw(sample.path, points, output / "overlays" / f"{name}.jpg", detector.edges_)
            ranking.add(batch, landmarks, numbers)
            done += len(batch)
            progress(done, len(samples))
    return done


class _Stream:
    """A text file that grows while predictions come, and gets its name when all are in."""

    def __init__(self, path: Path, wanted: bool, n_points: int, calibrated: bool = False) -> None:
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

    def add(self, path: Path, points: np.ndarray, spread: np.ndarray) -> None:
        """Write one image's landmarks, pixels."""
        if self._file is not None:
            self._file.write(self._entry(path, points, spread))

    def _head(self) -> str:
        raise NotImplementedError

    def _entry(self, path: Path, points: np.ndarray, spread: np.ndarray) -> str:
        raise NotImplementedError

    def _foot(self) -> str:
        return ""


class _Table(_Stream):
    """``path, x0, y0, …, spread``: one line an image, the spread being the mean over its landmarks."""

    def _head(self) -> str:
        return _csv_line(["path", *(f"{axis}{i}" for i in range(self._n) for axis in "xy"), "spread"])

    def _entry(self, path: Path, points: np.ndarray, spread: np.ndarray) -> str:
        return _csv_line([str(path), *(f"{value:.3f}" for value in points.ravel()), f"{float(spread.mean()):.3f}"])


class _List(_Stream):
    """``{"landmarks": N, "frame": …, "spread": …, "images": [{"path", "points", "spread"}, …]}``."""

    _separator = "\n"

    def _head(self) -> str:
        frame = "pixels of the upright image, the centre of the first pixel at (0, 0)"
        spread = "expected distance from the truth" if self._calibrated else "standard deviation of the heatmap along one axis"
        return f'{{"landmarks": {self._n}, "frame": "{frame}", "spread": "{spread}, pixels", "images": ['

    def _entry(self, path: Path, points: np.ndarray, spread: np.ndarray) -> str:
        import json

        entry = {
            "path": str(path),
            "points": [[round(float(x), 3), round(float(y), 3)] for x, y in points],
            "spread": [round(float(value), 3) for value in spread],
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


def _draw(image: Path, points: np.ndarray, target: Path, edges: Edges) -> None:
    from brule.coordinates import image_box, pixels_to_unit, unit_to_pixels
    from brule.data import load_image
    from brule.plots import draw_landmarks, save_picture

    picture = load_image(image)
    unit = pixels_to_unit(points, image_box(*picture.size))
    picture.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE))
    save_picture(draw_landmarks(picture, unit_to_pixels(unit, image_box(*picture.size)), edges=edges), target)


def _roots(paths: Sequence[str]) -> list[str]:
    return [os.path.abspath(path if os.path.isdir(path) else _fixed_part(path)) for path in paths]


def _written_before(paths: Sequence[str], output: Path) -> str:
    """The folder whose pictures are results of an earlier call rather than images to predict."""
    folder = os.path.abspath(output)
    asked_for = any(_is_under(Path(root), folder) or root == folder for root in _roots(paths))
    return os.path.join(folder, "overlays") if asked_for else folder


def _fixed_part(path: str) -> str:
    """The folder of a file, or the folders of a glob before its first magic part."""
    folder = os.path.dirname(path)
    while glob.has_magic(folder) and not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return folder or "."


def _relative(path: Path, base: str) -> Path:
    absolute = os.path.abspath(path)
    return Path(os.path.relpath(absolute, base)) if _is_under(path, base) else Path(path.name)


def _is_under(path: Path, folder: str) -> bool:
    return os.path.abspath(path).startswith(os.path.join(folder, ""))


def _refuse_overwriting(names: dict[Path, Path], output: Path) -> None:
    for path, name in names.items():
        if os.path.abspath(output / name.parent) == os.path.abspath(path.parent):
            raise ConfigError(
                f"-o {output}: predictions would lie beside the images, where they count as annotations (and replace "
                "those that are there); choose another folder, or leave pts out: --format csv --format json"
            )
