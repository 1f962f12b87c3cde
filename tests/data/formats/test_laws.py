"""What holds for every format: what is written comes back, up to what the format says it can't hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from brule.data import DATASETS, FORMATS, Annotation, Annotations, Format, Layout, read_annotations, write_annotations
from brule.data.datasets.celeba import CELEBA_COUNTS, MAFL_COUNTS
from brule.data.datasets.cofw import RELEASE_COUNTS as COFW_COUNTS
from brule.data.datasets.wflw import RELEASE_COUNTS as WFLW_COUNTS
from brule.data.formats.format import FEATURES, present
from brule.errors import ConfigError, DataError

SIZE = (48, 40)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
IMAGES = ("a.png", "b.png", "mit Ümläut 顔.png")
LETTERS = "abXY01_-.:;<&\"'é顔"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, one of them with a space and an umlaut in its name."""
    folder = tmp_path_factory.mktemp("images")
    for name in IMAGES:
        Image.new("RGB", SIZE).save(folder / name)
    return folder


def drawn(seed: int) -> Annotations:
    """Records that use everything a format may hold, or some of it."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 7))
    names = {"".join(rng.choice(list(LETTERS), rng.integers(1, 6))) for _ in range(count)} if rng.random() < 0.7 else set()
    count = len(names) or count
    edges = {(int(a), int(b)) for a, b in rng.integers(0, count, (3, 2)) if a != b}
    images = sorted(rng.choice(IMAGES, rng.integers(1, 5)).tolist())
    items = [_object(rng, image, count, labelled=images.count(image) > 1 or rng.random() < 0.8) for image in images]
    ordered = rng.permutation(sorted(names)).tolist()
    return Annotations(items, Layout(tuple(ordered) or None, tuple(sorted(edges))))


def _object(rng: np.random.Generator, image: str, count: int, *, labelled: bool) -> Annotation:
    left, top = rng.uniform(0, 15, 2).round(3).tolist()
    box = (left, top, left + 9.5, top + 20) if rng.random() < 0.5 else None
    if not labelled:
        return Annotation(image, None, box, SIZE)
    low, high = ((left, top), (left + 9.5, top + 20)) if box is not None else ((0, 0), (39, 39))  # landmarks are in their box
    points = rng.uniform(low, high, (count, 2)).round(3).astype(np.float32)
    missing = rng.random(count) < 0.3
    missing[rng.integers(count)] = False
    points[missing] = np.nan
    occluded = (rng.random(count) < 0.2) & ~missing
    return Annotation(image, points, box, SIZE, occluded if occluded.any() else None)


def fitted(given: Annotations, format: Format) -> Annotations:
    """The same without what the format says it can't hold."""
    holds, layout, items = format.holds, given.layout, given.items
    if "several" not in holds or format.one_image:
        items = list({item.image: item for item in items}.values())
    if format.one_image:
        items = items[:1]
    for feature, change in {
        "boxes": {"box": None},
        "occluded": {"occluded": None},
        "scale": {"spacing": None},
    }.items():
        if feature not in holds:
            items = [replace(item, **change) for item in items]
    if "unlabelled" not in holds or format.one_image:
        items = [item for item in items if item.points is not None]
    if "missing" not in holds:
        items = [replace(item, points=np.nan_to_num(item.points, nan=7.0)) for item in items]
    if "fractions" not in holds:
        items = [_whole(item) for item in items]
    if "names" not in holds or (format.lost(Annotations(items, layout)) and format.name == "imglab"):
        layout = replace(layout, names=None)
    if "edges" not in holds:
        layout = replace(layout, edges=())
    return Annotations(items, layout)


