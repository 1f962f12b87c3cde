"""HDF5 of DeepLabCut and SLEAP, in the layouts that pandas and sleap-io write; needs h5py (extra hdf5)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brule.data import inspect_data, read_annotations
from brule.data.formats import format_for, format_named, hdf5, hdf5_arrays
from brule.errors import ConfigError, DataError
from tests.data.cases.case import pictures, write

h5py = pytest.importorskip("h5py", reason="needs h5py, the extra hdf5")

_in_a_process = hdf5._archive


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a process takes longer than reading; some tests do it all the same."""
    monkeypatch.setattr(hdf5, "_archive", lambda path: hdf5_arrays.archive(str(path)))


NAMES = ("base", "tip", "notch")
FIRST, SECOND = [(12, 50), (88, 22), None], [(15, 48), (91, 20), (63, 53)]


def levels(group: Any, name: str, entries: Sequence[Sequence[str]]) -> None:
    """An index of several levels as pandas writes it: the different names of each, and a number an entry."""
    group.attrs[f"{name}_variety"] = np.bytes_("multi")
    group.attrs[f"{name}_nlevels"] = len(entries[0])
    for level, own in enumerate(zip(*entries, strict=True)):
        known = sorted(set(own))
        group[f"{name}_level{level}"] = np.array([one.encode() for one in known])
        group[f"{name}_label{level}"] = np.array([known.index(one) for one in own], dtype=np.int8)


def frame(
    path: Path, columns: Sequence[Sequence[str]], rows: Sequence[Sequence[str]], blocks: Sequence[Sequence[int]], values: Any
) -> None:
    """A data frame as pandas writes it: columns of one type are a block of their own, in any order."""
    table = np.array(values, dtype=np.float64)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_("frame")
        group.attrs["nblocks"] = len(blocks)
        levels(group, "axis0", columns)
        if len(rows[0]) > 1:
            levels(group, "axis1", rows)
        else:
            group.attrs["axis1_variety"] = np.bytes_("regular")
            group["axis1"] = np.array([row[0].encode() for row in rows])
        for i, own in enumerate(blocks):
            levels(group, f"block{i}_items", [columns[one] for one in own])
            group[f"block{i}_values"] = table[:, own]


COLUMNS = [("Ana", part, axis) for part in ("snout", "tail", "ear") for axis in "xy"]
VALUES = [[12.5, 50, 88, 22.25, 30, 31], [15, 48, np.nan, np.nan, 33, 34]]
IMAGES = ["labeled-data/v1/img1.png", "labeled-data/v1/img2.png"]


@pytest.mark.parametrize("parts", [1, 3], ids=["one-column-of-paths", "three-parts-of-a-path"])
def test_labels_of_deeplabcut(tmp_path: Path, parts: int) -> None:
    rows = [[image] if parts == 1 else image.split("/") for image in IMAGES]
    frame(tmp_path / IMAGES[0].replace("img1.png", "CollectedData_Ana.h5"), COLUMNS, rows, [[3, 0], [1, 5, 2, 4]], VALUES)
    write(tmp_path, pictures(*IMAGES))
    found = inspect_data([str(tmp_path)])
    assert found.layout.names == ("snout", "tail", "ear") and not found.bad and not found.notes
    np.testing.assert_allclose(found.samples[0].points, [(12.5, 50), (88, 22.25), (30, 31)])
    np.testing.assert_allclose(found.samples[1].points, [(15, 48), (np.nan, np.nan), (33, 34)])


def test_several_animals_of_deeplabcut(tmp_path: Path) -> None:
    columns = [("Ana", animal, part, axis) for animal in ("m1", "m2") for part in ("snout", "tail") for axis in "xy"]
    frame(tmp_path / "a.h5", columns, [["a.png"]], [range(8)], [[1, 2, 3, 4, 5, 6, 7, 8]])
    found = read_annotations(tmp_path / "a.h5")
    assert found.layout.names == ("snout", "tail")
    np.testing.assert_allclose([item.points for item in found.items], [[(1, 2), (3, 4)], [(5, 6), (7, 8)]])


def test_likelihoods_are_predictions(tmp_path: Path) -> None:
    columns = [("DLC", "snout", axis) for axis in ("x", "y", "likelihood")]
    frame(tmp_path / "machine.h5", columns, [["a.png"]], [range(3)], [[1, 2, 0.9]])
    write(tmp_path, pictures("a.png"))
    found = inspect_data([str(tmp_path)])
    assert found.n_labelled == 0 and "predictions, not labels" in found.notes[0]
    assert read_annotations(tmp_path / "machine.h5").predicted


