"""Sound files of every kind that brule reads, and how each is read: what ``benchmarks.fuzz`` damages."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.fuzz_damage import damaged, damaged_hdf5

TINY: dict[str, Any] = {
    "encoder.width": 8, "encoder.depth": 1, "crop.image_size": 16, "iterations": 2, "batch_size": 4, "threads": 1, "split": 1,
    "preview_every": 0,
}  # fmt: skip
_PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Target:
    """A sound file, and the function that reads it.

    Attributes:
        name: of the reader, for the report.
        folder: a sound folder, which each trial copies.
        file: the file in it that is damaged.
        read: reads the copied folder.
        damage: damages the file's content.
    """

    name: str
    folder: Path
    file: str
    read: Callable[[Path], object]
    damage: Callable[[bytes, random.Random], bytes] = damaged


def targets(folder: Path) -> list[Target]:
    """Write sound files of every kind into a folder, and say how each is read."""
    from brule.data.synthetic import synthetic_faces, write_synthetic_faces

    faces = synthetic_faces(8, size=32, seed=1)
    write_synthetic_faces(folder / "faces", 3, size=32, seed=1)
    found = [*_formats(folder), *_hdf5(folder), *_images(folder / "images", faces.images[0]), *_settings(folder)]
    found += [*_cache(folder), *_project(folder), *_runs(folder, faces), *_whole(folder, faces)]
    for one in found:
        one.read(one.folder)  # damage to what can't be read anyway would show nothing
    return found


def _formats(folder: Path) -> Iterator[Target]:
    """Annotations in each format that brule writes."""
    from brule.data import read_samples, read_shapes
    from brule.data.conversion import convert
    from brule.data.formats import FORMATS
    from brule.errors import BruleError

    for name in FORMATS:
        place = folder / f"format-{name}"
        place.mkdir()
        for image in sorted((folder / "faces").glob("*.[pj][np]g")):
            shutil.copy(image, place)
        suffixes = FORMATS[name].suffixes
        target = place / f"annotations{'.json' if '.json' in suffixes else min(suffixes)}"
        with contextlib.suppress(BruleError):  # a format that is only read
            convert(folder / "faces", target, write_as=name, force=True)
        if target.is_dir():  # a file per image: they belong beside the images
            shutil.rmtree(target)
            convert(folder / "faces", place, write_as=name, force=True)
        written = sorted(path for path in place.rglob("*") if path.is_file() and path.suffix not in _PICTURES)
        if written:
            file = str(written[0].relative_to(place))
            yield Target(f"samples {name}", place, file, lambda path: read_samples(path))
            yield Target(f"shapes {name}", place, file, lambda path: read_shapes(path))


def _hdf5(folder: Path) -> Iterator[Target]:
    """Labels of DeepLabCut and SLEAP; nothing where h5py isn't installed."""
    if importlib.util.find_spec("h5py") is None:
        return
    from brule.data import read_samples

    for name, write in {"CollectedData_a.h5": _write_frame, "labels.slp": _write_sleap}.items():
        place = folder / f"hdf5-{name}"
        place.mkdir()
        images = sorted((folder / "faces").glob("*.[pj][np]g"))
        for image in images:
            shutil.copy(image, place)
        write(place / name, [image.name for image in images])
        yield Target(f"samples {name}", place, name, lambda path: read_samples(path), damaged_hdf5)


def _write_frame(path: Path, images: list[str]) -> None:
    """A data frame in the layout of pandas: the different names of each level, and their numbers."""
    import h5py
    import numpy as np

    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs.update({"pandas_type": np.bytes_("frame"), "nblocks": 1, "axis1_variety": np.bytes_("regular")})
        for name in ("axis0", "block0_items"):
            group.attrs.update({f"{name}_variety": np.bytes_("multi"), f"{name}_nlevels": 3})
            for level, known in enumerate(([b"a"], [b"ear", b"nose", b"tail"], [b"x", b"y"])):
                group[f"{name}_level{level}"] = np.array(known)
                group[f"{name}_label{level}"] = np.arange(6, dtype=np.int8) // (6, 2, 1)[level] % len(known)
        group["axis1"] = np.array([image.encode() for image in images])
        group["block0_values"] = np.arange(6 * len(images), dtype=np.float64).reshape(len(images), 6)


