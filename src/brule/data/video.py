"""Videos: frames one after the other, and frames written as a video. Needs PyAV, the extra ``video``."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from brule.errors import ConfigError, DataError
from brule.files import atomic_write

if TYPE_CHECKING:
    import os

_log = logging.getLogger("brule")

VIDEO_SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"))
_QUARTER_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
_CODECS = ("libx264", "mpeg4")  # the first that PyAV was built with


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video.

    Attributes:
        number: counted from 0.
        seconds: since the beginning; NaN where the video doesn't state it.
        image: upright RGB.
    """

    number: int
    seconds: float
    image: Image.Image


@dataclass(frozen=True)
class VideoInfo:
    """The facts in a video's header.

    Attributes:
        frames: about how many there are; 0 where the video doesn't state it.
        rate: frames per second.
    """

    frames: int
    rate: float


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a path's suffix is that of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def video_info(path: Path | str) -> VideoInfo:
    """Number and rate of the frames, from the head of a video.

    Raises:
        ConfigError: PyAV isn't installed.
        DataError: it is no video.
    """
    with _opened(Path(path)) as (container, stream):
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        seconds = float(container.duration / 1_000_000) if container.duration else 0.0
        return VideoInfo(stream.frames or round(seconds * rate), rate)


def read_frames(path: Path | str, *, every: int = 1, cut_off: Callable[[str], object] = _log.warning) -> Iterator[Frame]:
    """The frames of a video, one after the other; one at a time is in memory.

    Args:
        path: the video.
        every: use every Nth frame, starting with the first.
        cut_off: called after the last frame with a message that names the video, if its head states more frames.

    Raises:
        ConfigError: PyAV isn't installed, or ``every`` isn't positive.
        DataError: it is no video, or damaged.
    """
    if every < 1:
        raise ConfigError(f"every: expected at least 1, got {every}")
    with _opened(Path(path)) as (container, stream):
        stream.thread_type = "AUTO"
        number, begin, frame = -1, None, None
        for number, frame in enumerate(container.decode(stream)):
            begin = frame.time if number == 0 else begin
            if number % every == 0:
                seconds = math.nan if frame.time is None else float(frame.time)
                yield Frame(number, seconds, _upright(frame.to_image(), getattr(frame, "rotation", 0)))
        if 0 <= number < stream.frames - 1 and _ends_early(stream, begin, frame):
            cut_off(f"{path}: states {stream.frames} frames, {number + 1} could be read: cut off?")


def write_video(path: Path, images: Iterable[Image.Image], *, rate: float) -> int:
    """Write pictures as a video, all or nothing.

    Args:
        path: the MP4 file.
        images: RGB, all of the size of the first; odd sizes lose their last row or column.
        rate: frames per second.

    Returns:
        The number of frames; 0 writes nothing.
    """
    av = _pyav()
    images = iter(images)
    first = next(images, None)
    if first is None:
        return 0
    count = 0
    with atomic_write(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream(_codec(av), rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height = (side - side % 2 for side in first.size)
        stream.pix_fmt = "yuv420p"
        for image in chain([first], images):
            frame = av.VideoFrame.from_image(image.crop((0, 0, stream.width, stream.height)))
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode())
    return count


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """A video and its picture stream; any error inside is raised as a DataError that names the file."""
    av = _pyav()
    if not path.is_file():
        raise DataError(f"{path}: expected a video, but there is no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: expected a video, found no pictures in it")
            yield container, container.streams.video[0]
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: no video, or a damaged one ({error.strerror})") from error


def _ends_early(stream: Any, begin: float | None, last: Any) -> bool:
    """Whether a video's last frame is before the end that its head states, counted from the time of the first.

    A phone that trims a video leaves the frames outside in the file, and in their number, but shortens the duration.
    """
    if stream.duration is None or begin is None or last.time is None:
        return True
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    shown = float((last.duration or 0) * last.time_base) or 1 / rate
    return float(last.time - begin) + shown < float(stream.duration * stream.time_base) - 0.5 / rate


def _pyav() -> Any:
    try:
        import av
    except ImportError:
        raise ConfigError("videos need the package av: pip install 'brule-landmarks[video]'") from None
    return av


def _codec(av: Any) -> str:
    return next((name for name in _CODECS if name in av.codecs_available), _CODECS[-1])


def _upright(image: Image.Image, rotation: int) -> Image.Image:
    """Turned as the video's head asks for: phones video sideways and note it."""
    turn = _QUARTER_TURNS.get(rotation % 360)
    return image if turn is None else image.transpose(turn)
