"""Things that write into a folder and may be done again there, for tests that kill them or refuse them the disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brule import LandmarkDetector
from brule.cli import main
from brule.data import build_cache, read_samples
from brule.data.synthetic import synthetic_faces, write_synthetic_faces
from brule.tensors import read_safetensors
from tests.interruption import in_fork

FACES = synthetic_faces(12, size=32)
SETTINGS: dict[str, Any] = {
    "iterations": 4, "batch_size": 4, "checkpoint_every": 2, "preview_every": 3, "log_every": 3, "time_limit": 0, "threads": 1,
    "split": 1, "crop.image_size": 16, "encoder.width": 8, "encoder.depth": 1, "precision": "float32", "seed": 1,
}  # fmt: skip
COMMANDS = ("predict", "evaluate", "convert", "store", "export")


def fit(run: Path) -> LandmarkDetector:
    """Go on with the run where there is one to go on with, else begin."""
    resume = (run / "checkpoint.safetensors").exists()
    settings = {} if resume else SETTINGS
    detector = LandmarkDetector("cpu", quiet=True, **settings)
    return detector.fit(FACES.images, shapes=None if resume else FACES.points[:4], directory=run, resume=resume)


class Work:
    """Something that writes into a folder, and may be done again in the same folder.

    Attributes:
        run: a trained run.
        faces: three annotated images.
        whole: the folder as it is when nobody interferes.
        operations: how many file operations it takes.
        creations: the same, files that are opened for writing counted with them.
        seconds: how long.
    """

    def __init__(self, name: str, run: Path, faces: Path, whole: Path) -> None:
        self.name, self.run, self.faces, self.whole = name, run, faces, whole
        self.into(whole.with_name(f"{name}-first"))()  # imports what it needs, so that a fork needn't
        ended = in_fork(self.into(whole))
        assert ended.code == 0, ended.printed
        self.operations, self.seconds = ended.operations, ended.seconds
        counting = in_fork(self.into(whole.with_name(f"{name}-counted")), refuse_from=10**9)  # counts files opened, too
        self.creations = counting.operations
        assert self.creations >= self.operations > 0

    def into(self, out: Path) -> Callable[[], object]:
        """The work, as a function for a process of its own."""
        run, faces = str(self.run), str(self.faces)
        commands = {
            "predict": ["predict", run, faces, "-o", str(out), "--format", "csv", "--format", "json"],
            "evaluate": ["evaluate", run, "--data", faces, "-o", str(out)],
            "convert": ["data", "convert", faces, str(out), "--to", "labelme", "--force"],
            "export": ["export", run, "-o", str(out / "model.onnx"), "--overwrite"],
        }
        if self.name == "train":
            return lambda: fit(out) and None
        if self.name == "store":
            return lambda: build_cache(read_samples(faces), 16, directory=out) and None
        return lambda: main(commands[self.name])

    def compare(self, out: Path) -> None:
        """What is there now is what would be there had nobody interfered, hidden files included."""
        if self.name == "train":
            compare_runs(out, self.whole)
            return
        assert files_of(out) == files_of(self.whole), "litter, or something is missing"
        for name in files_of(out):
            if name.endswith((".csv", ".png", ".pts", ".u8", ".f4", ".jsonl")):
                assert (out / name).read_bytes() == (self.whole / name).read_bytes(), name


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def compare_runs(run: Path, whole: Path) -> None:
    """The same files with the same content; seconds apart."""
    assert files_of(run) == files_of(whole), "litter, or something is missing"
    for name in ("model.safetensors", "checkpoint.safetensors"):
        ours, theirs = (read_safetensors(folder / name)[0] for folder in (run, whole))
        assert ours.keys() == theirs.keys() and all(ours[key].equal(theirs[key]) for key in ours)
    metrics = [
        [without_seconds(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (run, whole)
    ]
    assert metrics[0] == metrics[1]
    for preview in whole.glob("previews/*"):
        assert (run / "previews" / preview.name).read_bytes() == preview.read_bytes()


def without_seconds(line: str) -> dict[str, float]:
    record: dict[str, float] = json.loads(line)
    del record["seconds"]
    return record


class Works:
    """Makes the work of a name when it is asked for, each once.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Work] = {}
        write_synthetic_faces(folder / "faces", 3, size=32)

    def __call__(self, name: str) -> Work:
        if name == "export":
            for package in ("onnx", "onnxscript", "onnxruntime"):
                pytest.importorskip(package, reason=f"exports need {package}: pip install 'brule-landmarks[export]'")
        if name != "train":
            self("train")
        if name not in self._made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("brule.tracking.log._tensorboard", lambda directory: None)
                self._made[name] = Work(name, self._folder / "train", self._folder / "faces", self._folder / name)
        return self._made[name]
