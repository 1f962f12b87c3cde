"""SLEAP's labels (``.slp``): frames of lists of images, in them instances of a skeleton, placed by a person or predicted.

Points count from the centre of the first pixel (in files of a layout before 1.1 from the corner). Predicted instances never
become labels. Frames of videos are no image files: they are passed over with a remark.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from brule.coordinates import from_corner
from brule.data.formats.format import Format, SizeOf
from brule.data.formats.hdf5 import SleapLabels, load_hdf5
from brule.data.formats.record import Annotation, Annotations, FrameAnnotation, Problems
from brule.data.formats.values import MAX_NUMBER, as_dict, as_list, counted, shown, text
from brule.data.images import IMAGE_SUFFIXES
from brule.data.samples import Layout
from brule.errors import DataError

_USER, _PREDICTED = 0, 1
_BODY = 1  # an edge that isn't a symmetry
_CENTRED = 1.1  # the layout from which points count from the centre of the first pixel
_NEWEST = 3.0  # a layout that isn't known


def _recognises(content: Any) -> bool:
    return isinstance(content, SleapLabels)


def _parse(path: Path, content: Any, size_of: SizeOf) -> Annotations:
    if not isinstance(content, SleapLabels):
        raise DataError(f"{path}: expected labels of SLEAP, found no frames, instances and points in it")
    if content.version >= _NEWEST:
        raise DataError(f"{path}: SLEAP's layout {content.version:g} isn't known; export COCO")
    kinds = {int(one) for one in content.tables["instances"]["skeleton"]}
    if len(kinds) > 1:
        raise DataError(f"{path}: holds instances of {len(kinds)} skeletons; split it into a file for each kind")
    layout = _layout(str(path), content.metadata, min(kinds, default=0))
    predicted = not (content.tables["instances"]["instance_type"] == _USER).any()
    frames = _Frames(path, content, len(layout.names or ()), predicted=predicted and len(content.tables["instances"]) > 0)
    items = [item for row in range(len(content.tables["frames"])) for item in frames.objects(row)]
    notes = frames.notes()
    if not items and not frames.problems and notes:  # frames of videos alone: named in a folder, refused if given by name
        return Annotations([], layout, notes, notes, predicted=True, frame_annotations=frames.frame_annotations)
    return Annotations(
        items, layout, frames.problems, notes, predicted=frames.predicted, frame_annotations=frames.frame_annotations
    )


def _layout(where: str, metadata: dict[str, Any], number: int) -> Layout:
    """Names and edges of a skeleton, whose nodes are numbers of the file's list of nodes."""
    skeletons = as_list(metadata.get("skeletons"), f"{where}: skeletons", "skeletons")
    nodes = as_list(metadata.get("nodes"), f"{where}: nodes", "nodes")
    if not 0 <= number < len(skeletons):
        raise DataError(f"{where}: an instance is of skeleton {number}, but there are {len(skeletons)}")
    skeleton = as_dict(skeletons[number], f"{where}: skeleton", "a skeleton")
    numbers = [_number(as_dict(one, where, "a node").get("id"), nodes, where) for one in skeleton.get("nodes") or []]
    names = [text(as_dict(nodes[one], where, "a node").get("name"), f"{where}: a node") for one in numbers]
    index = {one: i for i, one in enumerate(numbers)}
    graph = skeleton.get("graph")
    kind = graph.get("name") if isinstance(graph, dict) else None
    edges = tuple((index[a], index[b]) for a, b in _links(skeleton) if a in index and b in index)
    try:
        return Layout(tuple(names), edges, kind=kind if isinstance(kind, str) and kind.strip() else "object")
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _number(value: object, nodes: list[Any], where: str) -> int:
    if not isinstance(value, int) or not 0 <= value < len(nodes):
        raise DataError(f"{where}: expected the number of a node, below {len(nodes)}, got {shown(value)}")
    return value


