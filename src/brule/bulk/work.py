"""The work on one part: read, predict, one row per object, one Parquet file."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from brule.bulk.places import SCHEME, Place, fetch_all, file_system
from brule.bulk.plan import Part
from brule.data import BadFiles, Sample, SampleList
from brule.data.images import IMAGE_SUFFIXES, image_size
from brule.detector.predicting import PredictOptions
from brule.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow

    from brule.detector import LandmarkDetector, Landmarks

MAX_MEMBER = 2**29  # bytes of a file in a shard; a few bytes of a compressed one may stand for any number
_ON_DISK = 256  # images from elsewhere at a time
_AT_ONCE = 32  # images that are fetched at the same time, into memory


def fingerprint(folder: Path, options: PredictOptions) -> str:
    """A hash of a detector's files and of the options; the size of batches doesn't decide the results."""
    deciding = {name: value for name, value in asdict(options).items() if name != "batch_size"}
    found = hashlib.sha256(repr(sorted(deciding.items())).encode())
    for name, content in detector_files(folder).items():
        found.update(name.encode() + hashlib.sha256(content).digest())
    return found.hexdigest()


def detector_files(folder: Path) -> dict[str, bytes]:
    """The files that a detector is loaded from, by name."""
    from brule.detector import LandmarkDetector
    from brule.tracking.run_files import CALIBRATION, DESCRIPTION, LOCATOR, WEIGHTS

    LandmarkDetector.load(folder, device="cpu")  # says what is wrong with it, if anything
    names = (WEIGHTS, DESCRIPTION, LOCATOR, CALIBRATION)
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def predict_part(detector: LandmarkDetector, part: Part, output: Place, *, options: PredictOptions) -> dict[str, int]:
    """Predict a part and write its file, whole or not at all.

    An image that can't be read gives a row with the reason in ``error``, one in which nothing is found a row without landmarks
    (``found`` is false), so that each image has its row.

    Returns:
        How many ``images``, ``objects`` and ``errors`` there were.

    Raises:
        DataError: a shard can't be read, or no image can be fetched though they are there.
        OutputError: the file can't be written.
    """
    import pyarrow.parquet

    from brule.detector.landmarks import nothing_found

    rows = Rows(len(detector.barycenter_))
    for batch in _batches(part):
        names = {path: name for name, path in batch if isinstance(path, Path)}
        for name, error in batch:
            if isinstance(error, DataError):
                rows.add_error(name, str(error).removeprefix(f"{name}: "))
        if not names:
            continue
        samples = SampleList([Sample(path) for path in names], bad=BadFiles(skip=True))
        for found, landmarks in detector.iter_predict(samples, skip_bad=True, **asdict(options)):
            rows.add([names[sample.path] for sample in found], [sample.path for sample in found], landmarks)
        for bad in detector.bad_files_:
            rows.add_error(names[bad.path], bad.reason)
        unread = {bad.path for bad in detector.bad_files_}
        if gone := [path for path in names if path not in unread and not rows.has(path)]:
            rows.add([names[path] for path in gone], gone, nothing_found(range(len(gone)), rows.landmarks))
    sink = io.BytesIO()
    pyarrow.parquet.write_table(rows.table(), sink, compression="zstd")
    output.write(part.file, sink.getvalue())
    return rows.counts


class Rows:
    """The rows of a part, in columns.

    Args:
        landmarks: of an object.
    """

    def __init__(self, landmarks: int) -> None:
        self.landmarks = landmarks
        self._rows: list[dict[str, Any]] = []
        self._objects: dict[Path, int] = {}  # by path: a shard may hold two images of one name
        self.counts = {"images": 0, "objects": 0, "errors": 0}

    def has(self, path: Path) -> bool:
        """Whether an image has a row."""
        return path in self._objects

    def add(self, names: Sequence[str], paths: Sequence[Path], landmarks: Landmarks) -> None:
        """The objects of some images, each with the name and the path of its image."""
        for name, path, one in zip(names, paths, landmarks, strict=True):
            number = self._objects[path] = self._objects.get(path, -1) + 1
            width, height = image_size(path) if number == 0 else (self._rows[-1]["width"], self._rows[-1]["height"])
            self.counts["images"] += number == 0
            self.counts["objects"] += one.found
            self._rows.append(
                {
                    "image": name,
                    "object": number,
                    "width": width,
                    "height": height,
                    "found": one.found,
                    "score": one.score,
                    "flagged": one.flagged,
                    "uncertainty": one.uncertainty,
                    "points": one.points.flatten().tolist(),
                    "spread": one.spread.tolist(),
                    "box": one.box.tolist(),
                    "angle": one.angle,
                    "error": None,
                }
            )

    def add_error(self, name: str, reason: str) -> None:
        """An image that can't be read."""
        self.counts["images"] += 1
        self.counts["errors"] += 1
        self._rows.append({"image": name, "object": 0, "found": False, "flagged": True, "error": reason})

    def table(self) -> pyarrow.Table:
        """All rows, in the order in which they were added."""
        import pyarrow as pa

        number = pa.float32()
        schema = pa.schema(
            [
                ("image", pa.string()),
                ("object", pa.int32()),
                ("width", pa.int32()),
                ("height", pa.int32()),
                ("found", pa.bool_()),
                ("score", number),
                ("flagged", pa.bool_()),
                ("uncertainty", number),
                ("points", pa.list_(number, 2 * self.landmarks)),
                ("spread", pa.list_(number, self.landmarks)),
                ("box", pa.list_(number, 4)),
                ("angle", number),
                ("error", pa.string()),
            ]
        )
        # Names of files needn't be UTF-8, texts of Parquet files are.
        rows = [{name: _text(value) if isinstance(value, str) else value for name, value in row.items()} for row in self._rows]
        return pa.Table.from_pylist(rows, schema=schema)


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def need_pyarrow() -> None:
    """Stop early where Parquet files can't be written.

    Raises:
        ConfigError: pyarrow isn't installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ConfigError("parts are Parquet files, which need pyarrow: pip install 'brule-landmarks[ray]'") from None


def _batches(part: Part) -> Iterator[list[tuple[str, Path | DataError]]]:
    """Names and local paths of a part's images, an error for those that can't be fetched.

    What comes from elsewhere is in a temporary folder meanwhile.
    """
    if not part.shard and not any(SCHEME in item for item in part.items):
        yield [(item, Path(item)) for item in part.items]
        return
    contents = _members(part.items[0]) if part.shard else _fetched(part.items)
    while True:
        with TemporaryDirectory() as folder:
            found: list[tuple[str, Path | DataError]] = []
            for number, (name, content) in enumerate(islice(contents, _ON_DISK)):
                if isinstance(content, DataError):
                    found.append((name, content))
                    continue
                path = Path(folder) / f"{number}{os.path.splitext(name)[1].lower()}"
                path.write_bytes(content)
                found.append((name, path))
            if not found:
                return
            yield found


def _fetched(addresses: Sequence[str]) -> Iterator[tuple[str, bytes | DataError]]:
    for start in range(0, len(addresses), _AT_ONCE):
        some = addresses[start : start + _AT_ONCE]
        yield from zip(some, fetch_all(some), strict=True)


def _members(shard: str) -> Iterator[tuple[str, bytes | DataError]]:
    """The images of a tar file, read once from front to back: ``SHARD::MEMBER`` and the content."""
    try:
        with _stream(shard) as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None and os.path.splitext(member.name)[1].lower() in IMAGE_SUFFIXES:
                    if member.size > MAX_MEMBER:
                        raise DataError(f"{shard}: {member.name} is larger than {MAX_MEMBER >> 20} MiB; give it as a file")
                    yield f"{shard}::{member.name}", content.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{shard}: can't be read as a tar file ({error})") from error


def _stream(shard: str) -> Any:
    if SCHEME not in shard:
        return open(shard, "rb")
    files, path = file_system(shard)
    return files.open(path, "rb")
