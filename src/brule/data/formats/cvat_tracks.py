"""CVAT for video 1.1: tracks over the frames of a video, where the frames are images.

A track has an element for every frame: placed by a person (``keyframe="1"``) or interpolated between such. Where the object, or
one of its points, isn't in the picture, it is ``outside``. Frames count through the whole video; CVAT saves them as
``frame_000123.PNG``.
"""

from __future__ import annotations

import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from brule.data.formats.record import Annotation, FrameAnnotation
from brule.data.formats.values import counted, shown
from brule.errors import DataError

_WAY = (
    "these are frames of a video: in CVAT, export the task with 'Save images', or let `brule data frames {} -o frames/` save "
    "the labelled ones as images"
)
_NAME = "frame_{:06d}"


def way_to_frames(path: Path) -> str:
    """What to do if the frames of a file aren't there."""
    return _WAY.format(shlex.quote(str(path)))


def images_of_tracks(path: Path, root: ET.Element) -> tuple[list[ET.Element], list[str]]:
    """The frames on which something is annotated, as elements ``image`` of CVAT for images.

    Args:
        path: the file, for errors.
        root: its content.

    Returns:
        The elements, and remarks.

    Raises:
        DataError: a frame isn't a number.
    """
    size = {edge: text for edge in ("width", "height") if (text := root.findtext(f"meta//original_size/{edge}"))}
    frames: dict[int, list[ET.Element]] = {}
    interpolated: set[int] = set()
    for track in root.findall("track"):
        for element in track:
            if element.tag == "attribute":
                continue
            frame = _frame(path, element)
            own = _in_frame(element, track)
            frames.setdefault(frame, []).append(own)
            if element.get("keyframe") == "0" and _visible(own):
                interpolated.add(frame)
    images = []
    for frame in sorted(frames):
        if any(map(_visible, frames[frame])):
            image = ET.Element("image", {"name": _NAME.format(frame), **size})
            image.extend(frames[frame])
            images.append(image)
    notes = []
    if interpolated:
        what = "CVAT interpolated positions between those that a person placed"
        notes.append(f"on {counted(len(interpolated), 'frame')}, interpolated points are taken for labels ({what})")
    return images, notes


def frame_annotations_of(root: ET.Element, items: Iterable[Annotation]) -> list[FrameAnnotation]:
    """The objects of frames, with the video that the file names."""
    video = root.findtext("meta/source") or root.findtext("meta//source") or ""
    start, digits = _NAME.split("{")[0], slice(len(_NAME.split("{")[0]), None)
    return [
        FrameAnnotation(replace(item, image=""), video, int(item.image[digits]))
        for item in items
        if item.labelled and item.image.startswith(start) and item.image[digits].isdigit()
    ]


def _frame(path: Path, element: ET.Element) -> int:
    text = element.get("frame") or ""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise DataError(f"{path}: expected the number of a frame of a track, got {shown(text)}")
    return int(text)


def _in_frame(element: ET.Element, track: ET.Element) -> ET.Element:
    """An element of a track with the track's label and group, as an image holds it."""
    group = {"group_id": value} if (value := track.get("group_id")) else {}
    own = ET.Element(element.tag, {**element.attrib, "label": track.get("label") or "", **group})
    own.extend(list(element))
    return own


def _visible(element: ET.Element) -> bool:
    return any(one.get("outside") != "1" for one in _points(element))


def _points(element: ET.Element) -> Iterator[ET.Element]:
    return iter(element.findall("points")) if element.tag == "skeleton" else iter((element,))