def test_the_csv_beside_it_is_read_instead(tmp_path: Path) -> None:
    frame(tmp_path / "a.h5", COLUMNS, [["a.png"]], [range(6)], VALUES[:1])
    write(tmp_path, {**pictures("a.png"), "a.csv": "image,snout_x,snout_y,tail_x,tail_y\na.png,1,2,30,40\n"})
    found = inspect_data([str(tmp_path)])
    np.testing.assert_allclose(found.samples[0].points, [(1, 2), (30, 40)])
    assert "the CSV beside it is read" in found.notes[0] and len(found.samples) == 1


def skeleton(*links: tuple[int, int, dict]) -> dict:
    """Nodes in another order than in the file's list of nodes, and links with their types."""
    return {
        "graph": {"name": "wing"},
        "nodes": [{"id": 2}, {"id": 0}, {"id": 1}],
        "links": [{"source": a, "target": b, "type": kind} for a, b, kind in links],
    }


def kind(number: int) -> dict:
    return {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [number]}]}


METADATA = {
    "nodes": [{"name": "tip"}, {"name": "notch"}, {"name": "base"}],  # 2, 0, 1: base, tip, notch
    "skeletons": [skeleton((2, 0, kind(1)), (0, 1, {"py/id": 1}), (2, 1, kind(2)))],
}
POINT = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]
FRAME = [(name, "<u8") for name in ("frame_id", "video", "frame_idx", "instance_id_start", "instance_id_end")]
INSTANCE = [
    ("instance_id", "<i8"),
    ("instance_type", "u1"),
    ("skeleton", "<u4"),
    ("point_id_start", "<u8"),
    ("point_id_end", "<u8"),
]


def videos(*names: str) -> list[dict]:
    return [{"filename": list(names), "backend": {"type": "ImageVideo", "filename": names[0], "filenames": list(names)}}]


def slp(
    path: Path,
    frames: Sequence[Sequence[tuple[bool, Sequence[tuple[float, float] | None]]]],
    *,
    version: float = 1.3,
    pictures: Sequence[dict] = (),
    change: Callable[[Any], None] = lambda file: None,
) -> None:
    """Labels as SLEAP writes them: of each frame, instances (placed by a person or not, points)."""
    own: dict[bool, list[tuple]] = {True: [], False: []}
    rows: list[tuple] = []
    table: list[tuple] = []
    for number, instances in enumerate(frames):
        table.append((number, 0, number, len(rows), len(rows) + len(instances)))
        for placed, points in instances:
            start = len(own[placed])
            own[placed] += [(np.nan, np.nan, False, False) if one is None else (*one, True, True) for one in points]
            rows.append((len(rows), 0 if placed else 1, 0, start, len(own[placed])))
    with h5py.File(path, "w") as file:
        about = file.create_group("metadata")
        about.attrs["format_id"], about.attrs["json"] = version, np.bytes_(json.dumps(METADATA))
        file["videos_json"] = np.array([json.dumps(one).encode() for one in pictures or videos("a.png", "b.png")])
        file["frames"], file["instances"] = np.array(table, FRAME), np.array(rows, INSTANCE)
        file["points"], file["pred_points"] = np.array(own[True], POINT), np.array(own[False], POINT)
        change(file)


def points_of(path: Path) -> dict[str, list[np.ndarray]]:
    found: dict[str, list[np.ndarray]] = {}
    for sample in inspect_data([str(path)]).samples:
        found.setdefault(sample.path.name, []).extend([] if sample.points is None else [sample.points])
    return found


def as_array(points: Sequence[tuple[float, float] | None]) -> np.ndarray:
    return np.array([(np.nan, np.nan) if one is None else one for one in points], dtype=np.float64)


def test_labels_of_sleap(tmp_path: Path) -> None:
    write(tmp_path, pictures("a.png", "b.png"))
    slp(tmp_path / "l.slp", [[(True, FIRST), (True, SECOND)], [(True, SECOND)]])
    found = points_of(tmp_path)
    np.testing.assert_allclose(found["a.png"], [as_array(FIRST), as_array(SECOND)])
    np.testing.assert_allclose(found["b.png"], [as_array(SECOND)])
    layout = read_annotations(tmp_path / "l.slp").layout
    # base–tip and tip–notch are of the body; base–notch is a symmetry.
    assert (layout.names, layout.edges, layout.kind) == (NAMES, ((0, 1), (1, 2)), "wing")


def test_older_files_count_from_the_corner(tmp_path: Path) -> None:
    write(tmp_path, pictures("a.png"))
    slp(tmp_path / "l.slp", [[(True, SECOND)]], version=1.0)
    np.testing.assert_allclose(points_of(tmp_path)["a.png"], [as_array(SECOND) - 0.5])


