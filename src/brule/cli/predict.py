"""``brule predict``: landmarks of images, as files and as pictures."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from brule.cli.bulk import Bulk, predict_bulk
from brule.cli.image_predictions import ImageFiles, numbered, write_all
from brule.cli.options import Device, Images, Many, Output, Reading, SkipBad, checked_device, images_of
from brule.cli.output import note, note_bad, say
from brule.cli.ranking import Ranking
from brule.cli.videos import Written, predict_videos, split_videos
from brule.errors import ConfigError, DataError
from brule.files import check_name

if TYPE_CHECKING:
    from brule.data import Format as AnnotationFormat
    from brule.data import SampleList
    from brule.detector import LandmarkDetector

DEFAULT_FORMATS = ("pts", "csv", "json")


def predict(
    run: Path,
    paths: list[str] | None = None,
    /,
    *,
    images: Images = None,
    output: Annotated[str, Output],
    format: Annotated[list[str], Parameter(name="--format")] = list(DEFAULT_FORMATS),  # noqa: B006
    overlays: Annotated[bool, Parameter(negative="--no-overlays")] = True,
    heatmaps: bool = False,
    boxes: Annotated[list[str] | None, Many] = None,
    objects: Literal["best", "all"] = "best",
    most: int = 100,
    flagged: Literal["auto", "keep", "drop"] = "auto",
    reading: Reading = Reading(),
    rank: bool = False,
    every: int = 1,
    bulk: Bulk = Bulk(),
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Find the landmarks of images, and write them as files and pictures.

    Sub-folders are kept: `photos/a/1.jpg` becomes `OUTPUT/a/1.pts` if `photos` was given. An annotation beside an image
    (or a file of `--boxes`) gives the object's box. Without one the detector's locator finds the object; a detector
    that has no locator expects it where it was in the annotated images. Predictions that are probably wrong are marked as
    *flagged*. If an image has several objects, the landmarks of the second are in `1-object2.pts`, and so on.

    Coordinates are pixels of the upright image; in the `.pts` files the first pixel is 1, elsewhere 0. Landmarks without names
    are numbered from 0 (`x0`, `y0`, `x1`, …). *Spread* shows how sure each landmark is, in pixels. Once the detector is
    calibrated (`brule calibrate`), it is the expected error, provided that the object was found (flagged predictions have
    none). Before, it only ranks: the larger, the less certain. See docs/confidence.md.

    **Examples**

        brule predict runs/first photos/ -o landmarks

        brule predict runs/first new1.jpg new2.png -o landmarks --format csv --no-overlays

        brule predict runs/first photos/ -o landmarks --tta 4 --rank

        brule predict runs/first herds/ -o landmarks --objects all

        brule predict runs/first video.mp4 -o landmarks

    Args:
        run: The folder of a run, or of a saved detector.
        paths: Images: files, folders, globs (in quotes, `**` reaches any depth). Videos (`.mp4`, `.mov`, `.avi`, …) give
            `NAME.csv` with a row per frame and object, and `overlays/NAME.mp4`; they need `pip install
            'brule-landmarks[video]'`.
        output: The folder to write to: `NAME.pts`, `landmarks.csv`, `landmarks.json`, `overlays/NAME.jpg`.
        format: What to write: `pts`, `csv`, `json`, or any format of `brule data convert` (`coco`, `cvat`, `labelme`, …: files
            `landmarks-coco.json` and so on, or a folder for formats with one file per image); repeat the option for several.
        overlays: Draw the landmarks on every image, each in its own colour and joined by lines, as `overlays/NAME.jpg`; a red
            frame marks predictions that are probably wrong.
        heatmaps: Draw the crop of every object beside a picture of the lines between its landmarks, as training sees them (a
            skeleton heatmap): `heatmaps/NAME.png`.
        boxes: Files with the object's box in each image: a CSV with the columns `image,left,top,right,bottom` (pixels), or any
            annotation format that holds boxes.
        objects: `best`: the surest object of each image; `all`: every object. Either way, an image in which nothing was found
            has a row without coordinates in `landmarks.csv` and `landmarks.json`.
        most: With `--objects all`: the largest number of objects per image, the surest ones.
        flagged: Predictions that are probably wrong: `keep` marks them as flagged, `drop` leaves them out. By default those of
            `--objects best` are kept, those of `--objects all` dropped.
        rank: List the predictions that a person should check first: those where nothing was found, then flagged ones, then
            the least certain. Ten are printed, all of them are in `rank.csv` (docs/confidence.md explains its columns).
        every: For videos: use every Nth frame.
    """
    from brule.detector import LandmarkDetector

    named = images_of(paths, images, example="brule predict RUN photos/ -o landmarks")
    where, options = checked_device(device), {"objects": objects, "most": most, "flagged": flagged, **asdict(reading)}
    for_images = [name for name, given in (("--boxes", boxes), ("--rank", rank), ("--heatmaps", heatmaps)) if given]
    videos, others = split_videos(named)
    bulk.check()
    if bulk.engine != "local":
        for_files = [*(["--format"] if tuple(format) != DEFAULT_FORMATS else []), *(["--every"] if every != 1 else [])]
        if unfit := for_images + for_files:
            raise ConfigError(f"{unfit[0]}: --engine {bulk.engine} writes Parquet files alone; predict without {unfit[0]}")
        if videos:
            raise ConfigError(
                f"{videos[0]}: --engine {bulk.engine} reads images; videos are for the local engine: leave --engine out"
            )
        return predict_bulk(run, named, output, options=options, bulk=bulk, device=where)
    written = Written(Path(output), tuple(format), overlays)
    detector = LandmarkDetector.load(run, device=where)
    short: list[str] = []
    if videos:
        short = predict_videos(
            detector,
            videos,
            written,
            every=every,
            options=options,
            for_images=for_images,
            beside_images=bool(others),
            skip_bad=skip_bad,
        )
    if others:
        _predict_images(
            detector, others, written, boxes=boxes, heatmaps=heatmaps, rank=rank, skip_bad=skip_bad, options=options
        )
    if short and not skip_bad:
        raise DataError("\n".join(f"{one} The frames that could be read are written" for one in short))
    for one in short:
        note(one)
    return 0


