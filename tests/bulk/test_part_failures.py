"""Names that aren't text, members of one name, and failures: of one part, or of the place that all are written to."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from PIL import Image

from brule.bulk import Place, fingerprint, plan_parts, predict_parts, running
from brule.cli import main
from brule.detector import PredictOptions
from brule.errors import OutputError


def predicted(run: Path, paths: list[Path], output: Path, **options: int) -> Any:
    how = PredictOptions()
    plan = plan_parts([str(path) for path in paths], detector=fingerprint(run, how), **options)
    return predict_parts(run, plan, Place(str(output)), options=how, device="cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="file systems of other machines refuse such names")
def test_names_that_are_not_utf8_are_escaped(run: Path, photos: Path, tmp_path: Path) -> None:
    os.rename(photos / "face_000000.png", os.fsencode(photos) + b"/caf\xe9.png")
    os.rename(photos / "face_000001.png", os.fsencode(photos) + b"/broken-\xff.png")
    Path(os.fsdecode(os.fsencode(photos) + b"/broken-\xff.png")).write_bytes(b"no image")
    found = predicted(run, [photos], tmp_path / "out", part_size=4)
    assert not found.failed and found.done == 3 and found.counts["errors"] == 1
    rows = pyarrow.parquet.read_table(str(tmp_path / "out" / "part-000000.parquet")).to_pylist()
    assert f"{photos}/caf\\udce9.png" in [row["image"] for row in rows]
    assert {row["image"]: row["error"] for row in rows}[f"{photos}/broken-\\udcff.png"] is not None


def test_members_of_one_name_are_images_of_their_own(run: Path, photos: Path, tmp_path: Path) -> None:
    shard, sizes = tmp_path / "twice.tar", [(48, 48), (60, 30)]
    with tarfile.open(shard, "w") as archive:
        for size in sizes:
            content = io.BytesIO()
            with Image.open(photos / "face_000000.png") as image:
                image.resize(size).save(content, "PNG")
            member = tarfile.TarInfo("a.png")
            member.size = len(content.getvalue())
            archive.addfile(member, io.BytesIO(content.getvalue()))
    found = predicted(run, [shard], tmp_path / "out")
    rows = pyarrow.parquet.read_table(str(tmp_path / "out" / "part-000000.parquet")).to_pylist()
    assert found.counts["images"] == 2
    assert [(row["object"], (row["width"], row["height"])) for row in rows] == [(0, size) for size in sizes]


def test_a_mistake_in_one_part_is_none_in_the_others(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = running.predict_part

    def failing(detector: Any, part: Any, *more: Any, **options: Any) -> Any:
        if part.name == "part-000001":
            raise KeyError("no such thing")
        return genuine(detector, part, *more, **options)

    monkeypatch.setattr(running, "predict_part", failing)
    found = predicted(run, [photos], tmp_path / "out", part_size=4)
    assert found.failed == {"part-000001": "failed unexpectedly (KeyError: 'no such thing')"} and found.done == 2


def test_a_full_disk_ends_the_run(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = []

    def full(detector: Any, part: Any, *_: Any, **__: Any) -> Any:
        tried.append(part.name)
        raise OutputError(f"{part.file}: can't be written: the disk is full")

    monkeypatch.setattr(running, "predict_part", full)
    words = ["predict", run, photos, "-o", tmp_path / "out", "--engine", "parts", "--part-size", 2]
    assert main([str(word) for word in words]) == 2
    assert tried == ["part-000000"] and "brule: part-000000.parquet: can't be written" in capsys.readouterr().err
