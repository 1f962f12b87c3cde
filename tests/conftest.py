"""What every test shares: quiet threads, and the way to the development data."""

from __future__ import annotations

import os

# Threads that spin while they wait slow everything down where cores are shared; it has to be said before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the development data, which never comes with the project: ``300w``, ``jsrt``, ``lfw``."""
    folder = Path(os.environ.get("BRULE_SHARED_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the development data: {folder} isn't there; set BRULE_SHARED_DATA to its folder")
    return folder


@pytest.fixture
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs without TensorBoard: importing it takes seconds."""
    monkeypatch.setattr("brule.tracking.log._tensorboard", lambda directory: None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Decoded images of a test go to a folder of its own, never to the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BRULE_CACHE", str(folder))
    return folder


@pytest.fixture
def three_threads() -> Iterator[None]:
    """PyTorch computes with three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)