def _predict_images(
    detector: LandmarkDetector,
    paths: list[str],
    written: Written,
    *,
    boxes: list[str] | None,
    heatmaps: bool,
    rank: bool,
    skip_bad: bool,
    options: dict[str, Any],
) -> None:
    from brule.data import find_annotations, find_images, read_folder
    from brule.data.training_data import box_files, log_missing_boxes
    from brule.detector.predicting import MAX_OBJECTS

    output, format = written.folder, written.formats
    further = _further_formats(format)
    before = _written_before(paths, output)
    found = [path for path in find_images(paths) if not _is_under(path, *before)]
    if not found:
        raise DataError(f"{', '.join(paths)}: no image but those in {output}, where predictions are written to")
    names = output_names(found, common_folder(paths, found))
    if "pts" in format:
        _refuse_overwriting(names, output)
    _note_videos(paths, before)
    annotations = [path for path in find_annotations(paths) if not _is_under(path, *before)]
    also = [*annotations, *box_files(boxes)]
    samples: SampleList = read_folder(list(found), also=also, check_images=False, skip_bad=skip_bad)
    own = [*([".pts"] if "pts" in format else []), *([".jpg"] if written.overlays else [])]
    _refuse_long_names(samples, names, own, further=further, most=MAX_OBJECTS if options["objects"] == "all" else 1)
    log_missing_boxes(samples, detector.whereabouts_.describe())
    ranking = Ranking(detector.calibration_ is not None, wanted=rank, names=detector.landmark_names_)
    files = ImageFiles(
        output=output, names=names, formats=frozenset(format), further=further, overlays=written.overlays, heatmaps=heatmaps
    )
    count = write_all(detector, samples, files, ranking=ranking, options=options)
    note_bad(detector.bad_files_)
    if not count.images:
        raise DataError(f"none of the {len(found)} images could be read")
    say(f"{count.text()}, {len(detector.barycenter_)} landmarks each: written to {output}")
    if rank:
        ranking.print_first()
        say(f"all of them: {ranking.write(output)}")


def _note_videos(paths: Sequence[str], before: Sequence[str]) -> None:
    """Say which videos in folders are passed over: those are predicted only where they are named."""
    from brule.data.discovery import find_files
    from brule.data.video import VIDEO_SUFFIXES

    inside = find_files([path for path in paths if os.path.isdir(path)], VIDEO_SUFFIXES)
    if videos := [video for video in inside if not _is_under(video, *before)]:
        more = f" and {len(videos) - 1} more videos" if len(videos) > 1 else ""
        note(f"{videos[0]}{more}: passed over; in a folder only images are predicted, so name videos one by one or with a glob")


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
    # File systems may not distinguish A from a, so names are compared without case.
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


def _further_formats(names: Sequence[str]) -> list[AnnotationFormat]:
    """The annotation formats among those asked for."""
    from brule.data.formats import format_named

    return [format_named(name, also=DEFAULT_FORMATS) for name in dict.fromkeys(names) if name not in DEFAULT_FORMATS]


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


def _refuse_long_names(
    samples: SampleList, names: dict[Path, Path], suffixes: Sequence[str], *, further: Sequence[AnnotationFormat], most: int
) -> None:
    """Refuse images whose results would have names that file systems don't take, before anything is written."""
    for path, count in Counter(sample.path for sample in samples).items():
        longest = numbered(names[path], max(count, most))
        for suffix in suffixes:
            check_name(f"{longest}{suffix}")
        for one in further:
            if one.one_image:
                check_name(one.own_file(path))


def _refuse_overwriting(names: dict[Path, Path], output: Path) -> None:
    for path, name in names.items():
        if os.path.abspath(output / name.parent) == os.path.abspath(path.parent):
            raise ConfigError(
                f"-o {output}: predictions would be beside the images, where they count as annotations (and replace "
                "those that are there); choose another folder, or leave pts out: --format csv --format json"
            )
