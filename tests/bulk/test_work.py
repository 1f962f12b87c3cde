"""Parts in one process: rows are what predict gives, each image has its row, and a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.dataset
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from brule import LandmarkDetector
from brule.bulk import Part, Place, PredictBatches, fingerprint, plan_parts, predict_part, predict_parts
from brule.bulk.places import fetch_all
from brule.cli import main
from brule.data import Sample, SampleList
from brule.detector import PredictOptions
from brule.errors import DataError, OutputError

Pack = Callable[[Path, str], Path]


def table(output: Path | str) -> dict[str, list]:
    return (
        pyarrow.dataset.dataset(str(output)).to_table().sort_by([("image", "ascending"), ("object", "ascending")]).to_pydict()
    )


def predicted(run: Path, paths: list[str], output: str, **options: int) -> object:
    how = PredictOptions()
    plan = plan_parts(paths, detector=fingerprint(run, how), **options)
    return predict_parts(run, plan, Place(output), options=how, device="cpu")


def expected(run: Path, folder: Path) -> torch.Tensor:
    samples = SampleList([Sample(path) for path in sorted(folder.glob("*.png"))])
    return LandmarkDetector.load(run, device="cpu").predict(samples).points


def points(rows: dict[str, list]) -> torch.Tensor:
    return torch.tensor(rows["points"]).reshape(-1, 68, 2)


def test_rows_are_what_predict_gives(run: Path, photos: Path, tmp_path: Path) -> None:
    found = predicted(run, [str(photos)], str(tmp_path / "out"), part_size=4)
    assert (found.done, found.before, found.failed) == (3, 0, {})
    assert found.counts == {"images": 9, "objects": 9, "errors": 0}
    rows = table(tmp_path / "out")
    assert rows["image"] == sorted(str(path) for path in photos.glob("*.png"))
    torch.testing.assert_close(points(rows), expected(run, photos), atol=1e-4, rtol=0)
    assert set(rows["width"]) == {48} and set(rows["object"]) == {0} and set(rows["error"]) == {None}


def test_shards_and_addresses_give_the_same(run: Path, photos: Path, pack: Pack, tmp_path: Path) -> None:
    shard = pack(photos, "s.tar")
    memory = fsspec.filesystem("memory")
    for path in photos.glob("*.png"):
        memory.pipe_file(f"/work/{path.name}", path.read_bytes())
    memory.pipe_file("/shards/s.tar", shard.read_bytes())
    for number, source in enumerate((str(shard), "memory://work", "memory://shards/s.tar")):
        predicted(run, [source], str(tmp_path / f"out{number}"))
        rows = table(tmp_path / f"out{number}")
        assert [name.rsplit("/", 1)[-1] for name in rows["image"]] == sorted(path.name for path in photos.glob("*.png"))
        torch.testing.assert_close(points(rows), expected(run, photos), atol=1e-4, rtol=0)
    assert rows["image"][0].endswith("shards/s.tar::sub/face_000000.png")


def test_results_go_to_addresses_too(run: Path, photos: Path) -> None:
    predicted(run, [str(photos)], "memory://results", part_size=5)
    memory = fsspec.filesystem("memory")
    files = [name for name in memory.ls("/results", detail=False) if name.endswith(".parquet")]
    assert sum(pyarrow.parquet.read_table(memory.open(name)).num_rows for name in files) == 9


def test_an_image_that_cannot_be_read_has_a_row_with_the_reason(run: Path, photos: Path, pack: Pack, tmp_path: Path) -> None:
    (photos / "face_000002.png").write_bytes(b"no image")
    for number, source in enumerate((photos, pack(photos, "s.tar"))):
        found = predicted(run, [str(source)], str(tmp_path / f"out{number}"))
        assert found.counts == {"images": 9, "objects": 8, "errors": 1} and not found.failed
        rows = table(tmp_path / f"out{number}")
        assert len(rows["image"]) == 9
        assert "not an image" in rows["error"][2] and rows["points"][2] is None and rows["flagged"][2] is True
        assert [error for error in rows["error"] if error] == [rows["error"][2]]


def test_an_image_without_any_object_has_a_row_that_shows_it(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all objects asked for, a detector gives it no row."""
    real = LandmarkDetector.iter_predict

    def some(self: LandmarkDetector, images: object, **options: object):
        for samples, landmarks in real(self, images, **options):
            kept = [k for k, sample in enumerate(samples) if sample.name[-1] not in "27"]
            yield [samples[k] for k in kept], landmarks.chosen(kept)

    monkeypatch.setattr(LandmarkDetector, "iter_predict", some)
    (photos / "face_000003.png").write_bytes(b"no image")
    part = Part("part-000000", tuple(str(path) for path in sorted(photos.glob("*.png"))))
    detector = LandmarkDetector.load(run, device="cpu")
    counts = predict_part(detector, part, Place(str(tmp_path / "out")), options=PredictOptions(objects="all"))
    assert counts == {"images": 9, "objects": 6, "errors": 1}
    rows = table(tmp_path / "out")
    assert [Path(name).name for name in rows["image"]] == [f"face_{k:06d}.png" for k in range(9)]
    gone = [rows["image"].index(str(photos / f"face_00000{k}.png")) for k in (2, 7)]
    assert [k for k in range(9) if not rows["found"][k]] == sorted([*gone, 3])
    for k in gone:
        assert rows["error"][k] is None and rows["width"][k] == 48 and rows["flagged"][k]
        assert np.isnan(rows["points"][k]).all() and np.isnan(rows["score"][k])