def _write_sleap(path: Path, images: list[str]) -> None:
    import h5py
    import numpy as np

    count = len(images)
    video = {"filename": images, "backend": {"type": "ImageVideo", "filename": images[0], "filenames": images}}
    nodes = [{"name": name} for name in ("a", "b", "c")]
    metadata = {"nodes": nodes, "skeletons": [{"graph": {"name": "s"}, "nodes": [{"id": i} for i in range(3)], "links": []}]}
    frame = [(name, "<u8") for name in ("frame_id", "video", "frame_idx", "instance_id_start", "instance_id_end")]
    instance = [("instance_id", "<i8"), ("instance_type", "u1"), ("skeleton", "<u4")]
    instance += [("point_id_start", "<u8"), ("point_id_end", "<u8")]
    point = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]
    with h5py.File(path, "w") as file:
        about = file.create_group("metadata")
        about.attrs.update({"format_id": 1.3, "json": np.bytes_(json.dumps(metadata))})
        file["videos_json"] = np.array([json.dumps(video).encode()])
        file["frames"] = np.array([(i, 0, i, i, i + 1) for i in range(count)], frame)
        file["instances"] = np.array([(i, 0, 0, 3 * i, 3 * i + 3) for i in range(count)], instance)
        file["points"] = np.array([(i, i + 1, True, True) for i in range(3 * count)], point)
        file["pred_points"] = np.array([], point)


def _images(folder: Path, content: Any) -> Iterator[Target]:
    from PIL import Image, features

    folder.mkdir()
    image = Image.fromarray(content)
    written = {f"a.{suffix}": image for suffix in ("png", "jpg", "tif", "bmp", "gif", "webp", "ppm")}
    written |= {"palette.png": image.quantize(16), "deep.png": image.convert("I;16"), "deep.tif": image.convert("I;16")}
    if features.check("avif"):
        written["a.avif"] = image
    if importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()
        written["a.heic"] = image
    for name, one in written.items():
        one.save(folder / name)
        yield Target(f"image {name}", folder, name, partial(_load_image, name))
    for name in ("a.png", "deep.png", "a.tif", "a.ppm"):
        yield Target(f"bands {name}", folder, name, partial(_load_bands, name))
    if importlib.util.find_spec("pydicom") is not None:
        _write_dicom(folder / "a.dcm", content[..., 0])
        yield Target("image a.dcm", folder, "a.dcm", partial(_load_image, "a.dcm"))
    if importlib.util.find_spec("av") is not None:
        from brule.data.video import read_frames, write_video

        write_video(folder / "a.mp4", [image] * 5, rate=25)
        yield Target("video", folder, "a.mp4", lambda path: list(read_frames(path / "a.mp4")))


def _write_dicom(path: Path, values: Any) -> None:
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.1"), UID("1.2.3")
    own = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    own.Rows, own.Columns = values.shape
    own.SamplesPerPixel, own.BitsAllocated, own.BitsStored, own.HighBit, own.PixelRepresentation = 1, 16, 12, 11, 0
    own.PhotometricInterpretation, own.WindowCenter, own.WindowWidth = "MONOCHROME2", 100, 200
    own.PixelSpacing = [0.2, 0.2]
    own.PixelData = values.astype("<u2").tobytes()
    pydicom.dcmwrite(path, own, enforce_file_format=True)


def _load_image(name: str, folder: Path) -> object:
    from brule.data.images import image_size, load_image

    return image_size(folder / name), load_image(folder / name)


def _load_bands(name: str, folder: Path) -> object:
    """A file as one of hundreds of megapixels is read."""
    from brule.data.images import load_image

    with mock.patch("brule.data.images.LARGE", 0), mock.patch("brule.data.large.LARGE", 0):
        return load_image(folder / name)


def _settings(folder: Path) -> Iterator[Target]:
    """Files that people write: presets, edges, regions, templates."""
    from brule.annotating.template import read_template
    from brule.data import read_edges
    from brule.evaluation.regions import read_regions
    from brule.training.config import load_config

    place = folder / "settings"
    place.mkdir()
    preset = 'iterations = 10\nseed = 3\n[encoder]\nwidth = 16\nhead = "softmax"\n[loss]\nmirror = true\n'
    (place / "mine.toml").write_text(preset)
    (place / "edges.json").write_text("[[0, 1], [1, 2], [2, 0]]")
    (place / "regions.json").write_text('{"left": [0, 1], "right": [2, 3]}')
    (place / "template.toml").write_text('names = ["a", "b", "c"]\nedges = [[0, 1]]\npairs = [[0, 2]]\n')
    (place / "template.json").write_text('{"names": ["a", "b", "c"], "edges": [[0, 1]], "pairs": [[0, 2]]}')
    yield Target("preset", place, "mine.toml", lambda path: load_config(str(path / "mine.toml")))
    yield Target("edges", place, "edges.json", lambda path: read_edges(str(path / "edges.json")))
    yield Target("regions", place, "regions.json", lambda path: read_regions(path / "regions.json", 4))
    for name in ("template.toml", "template.json"):
        yield Target(f"template {name}", place, name, partial(lambda name, path: read_template(path / name), name))


def _cache(folder: Path) -> Iterator[Target]:
    """Decoded crops, which are checked before they are used."""
    from brule.data import build_cache, list_stores, read_samples

    place = folder / "cache"
    build_cache(read_samples(folder / "faces"), 16, directory=place)
    for file in sorted(path for path in place.rglob("*") if path.is_file() and not path.name.startswith(".")):

        def read(path: Path) -> object:
            return list_stores(path), build_cache(read_samples(folder / "faces"), 16, directory=path).images.sum()

        yield Target(f"cache {file.name}", place, str(file.relative_to(place)), read)