def test_predicted_instances_are_no_labels(tmp_path: Path) -> None:
    write(tmp_path, pictures("a.png", "b.png"))
    slp(tmp_path / "l.slp", [[(False, FIRST), (True, SECOND)], [(False, SECOND)]])
    found = inspect_data([str(tmp_path)])
    assert found.n_labelled == 1 and len(found.samples) == 2
    assert "2 predicted instances passed over: predictions, not labels" in found.notes[0]
    np.testing.assert_allclose(found.samples[0].points, as_array(SECOND))


def test_predictions_alone_are_read_where_they_are_named(tmp_path: Path) -> None:
    write(tmp_path, pictures("a.png"))
    slp(tmp_path / "l.slp", [[(False, SECOND)]])
    found = inspect_data([str(tmp_path)])
    assert found.n_labelled == 0 and "no instance was placed by a person" in found.notes[0]
    assert inspect_data([str(tmp_path), str(tmp_path / "l.slp")]).n_labelled == 1


def test_points_that_are_switched_off_are_missing(tmp_path: Path) -> None:
    write(tmp_path, pictures("a.png"))

    def hide(file: Any) -> None:
        rows = file["points"][()]
        rows["visible"][1] = False
        file["points"][...] = rows

    slp(tmp_path / "l.slp", [[(True, SECOND)]], change=hide)
    np.testing.assert_allclose(points_of(tmp_path)["a.png"], [as_array([SECOND[0], None, SECOND[2]])])


def test_a_package_names_the_images_it_was_made_of(tmp_path: Path) -> None:
    write(tmp_path, pictures("a.png"))
    package = {"filename": ".", "backend": {"type": "HDF5Video", "filename": "."}, "source_video": videos("a.png")[0]}
    slp(tmp_path / "l.pkg.slp", [[(True, SECOND)]], pictures=[package])
    np.testing.assert_allclose(points_of(tmp_path)["a.png"], [as_array(SECOND)])


def test_frames_of_a_video(tmp_path: Path) -> None:
    """They are named in a folder, and refused with the way out where the file is given."""
    write(tmp_path, pictures("a.png"))
    slp(tmp_path / "l.slp", [[(True, SECOND)]], pictures=[{"backend": {"type": "MediaVideo", "filename": "/data/mice.mp4"}}])
    found = inspect_data([str(tmp_path)])
    assert found.n_labelled == 0 and not found.bad
    assert "1 frame of a video (mice.mp4)" in found.notes[0]
    assert f"`brule data frames {tmp_path / 'l.slp'} -o frames/`" in found.notes[0]
    with pytest.raises(DataError, match=r"mice\.mp4"):
        read_annotations(tmp_path / "l.slp")


def two_skeletons(file: Any) -> None:
    rows = file["instances"][()]
    rows["skeleton"][1] = 1
    file["instances"][...] = rows