def test_an_image_elsewhere_that_is_missing_has_a_row_too(run: Path, photos: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    addresses = [f"memory://gone/{path.name}" for path in sorted(photos.glob("*.png"))]
    for path in photos.glob("*.png"):
        memory.pipe_file(f"/gone/{path.name}", path.read_bytes())
    memory.rm_file("/gone/face_000002.png")
    memory.pipe_file("/gone/[1].png", (photos / "face_000002.png").read_bytes())  # a name, no pattern
    part = Part("part-000000", (*addresses, "memory://gone/[1].png"))
    detector = LandmarkDetector.load(run, device="cpu")
    counts = predict_part(detector, part, Place(str(tmp_path / "out")), options=PredictOptions())
    assert counts == {"images": 10, "objects": 9, "errors": 1}
    rows = table(tmp_path / "out")
    wrong = rows["image"].index(addresses[2])
    assert rows["error"][wrong] == "can't be read (there is no such file)" and rows["points"][wrong] is None
    torch.testing.assert_close(
        points({"points": [rows["points"][rows["image"].index(addresses[0])]]}), expected(run, photos)[:1]
    )
    nothing = Part("part-000001", (addresses[2],))
    assert predict_part(detector, nothing, Place(str(tmp_path / "no")), options=PredictOptions())["errors"] == 1


def test_a_broken_connection_fails_the_part_so_that_a_retry_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where only some files break, these alone are errors, after a second attempt."""
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/weak/a.png", b"a")
    memory.pipe_file("/weak/b.png", b"b")
    asked: list[str] = []
    read = type(memory).cat_file

    def broken(self: object, path: str, *range: object) -> bytes:
        asked.append(path)
        if path in down:
            raise TimeoutError("no answer")
        return read(self, path, *range)

    monkeypatch.setattr(type(memory), "cat_file", broken)
    down = {"/weak/b.png"}
    whole, error = fetch_all(["memory://weak/a.png", "memory://weak/b.png"])
    assert whole == b"a" and isinstance(error, DataError) and "b.png: can't be read (no answer)" in str(error)
    assert asked == ["/weak/a.png", "/weak/b.png", "/weak/b.png"]
    down = {"/weak/a.png", "/weak/b.png"}
    with pytest.raises(DataError, match=r"a\.png: can't be read \(no answer\)"):
        fetch_all(["memory://weak/a.png", "memory://weak/b.png"])


def test_annotations_beside_images_do_not_count(run: Path, photos: Path, tmp_path: Path) -> None:
    """A box beside an image would be a help that the same image in a shard doesn't have."""
    (photos / "boxes.csv").write_text("image,left,top,right,bottom\nface_000000.png,1,1,20,20\n")
    predicted(run, [str(photos)], str(tmp_path / "out"))
    torch.testing.assert_close(points(table(tmp_path / "out")), expected(run, photos), atol=1e-4, rtol=0)


def test_what_is_done_stays_and_the_rest_is_done(run: Path, photos: Path, tmp_path: Path) -> None:
    predicted(run, [str(photos)], str(tmp_path / "out"), part_size=3)
    files = sorted((tmp_path / "out").glob("*.parquet"))
    before = table(tmp_path / "out")
    files[1].unlink()
    times = {path: path.stat().st_mtime_ns for path in (files[0], files[2])}
    found = predicted(run, [str(photos)], str(tmp_path / "out"), part_size=3)
    assert (found.done, found.before) == (1, 2)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    after = table(tmp_path / "out")
    assert after["image"] == before["image"]
    torch.testing.assert_close(points(after), points(before))


def test_a_damaged_shard_fails_alone_and_leaves_nothing(run: Path, photos: Path, pack: Pack, tmp_path: Path) -> None:
    shard = pack(photos, "s.tar")
    (tmp_path / "broken.tar").write_bytes(shard.read_bytes()[: 12 * 512 + 100])
    found = predicted(run, [str(tmp_path / "broken.tar"), str(shard)], str(tmp_path / "out"))
    assert list(found.failed) == ["part-000000"] and "tar file" in found.failed["part-000000"]
    assert found.counts["images"] == 9
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["_plan.json", "part-000001.parquet"]


def test_a_file_in_a_shard_has_a_limit(
    run: Path, photos: Path, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes of a compressed shard may stand for any number of bytes."""
    monkeypatch.setattr("brule.bulk.work.MAX_MEMBER", 100)
    shard = pack(photos, "s.tar")
    found = predicted(run, [str(shard)], str(tmp_path / "out"))
    assert "is larger than 0 MiB" in found.failed["part-000000"] and "s.tar" in found.failed["part-000000"]


def test_nothing_half_written_is_left(run: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    part = Part("part-000000", (str(photos / "face_000000.png"),))
    with pytest.raises(OutputError):
        predict_part(LandmarkDetector.load(run, device="cpu"), part, Place(str(tmp_path / "file")), options=PredictOptions())
    assert (tmp_path / "file").read_text() == "in the way"


def test_the_fingerprint_follows_what_decides_the_results(run: Path, tmp_path: Path) -> None:
    ours = fingerprint(run, PredictOptions())
    assert fingerprint(run, PredictOptions(batch_size=3)) == ours
    assert fingerprint(run, PredictOptions(tta=2)) != ours
    detector = LandmarkDetector.load(run, device="cpu")
    with torch.no_grad():
        next(detector.model_.parameters()).add_(0.1)
    detector.save(tmp_path / "other")
    assert fingerprint(tmp_path / "other", PredictOptions()) != ours


def test_the_command_says_what_it_did_and_continues(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(run), str(photos), "-o", str(tmp_path / "out"), "--engine", "parts", "--part-size", "4"]
    assert main(words) == 0
    assert "9 images, 9 objects in 3 parts" in capsys.readouterr().out
    (tmp_path / "out" / "part-000002.parquet").unlink()
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "1 images, 1 objects in 1 parts" in printed.out and "2 parts were there already" in printed.err
    assert main(words) == 0
    assert "all 3 parts are there already" in capsys.readouterr().out
    assert main([*words, "--tta", "2"]) == 2
    assert "other options" in capsys.readouterr().err


@pytest.mark.parametrize("column", ["image", "bytes", "path"])
def test_the_class_for_map_batches_adds_columns(run: Path, photos: Path, column: str) -> None:
    paths = sorted(photos.glob("*.png"))[:3]
    forms = {
        "image": np.stack([np.asarray(Image.open(path)) for path in paths]),
        "bytes": np.array([path.read_bytes() for path in paths], dtype=object),
        "path": np.array([str(path) for path in paths]),
    }
    found = PredictBatches(run)({column: forms[column], "label": np.arange(3)})
    torch.testing.assert_close(torch.as_tensor(found["points"]), expected(run, photos)[:3], atol=1e-4, rtol=0)
    assert np.asarray(found["spread"]).shape == (3, 68) and list(np.asarray(found["label"])) == [0, 1, 2]


def test_the_class_for_map_batches_refuses_what_it_cannot_do(run: Path) -> None:
    with pytest.raises(DataError, match="columns image, bytes, path, got text"):
        PredictBatches(run)({"text": ["a"]})
    with pytest.raises(DataError, match="objects='best'"):
        PredictBatches(run, objects="all")
