"""Drawn faces as files, as shards and elsewhere, and a detector that predicts them in no time."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces, write_synthetic_faces

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")

TINY = {
    "crop__image_size": 32,
    "encoder__width": 8,
    "encoder__stacks": 1,
    "encoder__depth": 2,
    "encoder__stem_stride": 2,
    "batch_size": 4,
    "iterations": 2,
    "time_limit": 0,
    "preview_every": 0,
    "quiet": True,
    "device": "cpu",
}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved detector; don't write here."""
    faces = synthetic_faces(12, size=48)
    folder = tmp_path_factory.mktemp("bulk") / "detector"
    LandmarkDetector(**TINY).fit(faces.images, shapes=faces.points[:10]).save(folder)
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine faces; don't write here."""
    folder = tmp_path_factory.mktemp("faces")
    write_synthetic_faces(folder, 9, size=48, points=False)
    return folder


@pytest.fixture
def photos(drawn: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    return Path(shutil.copytree(drawn, tmp_path / "photos"))


@pytest.fixture
def pack(tmp_path: Path) -> Callable[[Path, str], Path]:
    """Pack a folder's images into a shard, with a label beside each as WebDataset has them."""

    def packed(folder: Path, name: str) -> Path:
        shard = tmp_path / name
        (tmp_path / "1.cls").write_text("7")
        with tarfile.open(shard, "w") as archive:
            for path in sorted(folder.glob("*.png")):
                archive.add(path, f"sub/{path.name}")
                archive.add(tmp_path / "1.cls", f"sub/{path.stem}.cls")
        return shard

    return packed