def beyond(table: str, column: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        rows = file[table][()]
        rows[column][0] = 99
        file[table][...] = rows

    return change


def without(name: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]

    return change


def elsewhere(file: Any) -> None:
    """An array whose values are the bytes of another file."""
    del file["points"]
    file.create_dataset("points", shape=(6,), dtype=POINT, external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def linked(file: Any) -> None:
    del file["points"]
    file["points"] = h5py.ExternalLink("other.h5", "points")


def huge(file: Any) -> None:
    """An array that takes no room in the file and 4 TiB in memory."""
    del file["points"]
    file.create_dataset("points", shape=(2**38,), dtype=POINT, chunks=(1024,))


def other_json(file: Any) -> None:
    file["metadata"].attrs["json"] = np.bytes_(b"{")


DAMAGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "two skeletons": (two_skeletons, "2 skeletons"),
    "a skeleton that isn't there": (beyond("instances", "skeleton"), "skeleton"),
    "points beyond the end": (beyond("instances", "point_id_end"), "points 0 to 99 aren't there"),
    "instances beyond the end": (beyond("frames", "instance_id_end"), "instances 0 to 99 aren't there"),
    "a video that isn't there": (beyond("frames", "video"), "video 99"),
    "a picture that isn't there": (beyond("frames", "frame_idx"), "picture 99 of a list of 2"),
    "no list of videos": (without("videos_json"), "video 0, but there are 0"),
    "no frames": (without("frames"), "expected labels of SLEAP"),
    "another file's bytes": (elsewhere, "another file"),
    "another file's array": (linked, "expected labels of SLEAP"),
    "too many values": (huge, "274,877,906,944 values"),
    "damaged metadata": (other_json, "damaged"),
}


@pytest.mark.parametrize(("change", "says"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_labels(tmp_path: Path, change: Callable[[Any], None], says: str) -> None:
    slp(tmp_path / "l.slp", [[(True, FIRST), (True, SECOND)]], change=change)
    with pytest.raises(DataError, match=says):
        read_annotations(tmp_path / "l.slp")


def test_one_array_under_many_names_is_counted_many_times(tmp_path: Path) -> None:
    """Twenty blocks of 16 MiB in a file of some kilobytes."""
    frame(tmp_path / "a.h5", COLUMNS, [["a.png"]], [range(6)], VALUES[:1])
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        group = file["df_with_missing"]
        del group["block0_values"]
        group.create_dataset("block0_values", shape=(2**21,), dtype="f8", chunks=(2**16,), compression="gzip")
        for i in range(1, 20):
            group[f"block{i}_values"] = group["block0_values"]
            for name in list(group):
                if name.startswith("block0_items"):
                    group[name.replace("0", str(i), 1)] = group[name]
            for name in ("variety", "nlevels"):
                group.attrs[f"block{i}_items_{name}"] = group.attrs[f"block0_items_{name}"]
        group.attrs["nblocks"] = 20
    assert (tmp_path / "a.h5").stat().st_size < 10**6
    with pytest.raises(DataError, match="more than any annotation"):
        read_annotations(tmp_path / "a.h5")


def test_files_are_read_in_a_process_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_archive", _in_a_process)
    write(tmp_path, pictures("a.png"))
    slp(tmp_path / "l.slp", [[(True, SECOND)]])
    np.testing.assert_allclose(read_annotations(tmp_path / "l.slp").items[0].points, as_array(SECOND))
    frame(tmp_path / "a.h5", COLUMNS, [["a.png"]], [range(6)], VALUES[:1])
    np.testing.assert_allclose(read_annotations(tmp_path / "a.h5").items[0].points[0], (12.5, 50))
    slp(tmp_path / "bad.slp", [[(True, SECOND)]], change=huge)
    with pytest.raises(DataError, match="more than any annotation"):
        read_annotations(tmp_path / "bad.slp")


@pytest.mark.parametrize(("script", "says"), [("while True: pass", "gets stuck"), ("import os; os.abort()", "fails on it")])
def test_a_library_that_hangs_or_crashes(tmp_path: Path, script: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On damaged files the HDF5 library does both; then its process ends, and this one goes on."""
    slp(tmp_path / "l.slp", [[(True, FIRST)]])
    (tmp_path / "script.py").write_text(script)
    monkeypatch.setattr(hdf5, "_archive", _in_a_process)
    monkeypatch.setattr(hdf5_arrays, "__file__", str(tmp_path / "script.py"))
    monkeypatch.setattr(hdf5, "MAX_SECONDS", 1.0)
    with pytest.raises(DataError, match=says):
        read_annotations(tmp_path / "l.slp")


def test_a_file_in_which_the_library_gets_stuck_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command reads annotations in several steps; a file that has been written anew is another one."""
    slp(tmp_path / "l.slp", [[(True, FIRST)]])
    (tmp_path / "script.py").write_text(f"open({str(tmp_path / 'tries')!r}, 'a').write('x')\nwhile True: pass")
    monkeypatch.setattr(hdf5, "_archive", _in_a_process)
    monkeypatch.setattr(hdf5_arrays, "__file__", str(tmp_path / "script.py"))
    monkeypatch.setattr(hdf5, "MAX_SECONDS", 1.0)
    for _ in range(2):
        with pytest.raises(DataError, match="gets stuck"):
            read_annotations(tmp_path / "l.slp")
    assert (tmp_path / "tries").read_text() == "x"
    os.utime(tmp_path / "l.slp", ns=(0, 0))
    with pytest.raises(DataError, match="gets stuck"):
        read_annotations(tmp_path / "l.slp")
    assert (tmp_path / "tries").read_text() == "xx"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["l.slp", "a.h5"])
def test_files_that_end_early(tmp_path: Path, name: str, share: float) -> None:
    if name == "l.slp":
        slp(tmp_path / name, [[(True, FIRST)]])
    else:
        frame(tmp_path / name, COLUMNS, [["a.png"]], [range(6)], VALUES[:1])
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"{name}: "):
        read_annotations(tmp_path / name)


def test_hdf5_of_another_kind_is_named(tmp_path: Path) -> None:
    write(tmp_path, pictures("a.png"))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["numbers"] = np.arange(3)
    found = inspect_data([str(tmp_path)])
    assert "x.h5" in found.notes[0] and "COCO" in found.notes[0] and not found.bad
    assert "x.h5" in str(inspect_data([str(tmp_path), str(tmp_path / "x.h5")]).bad[0])


def test_they_are_only_read() -> None:
    assert format_named("sleap", to_read=True).title == "SLEAP"
    with pytest.raises(ConfigError, match="sleap is only read"):
        format_named("sleap")
    with pytest.raises(ConfigError, match="expected a file that ends in"):
        format_for(Path("labels.slp"))