def _whole(item: Annotation) -> Annotation:
    box = None if item.box is None else tuple(np.round(item.box) - 0.5)
    return replace(item, points=None if item.points is None else np.round(item.points), box=box)


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
@FEW
@example(seed=171973)  # names full of semicolons, in a table of commas
@given(seed=st.integers(0, 10**6))
def test_what_is_written_comes_back(folder: Path, format: Format, seed: int) -> None:
    given = fitted(drawn(seed), format)
    if not given.items or given.n_points is None:
        return  # the number of landmarks is known from landmarks only
    assert format.lost(given) == []
    target = folder if format.one_image else folder / f"annotations{format.suffixes[0]}"
    written, *companions = write_annotations(target, given, format=format, force=True)
    found = read_annotations(written)
    for file in (written, *companions):
        file.unlink()
    assert found.notes == []
    # Files in which names are all there is can't keep the edges of landmarks without names; "0", "1", … in order are no names.
    names = given.layout.names
    names = None if names == tuple(map(str, range(len(names or ())))) else names
    assert found.layout.names == names
    if names is not None:
        assert found.layout.edges == given.layout.edges
    assert len(found) == len(given)
    for own, other in zip(given.items, found.items, strict=True):
        assert other.image in (own.image, "")
        if own.points is None:
            assert not other.labelled
        else:
            assert other.points is not None and other.points.dtype == np.float32
            np.testing.assert_allclose(other.points, own.points, atol=2e-5)
            np.testing.assert_array_equal(_occluded(other), _occluded(own))
        assert (own.box is None) == (other.box is None)
        if own.box is not None:
            np.testing.assert_allclose(other.box, own.box, atol=2e-5)


def _occluded(item: Annotation) -> np.ndarray:
    if item.occluded is None:
        return np.zeros(0 if item.points is None else len(item.points), dtype=bool)
    return item.occluded


def test_every_feature_is_found_and_every_format_says_what_it_loses() -> None:
    points = np.array([[1.5, 2], [np.nan, np.nan]], dtype=np.float32)
    full = Annotations(
        [Annotation("a.png", points, (0, 0, 5, 5), SIZE, np.array([True, False]), (0.1, 0.2)), Annotation("a.png")],
        Layout(("nose", "chin"), ((0, 1),), ((1,),)),
    )
    assert present(full) == set(FEATURES)
    for format in FORMATS.values():
        assert {text for feature, text in FEATURES.items() if feature in format.loses} <= set(format.lost(full))
    plain = Annotations([Annotation("", np.ones((2, 2), dtype=np.float32))])
    assert present(plain) == set() and all(format.lost(plain) == [] for format in FORMATS.values())


def test_a_file_is_not_replaced_unasked(folder: Path) -> None:
    given = Annotations([Annotation("a.png", np.ones((2, 2), dtype=np.float32))])
    target = folder / "kept.tps"
    target.write_text("mine")
    with pytest.raises(ConfigError, match=r"kept\.tps: exists already.*--force"):
        write_annotations(target, replace(given, items=[replace(given.items[0], size=SIZE)]))
    assert target.read_text() == "mine"
    with pytest.raises(ConfigError, match=r"a\.json: several formats end in \.json.*coco, labelme, labelstudio"):
        write_annotations(folder / "a.json", given)
    with pytest.raises(ConfigError, match=r"a\.xyz: expected a file that ends in"):
        write_annotations(folder / "a.xyz", given)
    with pytest.raises(DataError, match="nothing to write"):
        write_annotations(folder / "new.tps", Annotations())
    with pytest.raises(DataError, match=r"new\.tps: TPS needs the size of a\.png"):
        write_annotations(folder / "new.tps", given)
    assert not (folder / "new.tps").exists()
    target.unlink()


def test_several_files_are_written_in_the_folders_of_their_images(tmp_path: Path) -> None:
    points = np.arange(6, dtype=np.float32).reshape(3, 2)
    given = Annotations([Annotation(name, points) for name in ("a.png", "deep/a.png", "../b.png")])
    written = write_annotations(tmp_path / "out", given, format=FORMATS["pts"])
    assert [path.relative_to(tmp_path).as_posix() for path in written] == ["out/a.pts", "out/deep/a.pts", "out/b.pts"]
    twice = Annotations([Annotation(name, points) for name in ("a.png", "a.jpg")])
    with pytest.raises(DataError, match=r"a\.jpg and a\.png would both become a\.pts"):
        write_annotations(tmp_path / "other", twice, format=FORMATS["pts"])
    two = Annotations([Annotation("a.png", points), Annotation("a.png", points)])
    with pytest.raises(DataError, match=r"one object per image, and a\.png has 2"):
        write_annotations(tmp_path / "other", two, format=FORMATS["pts"])
    assert not (tmp_path / "other").exists()


def test_the_documentation_lists_every_format_and_data_set() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    for name, format in FORMATS.items():
        assert any(line.startswith(f"| `{name}` | `{format.suffixes[0]}`") for line in text.splitlines()), name
    assert all(f"`{name}`" in text for name in DATASETS)
    for counts in (CELEBA_COUNTS, MAFL_COUNTS, WFLW_COUNTS, COFW_COUNTS):
        assert all(f"{count:,}" in text for count in counts.values())
