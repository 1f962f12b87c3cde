"""``brule predict`` and ``brule choose`` on films."""

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
from brule.cli.predicted_files import Answer, Counts, Described, LandmarkList, LandmarkTable
from brule.cli.prediction_pictures import MAX_OVERLAY_SIDE, MIN_OVERLAY_SIDE
from brule.errors import ConfigError, DataError
from brule.files import make_folder

if TYPE_CHECKING:
    from PIL import Image

    from brule.data.video import Frame
    from brule.detector import LandmarkDetector

FILM_FORMATS = ("csv", "json")
OF_IMAGES = ("landmarks", "rank")  # names of files that images have beside them


def apart(paths: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The films among paths, and everything else. A glob that matches films alone is films."""
    from brule.data.video import is_video

    films: list[Path] = []
    others: list[str] = []
    for path in paths:
        found = [path] if os.path.exists(path) or not glob.has_magic(path) else sorted(glob.glob(path, recursive=True))
        matching = [Path(one) for one in found if is_video(one)]
        films += matching
        if len(matching) < len(found) or not found:
            others.append(path)
    return films, others


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


def predict_films(
    detector: LandmarkDetector,
    films: Sequence[Path],
    written: Written,
    *,
    every: int,
    options: dict[str, Any],
    for_images: Sequence[str] = (),
    beside_images: bool = False,
    skip_bad: bool = False,
) -> list[str]:
    """Predict films frame by frame: ``NAME.csv`` and ``NAME.json`` for each, and ``overlays/NAME.mp4``.

    Args:
        detector: to predict with.
        films: the files.
        written: what is written, and where.
        every: how many frames it is from one that is used to the next.
        options: of :meth:`LandmarkDetector.predict`.
        for_images: the options given that only images have, such as ``--boxes``.
        beside_images: whether images are predicted into the same folder.
        skip_bad: leave damaged films out, and list them.

    Returns:
        A message about each film whose frames end early; the frames before are written.

    Raises:
        ConfigError: a format or an option is asked for that films don't have, or nothing would be written, or a film would be
            replaced; ``every`` is below 1.
        DataError: a film is damaged; with ``skip_bad``, all of them are, and there are no images.
    """
    from brule.data import BadFiles

    if for_images:
        raise ConfigError(f"{for_images[0]}: expected images, got the film {films[0]}; predict films without {for_images[0]}")
    tables = [one for one in FILM_FORMATS if one in written.formats]
    unfit = sorted(set(written.formats) - {*FILM_FORMATS, "pts"})
    if unfit or not (tables or written.overlays):
        raise ConfigError(f"--format {(unfit or written.formats)[0]}: films are written as {' and '.join(FILM_FORMATS)}")
    if every < 1:
        raise ConfigError(f"--every: expected 1 (every frame) or more, got {every}")
    places: dict[str, list[Path]] = {}
    for name in _names(films, taken=OF_IMAGES if beside_images else ()):
        places[name] = [written.folder / f"{name}.{one}" for one in tables]
        places[name] += [written.folder / "overlays" / f"{name}.mp4"] if written.overlays else []
    _refuse_replacing(films, [place for own in places.values() for place in own])
    bad, short = BadFiles(skip=skip_bad), list[str]()
    for film, (name, own) in zip(films, places.items(), strict=True):
        try:
            count, frames = _predict_film(
                detector, film, written.folder / name, written=written, every=every, options=options, cut_off=short.append
            )
        except DataError as error:
            if not skip_bad:
                raise
            bad.reject_error(film, error)
            continue
        say(f"{film}: {count.text(frames).replace('images', 'frames')}: written to {', '.join(map(str, own))}")
    note_bad(bad)
    if films and not beside_images and len(bad) == len(films):
        raise DataError("none of the films could be read")
    return short


def _refuse_replacing(films: Sequence[Path], places: Sequence[Path]) -> None:
    """Refuse places that are one of the films, by whatever name."""
    own = {os.path.realpath(film): film for film in films}
    for place in places:
        if (film := own.get(os.path.realpath(place))) is not None:
            raise ConfigError(
                f"{film}: would be replaced by predictions, which are written to {place}; choose another folder with -o, or "
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


def _predict_film(
    detector: LandmarkDetector,
    film: Path,
    target: Path,
    *,
    written: Written,
    every: int,
    options: dict[str, Any],
    cut_off: Callable[[str], object],
) -> tuple[Counts, int]:
    from brule.data.video import film_info, read_frames, write_film

    info, done = film_info(film), Counts()
    calibrated = detector.calibration_ is not None
    known = Described(len(detector.barycenter_), detector.landmark_names_, calibrated=calibrated)
    with (
        _FrameTable(target.with_name(f"{target.name}.csv"), "csv" in written.formats, known) as table,
        _FrameListing(target.with_name(f"{target.name}.json"), "json" in written.formats, known) as listing,
        progress_bar(film.name) as progress,
    ):
        taken = 0

        def drawn() -> Iterator[Image.Image]:
            nonlocal taken
            frames = read_frames(film, every=every, cut_off=cut_off)
            for frame, answers in _answers(detector, frames, options=options):
                for answer in answers:
                    table.add(frame, answer)
                    listing.add(frame, answer)
                    done.count(Path(str(frame.number)), answer)
                taken += 1
                progress(frame.number + 1, max(info.frames, frame.number + 1))
                if written.overlays:
                    yield _overlay(frame, answers, detector)

        if written.overlays:
            with _unless_empty(target.parent / "overlays") as pictures:
                write_film(pictures / f"{target.name}.mp4", drawn(), rate=info.rate / every)
        else:
            for _ in drawn():
                pass
    if not taken:
        raise DataError(f"{film}: no frame could be read")
    return done, taken


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


def _answers(
    detector: LandmarkDetector, frames: Iterator[Frame], *, options: dict[str, Any]
) -> Iterator[tuple[Frame, list[Answer]]]:
    """Each frame with the answers in it, in order; a batch of frames is in memory."""
    from itertools import islice

    size = int(options["batch_size"])
    while batch := list(islice(frames, size)):
        found = detector.predict([frame.image for frame in batch], **options)
        for k, frame in enumerate(batch):
            own = found.of(k)
            yield frame, [Answer(one.points.numpy(), one.spread.numpy(), one.score, one.flagged) for one in own]


def _overlay(frame: Frame, answers: Sequence[Answer], detector: LandmarkDetector) -> Image.Image:
    from brule.plots import draw_objects

    side = min(max(max(frame.image.size), MIN_OVERLAY_SIDE), MAX_OVERLAY_SIDE)
    return draw_objects(frame.image, [answer.points for answer in answers if answer.found], side=side, edges=detector.edges_)


def _names(films: Sequence[Path], *, taken: Sequence[str] = ()) -> list[str]:
    """A name for each film's results, none of those taken; films of one name are numbered."""
    names: list[str] = []
    for film in films:
        name, number = film.stem, 2
        while name.lower() in (other.lower() for other in (*taken, *names)):
            name, number = f"{film.stem}-{number}", number + 1
        names.append(name)
    return names


def extract_frames(films: Sequence[Path], folder: Path, *, most: int) -> int:
    """Write evenly spread frames of films as PNG files ``FILM-NUMBER.png``; returns how many.

    Args:
        films: to take them from.
        folder: to write to.
        most: about how many frames of all films together.

    Raises:
        ConfigError: ``most`` is below 1.
        DataError: a film is damaged.
    """
    from brule.data.video import film_info, read_frames
    from brule.plots import save_picture

    if most < 1:
        raise ConfigError(f"--frames: expected 1 frame or more, got {most}")
    infos = [film_info(film) for film in films]
    every = max(1, sum(info.frames for info in infos) // most)
    written = 0
    with progress_bar("reading frames") as progress:
        for film, name in zip(films, _names(films), strict=True):
            for frame in read_frames(film, every=every):
                save_picture(frame.image, folder / f"{name}-{frame.number:06d}.png")
                written += 1
                progress(written, max(written, sum(info.frames for info in infos) // every))
    return written
