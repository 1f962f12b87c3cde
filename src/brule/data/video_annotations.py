"""Labels on frames of videos: the labelled frames become images, with their labels beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath

from brule.data.annotations import write_annotations
from brule.data.discovery import find_files
from brule.data.formats import FORMATS, Annotation, Annotations, load
from brule.data.video import VIDEO_SUFFIXES, read_frames
from brule.errors import ConfigError, DataError
from brule.files import check_name, make_folder, write_image

LABELS = "labels.json"


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """What :func:`extract_labelled_frames` did.

    Args:
        images: the images that were written.
        n_objects: annotated objects in them.
        labels: the file with the labels, COCO keypoints.
        notes: remarks of the reader.
    """

    images: list[Path]
    n_objects: int
    labels: Path
    notes: list[str] = field(default_factory=list)


def extract_labelled_frames(
    labels: Path | str,
    folder: Path | str,
    *,
    videos: Iterable[Path | str] = (),
    force: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> LabelledFrames:
    """Write the labelled frames of videos as images, and their labels as COCO keypoints beside them.

    Args:
        labels: labels of SLEAP (``.slp``), or tracks of CVAT for video (``.xml``).
        folder: the folder to write to: ``VIDEO_000123.png`` and ``labels.json``.
        videos: the videos, or folders of them; by default they are looked for beside and below the labels' folder, by their
            name.
        force: replace files that are there.
        progress: called as ``progress(done, total)`` after each image.

    Raises:
        ConfigError: PyAV isn't installed; or a file is there and ``force`` is not given.
        DataError: the labels are on no video, a video isn't found, is damaged, or has fewer frames.
    """
    labels, folder = Path(labels), Path(folder)
    found = _read(labels)
    wanted: dict[Path, dict[int, list[Annotation]]] = defaultdict(lambda: defaultdict(list))
    known = _Videos(labels, videos)
    for one in found.frame_annotations:
        wanted[known.find(one.video)][one.frame].append(one.annotation)
    places = {video: {frame: folder / f"{video.stem}_{frame:06d}.png" for frame in own} for video, own in wanted.items()}
    images = [place for own in places.values() for place in own.values()]
    _check_places(images, folder / LABELS, force=force)
    made, fresh = not folder.exists(), [place for place in images if not place.exists()]
    make_folder(folder)
    items: list[Annotation] = []
    try:
        for video, own in wanted.items():
            items += _write_frames(video, own, places[video], labels=labels)
            if progress is not None:
                progress(len({item.image for item in items}), len(images))
        write_annotations(folder / LABELS, Annotations(items, found.layout), format=FORMATS["coco"], force=force)
    except BaseException:
        for place in fresh:
            place.unlink(missing_ok=True)
        if made:
            folder.rmdir()
        raise
    return LabelledFrames(images, len(items), folder / LABELS, found.notes)


def _write_frames(video: Path, own: dict[int, list[Annotation]], places: dict[int, Path], *, labels: Path) -> list[Annotation]:
    """The objects of a video, on the images that are written of its frames."""
    items: list[Annotation] = []
    left = set(own)
    for frame in read_frames(video):
        if frame.number in left:
            place = places[frame.number]
            write_image(place, frame.image)
            items += [replace(item, image=place.name, size=frame.image.size) for item in own[frame.number]]
            left.discard(frame.number)
        if not left:
            return items
    raise DataError(f"{video}: has no frame {min(left)}, which {labels.name} labels; is it the video that was labelled?")


def _read(labels: Path) -> Annotations:
    if not labels.is_file():
        raise DataError(f"{labels}: expected labels of SLEAP or CVAT, but there is no such file")
    format, content = load(labels)
    found = None if format is None else format.parse(labels, content, lambda image: (0, 0))
    if found is None or not found.frame_annotations:
        raise DataError(
            f"{labels}: holds no labels on frames of a video; expected SLEAP's labels (.slp) of videos, or tracks of CVAT for "
            "video"
        )
    return found


def _check_places(images: list[Path], labels: Path, *, force: bool) -> None:
    for place in (*images, labels):
        check_name(place)
        if place.exists() and not force:
            raise ConfigError(f"{place}: exists already; choose another folder, or replace it with --force (force=True)")
    if len(set(images)) < len(images):
        raise DataError(f"{labels.parent}: two videos have one name; rename one of them, in the labels, too")


class _Videos:
    """Finds videos by the names that labels keep, which may be paths of another machine."""

    def __init__(self, labels: Path, videos: Iterable[Path | str]) -> None:
        self._labels = labels
        given = [Path(video) for video in videos]
        self._only = given[0] if len(given) == 1 and given[0].is_file() else None
        self._known: dict[str, list[Path]] = defaultdict(list)
        for video in find_files(given or [labels.parent], VIDEO_SUFFIXES):
            self._known[video.name.casefold()].append(video)

    def find(self, name: str) -> Path:
        """The video of that name.

        Raises:
            DataError: there is none, or several.
        """
        last = PureWindowsPath(name).name
        found = self._known.get(last.casefold(), [])
        if not found and self._only is not None and len({*self._known}) == 1:
            return self._only  # renamed, or the labels don't name it
        if len(found) > 1:
            raise DataError(f"{self._labels}: the video {last!r} could be {found[0]} or {found[1]}; give one with --video")
        if not found:
            raise DataError(
                f"{self._labels}: the video {last or 'that was labelled'!r} isn't below {self._labels.parent}; give it with "
                "--video FILE"
            )
        return found[0]