def _links(skeleton: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The edges of the body. Their type is written once, and later by its number among the types before."""
    known: list[object] = []
    found = []
    for link in skeleton.get("links") or []:
        kind = link.get("type") if isinstance(link, dict) else None
        if not isinstance(kind, dict):
            continue
        if "py/reduce" in kind:
            known.append(_edge_type(kind["py/reduce"]))
            own = known[-1]
        else:
            place = kind.get("py/id")
            own = known[place - 1] if isinstance(place, int) and 0 < place <= len(known) else _BODY
        if own == _BODY:
            found.append((link.get("source"), link.get("target")))
    return [(a, b) for a, b in found if isinstance(a, int) and isinstance(b, int)]


def _edge_type(parts: object) -> object:
    tuples = (
        [one["py/tuple"] for one in parts if isinstance(one, dict) and "py/tuple" in one] if isinstance(parts, list) else []
    )
    return tuples[0][0] if tuples and isinstance(tuples[0], list) and tuples[0] else _BODY


@dataclass
class _Passed:
    """What is passed over."""

    frames: int = 0
    instances: int = 0
    video: str = ""


class _Frames:
    """Makes records of frames."""

    def __init__(self, path: Path, content: SleapLabels, count: int, *, predicted: bool) -> None:
        self.problems, self.predicted = Problems(path), predicted
        self._path, self._content, self._count = path, content, count
        self.frame_annotations: list[FrameAnnotation] = []
        self._files = [_files(video) for video in content.videos]
        self._passed = _Passed()
        self._twice: Counter[str] = Counter()

    def objects(self, row: int) -> list[Annotation]:
        """The objects of a frame; one without points if it has none. Nothing of a frame of a video."""
        frame = self._content.tables["frames"][row]
        where = f"{self._path}: frame {row + 1}"
        with self.problems.caught():
            image = self._image(int(frame["video"]), int(frame["frame_idx"]), where)
            if image is not None:
                self._twice[image] += 1
            if image is not None and self._twice[image] > 1:
                raise DataError(f"{where}: {image} has a frame already; expected one per picture")
            rows = self._between("instances", frame["instance_id_start"], frame["instance_id_end"], where=where)
            wanted = _PREDICTED if self.predicted else _USER
            self._passed.instances += int((rows["instance_type"] != wanted).sum())
            found = [self._points(one, f"{where} ({image})") for one in rows[rows["instance_type"] == wanted]]
            items = [Annotation(image or "", points) for points in found if np.isfinite(points).any()]
            if image is None:
                video = _name(self._content.videos[int(frame["video"])])
                self.frame_annotations += [
                    FrameAnnotation(item, video, int(frame["frame_idx"])) for item in items if not self.predicted
                ]
                return []
            return items or [Annotation(image)]
        return []

    def _image(self, video: int, frame: int, where: str) -> str | None:
        if not 0 <= video < len(self._files):
            raise DataError(f"{where}: is of video {video}, but there are {len(self._files)}")
        files = self._files[video]
        if files is None:
            self._passed.frames += 1
            self._passed.video = self._passed.video or _name(self._content.videos[video])
            return None
        if not 0 <= frame < len(files):
            raise DataError(f"{where}: is picture {frame} of a list of {len(files)}")
        return text(files[frame], where, "an image's name")

    def _between(self, table: str, start: Any, end: Any, *, where: str) -> np.ndarray:
        rows = self._content.tables[table]
        if not 0 <= int(start) <= int(end) <= len(rows):
            raise DataError(f"{where}: {table} {int(start)} to {int(end)} aren't there; is the file damaged?")
        return rows[int(start) : int(end)]

    def _points(self, instance: Any, where: str) -> np.ndarray:
        table = "points" if int(instance["instance_type"]) == _USER else "pred_points"
        rows = self._between(table, instance["point_id_start"], instance["point_id_end"], where=where)
        if len(rows) != self._count:
            raise DataError(f"{where}: an instance has {len(rows)} points, its skeleton {self._count} nodes")
        points = np.stack([rows["x"], rows["y"]], axis=1).astype(np.float64)
        if (np.abs(points[np.isfinite(points)]) > MAX_NUMBER).any():
            raise DataError(f"{where}: expected coordinates in pixels, got {np.nanmax(np.abs(points)):g}")
        points[~rows["visible"].astype(bool) | ~np.isfinite(points).all(axis=1)] = np.nan
        return (points if self._content.version >= _CENTRED else from_corner(points)).astype(np.float32)

    def notes(self) -> list[str]:
        """What was passed over, one sentence for each kind."""
        notes = ["predictions, not labels: no instance was placed by a person"] if self.predicted else []
        if self._passed.instances and not self.predicted:
            notes.append(f"{counted(self._passed.instances, 'predicted instance')} passed over: predictions, not labels")
        if self._passed.frames:
            what = counted(self._passed.frames, "frame")
            command = f"`brule data frames {shlex.quote(str(self._path))} -o frames/`"
            way = f"{command} saves the labelled ones as images with their labels"
            notes.append(f"{what} of a video ({self._passed.video}), which is no image file, passed over; {way}")
        return notes


def _files(video: dict[str, Any]) -> list[Any] | None:
    """The image files of a list of pictures; None for a video. A package's own pictures are those of its source."""
    source = video.get("source_video")
    if isinstance(source, dict):
        return _files(source)
    backend = video.get("backend")
    own = backend if isinstance(backend, dict) else {}
    for value in (own.get("filenames"), video.get("filename"), own.get("filename")):
        if isinstance(value, list) and value:
            return value
        if isinstance(value, str) and PureWindowsPath(value).suffix.lower() in IMAGE_SUFFIXES:
            return [value]
    return None


def _name(video: dict[str, Any]) -> str:
    backend = video.get("backend")
    own = backend if isinstance(backend, dict) else {}
    named = next((one for one in (own.get("filename"), video.get("filename")) if isinstance(one, str)), "")
    return PureWindowsPath(named).name[:60] or "without a name"


def _dump(annotations: Annotations) -> str:
    raise DataError("SLEAP's files aren't written; export COCO, which SLEAP imports")


SLEAP = Format(
    name="sleap",
    title="SLEAP",
    suffixes=(".slp", ".h5", ".hdf5"),
    load=load_hdf5,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(),
)
