"""``brule predict`` and ``brule choose`` on videos."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brule.cli.output import note_bad, progress_bar, say
from brule.cli.predicted_files import Counts, Described, LandmarkList, LandmarkTable, Prediction
from brule.cli.prediction_pictures import MAX_OVERLAY_SIDE, MIN_OVERLAY_SIDE
from brule.errors import ConfigError, DataError
from brule.files import make_folder

if TYPE_CHECKING:
    from PIL import Image

    from brule.data.video import Frame
    from brule.detector import LandmarkDetector

VIDEO_FORMATS = ("csv", "json")
OF_IMAGES = ("landmarks", "rank")  # names of files that images have beside them


def split_videos(paths: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The videos among paths, and everything else. A glob that matches videos alone is videos."""
    from brule.data.video import is_video

    videos: list[Path] = []
    others: list[str] = []
    for path in paths:
        found = [path] if os.path.exists(path) or not glob.has_magic(path) else sorted(glob.glob(path, recursive=True))
        matching = [Path(one) for one in found if is_video(one)]
        videos += matching
        if len(matching) < len(found) or not found:
            others.append(path)
    return videos, others


@dataclass(frozen=True)
class Written:
    """What ``brule predict`` writes.

    Attributes:
        folder: to write to.
        formats: of files.
        overlays: whether pictures are drawn.
    """

    folder: Path
    formats: tuple[str, ...]
    overlays: bool


def predict_videos(
    detector: LandmarkDetector,
    videos: Sequence[Path],
    written: Written,
    *,
    every: int,
    options: dict[str, Any],
    for_images: Sequence[str] = (),
    beside_images: bool = False,
    skip_bad: bool = False,
) -> list[str]:
    """Predict videos frame by frame: ``NAME.csv`` and ``NAME.json`` for each, and ``overlays/NAME.mp4``.

    Args:
        detector: to predict with.
        videos: the files.
        written: what is written, and where.
        every: how many frames it is from one that is used to the next.
        options: of :meth:`LandmarkDetector.predict`.
        for_images: the options given that only images have, such as ``--boxes``.
        beside_images: whether images are predicted into the same folder.
        skip_bad: leave damaged videos out, and list them.

    Returns:
        A message about each video whose frames end early; the frames before are written.

    Raises:
        ConfigError: a format or an option is asked for that videos don't have, or nothing would be written, or a video would be
            replaced; ``every`` is below 1.
        DataError: a video is damaged; with ``skip_bad``, all of them are, and there are no images.
    """
    from brule.data import BadFiles
    from brule.data.predictions import PICTURES

    if for_images:
        raise ConfigError(
            f"{for_images[0]}: expected images, got the video {videos[0]}; predict videos without {for_images[0]}"
        )
    tables = [one for one in VIDEO_FORMATS if one in written.formats]
    unfit = sorted(set(written.formats) - {*VIDEO_FORMATS, "pts"})
    if unfit or not (tables or written.overlays):
        raise ConfigError(f"--format {(unfit or written.formats)[0]}: videos are written as {' and '.join(VIDEO_FORMATS)}")
    if every < 1:
        raise ConfigError(f"--every: expected 1 (every frame) or more, got {every}")
    places: dict[str, list[Path]] = {}
    for name in _names(videos, taken=OF_IMAGES if beside_images else ()):
        places[name] = [written.folder / f"{name}.{one}" for one in tables]
        places[name] += [written.folder / PICTURES[0] / f"{name}.mp4"] if written.overlays else []
    _refuse_replacing(videos, [place for own in places.values() for place in own])
    bad, short = BadFiles(skip=skip_bad), list[str]()
    for video, (name, own) in zip(videos, places.items(), strict=True):
        try:
            count = _predict_video(
                detector, video, written.folder / name, written=written, every=every, options=options, cut_off=short.append
            )
        except DataError as error:
            if not skip_bad:
                raise
            bad.reject_error(video, error)
            continue
        say(f"{video}: {count.text()}: written to {', '.join(map(str, own))}")
    note_bad(bad)
    if videos and not beside_images and len(bad) == len(videos):
        raise DataError("none of the videos could be read")
    return short


def _refuse_replacing(videos: Sequence[Path], places: Sequence[Path]) -> None:
    """Refuse places that are one of the videos, by whatever name."""
    own = {os.path.realpath(video): video for video in videos}
    for place in places:
        if (video := own.get(os.path.realpath(place))) is not None:
            raise ConfigError(
                f"{video}: would be replaced by predictions, which are written to {place}; choose another folder with -o, or "
                "leave pictures out with --no-overlays"
            )


class _FrameTable(LandmarkTable):
    """``frame, seconds, x0, y0, …, spread, score, flagged``."""

    _place_names = ("frame", "seconds")

    def _place(self, path: Any) -> list[str]:
        return [str(path.number), "" if math.isnan(path.seconds) else f"{path.seconds:.3f}"]