def _project(folder: Path) -> Iterator[Target]:
    """An annotation project: its file, an annotation, the history of it, predictions, a recipe of redrawn images."""
    from brule.annotating import Mark, Marks, Project
    from brule.annotating.predictions import FORMAT, Predictions
    from brule.annotating.template import numbered
    from brule.data import read_samples
    from brule.redrawing.recipe import Recipe

    place = folder / "annotated"
    shutil.copytree(folder / "faces", place / "images")
    project = Project(place / "project", [place / "images"], template=numbered(3, edges=[(0, 1)]))
    image = min(project.entries)
    places = {str(i): Mark.at(3 * i, 5 + i) for i in range(1, 4)}
    for version, action in enumerate(("place", "accept")):
        project.change(image, version, Marks(places, ("draft", "accepted")[version]), action=action)
    project.close()
    files = [path for path in (place / "project").rglob("*") if path.is_file() and not path.name.startswith(".")]
    for file in sorted(files):
        yield Target(f"project {file.suffix} of {file.parent.name}", place, str(file.relative_to(place)), _open_project)
    yield Target("samples project", place, "project/project.json", lambda path: read_samples(path / "project"))
    head = {"format": FORMAT, "landmarks": 3, "template": project.settings.version}
    found = {"name": "a", "uncertainty": 1.0, "expected": None, "flagged": False, "points": [[1, 2]] * 3, "spread": [1] * 3}
    (place / "run.jsonl").write_text(f"{json.dumps(head)}\n{json.dumps(found)}\n")
    yield Target("predictions of a project", place, "run.jsonl", lambda path: Predictions(path / "run.jsonl", project).of("a"))
    content = {"format": "brule-redrawing-1", "names": ["a"], "shapes": [[[0.1, 0.2]]], "style_names": ["s"]}
    (place / "recipe.json").write_text(json.dumps(content | {"styles": [[[0.5], [0.5]]]}))
    yield Target("recipe", place, "recipe.json", lambda path: Recipe.read(path / "recipe.json"))


def _open_project(folder: Path) -> object:
    from brule.annotating import Project

    project = Project(folder / "project")
    try:
        return [project.record(image).marks for image in project.entries]
    finally:
        project.close()


def _runs(folder: Path, faces: Any) -> Iterator[Target]:
    """A run that is resumed, watched, or used as a detector."""
    from brule import LandmarkDetector
    from brule.detector.run_record import RunRecord
    from brule.tracking.run_state import RunState

    run = folder / "run"
    LandmarkDetector(quiet=True, **TINY).fit(faces.images, shapes=faces.points[:4], directory=run)
    (run / "data.json").write_text(json.dumps(asdict(RunRecord(["faces"], False, 8, ["a"], "cpu", working_directory="/"))))
    for name in ("detector.json", "model.safetensors"):
        yield Target(f"detector {name}", run, name, LandmarkDetector.load)
    for name in ("checkpoint.safetensors", "config.json", "metrics.jsonl"):
        yield Target(f"resume {name}", run, name, partial(_resume, faces.images))
    for name in ("config.json", "metrics.jsonl"):
        yield Target(f"watch {name}", run, name, RunState.read)
    yield Target("run record", run, "data.json", RunRecord.read)


def _resume(images: Any, run: Path) -> object:
    from brule import LandmarkDetector

    return LandmarkDetector(quiet=True).fit(images, directory=run, resume=True)


def _whole(folder: Path, faces: Any) -> Iterator[Target]:
    """A detector with all the files that there can be, and what ``brule evaluate`` writes."""
    from brule import LandmarkDetector
    from brule.cli import main
    from brule.data import read_samples
    from brule.data.synthetic import write_synthetic_faces
    from brule.evaluation.reports.files import read_evaluation

    small = {"image_size": 16, "width": 2, "max_width": 8, "style_dim": 8, "noise_dim": 8, "mapping_depth": 2}
    settings = TINY | {"gan.enabled": True, "gan.adversarial": 0, **{f"decoder.{key}": value for key, value in small.items()}}
    write_synthetic_faces(folder / "calibrating", 12, size=32, seed=2, start=100)
    detector = LandmarkDetector(quiet=True, **settings).fit(faces.images, labelled=(faces.images, faces.points))
    detector.calibrate(read_samples(folder / "calibrating"))
    detector.save(folder / "whole")
    for path in sorted((folder / "whole").glob("[!.]*.[js]*")):
        yield Target(f"whole {path.name}", folder / "whole", path.name, LandmarkDetector.load)
    evaluation = folder / "evaluation"
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        main(["evaluate", str(folder / "run"), "--data", str(folder / "faces"), "-o", str(evaluation)])
    for name in ("metrics.json", "per_image.csv"):
        yield Target(f"evaluation {name}", evaluation, name, read_evaluation)
