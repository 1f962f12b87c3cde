"""Tiny drawn faces, tiny settings, and a way to run commands in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from brule.cli import main
from brule.data.synthetic import write_synthetic_faces

TINY = (
    "batch_size=4",
    "preview_every=0",
    "encoder.width=8",
    "encoder.depth=2",
    "threads=1",
    "log_every=1",
    "gan.enabled=false",
)


@dataclass
class Result:
    """What a command returned and printed."""

    code: int
    out: str
    err: str


Brule = Callable[..., Result]


@pytest.fixture
def brule(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Brule:
    """Run ``brule`` with words that may be paths or numbers."""
    monkeypatch.setenv("COLUMNS", "200")
    torch.set_num_threads(1)

    def run(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``images`` (12 faces), ``shapes`` (5), ``test`` (6, two of them in ``test/sub``), annotated all; don't write here."""
    root = tmp_path_factory.mktemp("faces")
    for place, n, start in (("images", 12, 0), ("shapes", 5, 100), ("test", 4, 200), ("test/sub", 2, 300)):
        write_synthetic_faces(root / place, n, size=48, start=start)
    return root


@pytest.fixture
def own_faces(faces: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(faces, tmp_path / "faces"))


def train_words(faces: Path, run: Path, iterations: int = 3, *more: object) -> list[object]:
    """The words of a training that takes a second."""
    data = ["--images", faces / "images", "--shapes", faces / "shapes", "-o", run]
    return ["train", *data, "--set", f"iterations={iterations}", *TINY, *more]


@pytest.fixture(scope="session")
def trained(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run; don't write here."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main([str(word) for word in train_words(faces, run, 3, "--quiet")]) == 0
    return run


@pytest.fixture(scope="session")
def drawing(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with a decoder of 16 px; don't write here."""
    run = tmp_path_factory.mktemp("drawing") / "run"
    small = ("image_size=16", "width=2", "max_width=8", "style_dim=8", "noise_dim=8", "mapping_depth=2")
    decoder = ("gan.enabled=true", "gan.adversarial=1", *(f"decoder.{setting}" for setting in small))
    assert main([str(word) for word in train_words(faces, run, 2, *decoder, "--quiet")]) == 0
    return run


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Settings of a training that takes a second, for ``--set``."""
    return TINY


@pytest.fixture(scope="session")
def words() -> Callable[..., list[object]]:
    """:func:`train_words`, for tests in files that can't import a conftest."""
    return train_words