class _FrameListing(LandmarkList):
    """As for images, with ``frame`` and ``seconds`` in place of ``path``."""

    def _place(self, path: Any) -> dict[str, Any]:
        return {"frame": path.number, "seconds": None if math.isnan(path.seconds) else round(path.seconds, 3)}


def _predict_video(
    detector: LandmarkDetector,
    video: Path,
    target: Path,
    *,
    written: Written,
    every: int,
    options: dict[str, Any],
    cut_off: Callable[[str], object],
) -> Counts:
    from brule.data.predictions import PICTURES
    from brule.data.video import read_frames, video_info, write_video

    info, done = video_info(video), Counts("frame")
    calibrated = detector.calibration_ is not None
    known = Described(len(detector.barycenter_), detector.landmark_names_, calibrated=calibrated)
    with (
        _FrameTable(target.with_name(f"{target.name}.csv"), "csv" in written.formats, known) as table,
        _FrameListing(target.with_name(f"{target.name}.json"), "json" in written.formats, known) as listing,
        progress_bar(video.name) as progress,
    ):

        def drawn() -> Iterator[Image.Image]:
            frames = read_frames(video, every=every, cut_off=cut_off)
            for frame, predictions in _predictions(detector, frames, options=options):
                for prediction in predictions:
                    table.add(frame, prediction)
                    listing.add(frame, prediction)
                    done.count(frame.number, prediction)
                progress(frame.number + 1, max(info.frames, frame.number + 1))
                if written.overlays:
                    yield _overlay(frame, predictions, detector)

        if written.overlays:
            with _unless_empty(target.parent / PICTURES[0]) as pictures:
                write_video(pictures / f"{target.name}.mp4", drawn(), rate=info.rate / every)
        else:
            for _ in drawn():
                pass
    if not done.images:
        raise DataError(f"{video}: no frame could be read")
    return done


@contextmanager
def _unless_empty(folder: Path) -> Iterator[Path]:
    """A folder that is removed again if it is new and an error leaves nothing in it."""
    new = not folder.exists()
    make_folder(folder)
    try:
        yield folder
    except BaseException:
        if new and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _predictions(
    detector: LandmarkDetector, frames: Iterator[Frame], *, options: dict[str, Any]
) -> Iterator[tuple[Frame, list[Prediction]]]:
    """Each frame with the predictions in it, in order; one without coordinates where nothing was found.

    A batch of frames is in memory.
    """
    from itertools import islice

    from brule.detector.landmarks import nothing_found

    size = int(options["batch_size"])
    while batch := list(islice(frames, size)):
        found = detector.predict([frame.image for frame in batch], **options)
        for k, frame in enumerate(batch):
            own = found.of(k) if len(found.of(k)) else nothing_found([k], len(detector.barycenter_))
            yield (
                frame,
                [
                    Prediction(points=one.points.numpy(), spread=one.spread.numpy(), score=one.score, flagged=one.flagged)
                    for one in own
                ],
            )


def _overlay(frame: Frame, predictions: Sequence[Prediction], detector: LandmarkDetector) -> Image.Image:
    from brule.plots import draw_objects

    side = min(max(max(frame.image.size), MIN_OVERLAY_SIDE), MAX_OVERLAY_SIDE)
    return draw_objects(
        frame.image, [prediction.points for prediction in predictions if prediction.found], side=side, edges=detector.edges_
    )


def _names(videos: Sequence[Path], *, taken: Sequence[str] = ()) -> list[str]:
    """A name for each video's results, none of those taken; videos of one name are numbered."""
    names: list[str] = []
    for video in videos:
        name, number = video.stem, 2
        while name.lower() in (other.lower() for other in (*taken, *names)):
            name, number = f"{video.stem}-{number}", number + 1
        names.append(name)
    return names


def extract_frames(videos: Sequence[Path], folder: Path, *, most: int) -> int:
    """Write evenly spread frames of videos as PNG files ``VIDEO-NUMBER.png``; returns how many.

    Args:
        videos: to take them from.
        folder: to write to.
        most: about how many frames of all videos together.

    Raises:
        ConfigError: ``most`` is below 1.
        DataError: a video is damaged.
    """
    from brule.data.video import read_frames, video_info
    from brule.plots import save_picture

    if most < 1:
        raise ConfigError(f"--frames: expected 1 frame or more, got {most}")
    infos = [video_info(video) for video in videos]
    every = max(1, sum(info.frames for info in infos) // most)
    written = 0
    with progress_bar("reading frames") as progress:
        for video, name in zip(videos, _names(videos), strict=True):
            for frame in read_frames(video, every=every):
                save_picture(frame.image, folder / f"{name}-{frame.number:06d}.png")
                written += 1
                progress(written, max(written, sum(info.frames for info in infos) // every))
    return written
