"""An annotation file names paths; brule opens none that is outside the folders it was given."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brule.data import FORMATS, read_samples
from brule.data.conversion import convert
from brule.data.synthetic import write_synthetic_faces
from brule.errors import BruleError

_opened: list[str] = []
_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event == "open" and isinstance(arguments[0], (str, bytes)):
        _opened.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_watch)  # for the rest of the process; it looks where a test asks it to


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The files that are opened, by their real paths."""
    global _watching
    _opened.clear()
    _watching = True
    yield _opened
    _watching = False


SECRET = "secret"
PATHS = {
    "absolute": "{secret}",
    "up": "../secret/secret.png",
    "down and up": "sub/../../secret/secret.png",
    "up by Windows": "..\\secret\\secret.png",
    "through a link": "link/../secret/secret.png",
    "address": "file://{secret}",
    "of Label Studio": "/data/local-files/?d={secret}",
    "escaped": "%2e%2e/secret/secret.png",
    "long": "{dots}{secret}",
    "no image": "/etc/passwd",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", FORMATS)
def test_no_annotation_opens_what_is_outside(
    name: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    outside, given = tmp_path / SECRET, tmp_path / "given"
    write_synthetic_faces(outside, 1, size=32)
    secret = (outside / "face_000000.png").rename(outside / "secret.png")
    write_synthetic_faces(tmp_path / "sound", 1, size=32)
    (given / "sub").mkdir(parents=True)
    (given / "link").symlink_to(given / "sub")
    monkeypatch.chdir(given)
    suffixes = FORMATS[name].suffixes
    target = given / f"annotations{'.json' if '.json' in suffixes else min(suffixes)}"
    try:
        convert(tmp_path / "sound", target, write_as=name, force=True)
    except BruleError:
        pytest.skip(f"{name} isn't written")
    if target.is_dir():  # a file per image
        target = min(target.iterdir())
    spelled = PATHS[path].format(secret=secret, dots="../" * 3000)
    content = target.read_text()
    evil = content.replace("../sound/face_000000.png", spelled).replace("face_000000.png", spelled)
    if evil == content:
        pytest.skip(f"{name} names no image")
    target.write_text(evil.replace("\\", "\\\\") if target.suffix == ".json" else evil)
    _opened.clear()
    try:
        samples = read_samples(given)
        assert all(Path(sample.path).resolve().is_relative_to(given.resolve()) for sample in samples)
    except BruleError as error:
        assert len(str(error)) < 2000
    assert not [one for one in opened if one.startswith(str(outside.resolve())) or one == "/etc/passwd"]
