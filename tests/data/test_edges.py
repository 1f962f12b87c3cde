"""Edges as users write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brule.data import Shapes, read_edges, read_shapes, write_shapes
from brule.data.shapes import draw_shapes
from brule.errors import DataError


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("0-3", [(0, 1), (1, 2), (2, 3)]),
        ("0-3 closed", [(0, 1), (1, 2), (2, 3), (3, 0)]),
        (" 4 : 1 ,0-1", [(4, 1), (0, 1)]),
        ("0-1 closed", [(0, 1)]),  # there and back again is one line
        ("0-2, 1:0, 2:1", [(0, 1), (1, 2)]),
        (
            "0-43 closed, 44-93 closed",
            [*((i, i + 1) for i in range(43)), (43, 0), *((i, i + 1) for i in range(44, 93)), (93, 44)],
        ),
    ],
)
def test_a_text_spells_edges(spec: str, expected: list[tuple[int, int]], tmp_path: Path) -> None:
    assert list(read_edges(spec)) == expected
    for content in (expected, {"edges": expected}):
        (tmp_path / "edges.json").write_text(json.dumps(content))
        assert read_edges(tmp_path / "edges.json") == read_edges(spec)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "can't be understood"),
        ("1", "can't be understood"),
        ("0-3 open", "'0-3 open' can't be understood"),
        ("0-3,", "can't be understood"),
        ("3-1", "ends before it begins; write a single line as 3:1"),
        ("2:2", "two different indices"),
        ("0-5", "4:5 leads to a landmark that isn't there; they count from 0 to 4"),
        ("nowhere.json", r"nowhere\.json: can't be read"),
    ],
)
def test_what_spells_no_edges_is_said(spec: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_edges(spec, 5)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "3",
        "[]",
        "{}",
        '{"edges": 3}',
        "[3]",
        "[[0]]",
        "[[0, 1, 2]]",
        "[[0, 1.5]]",
        "[[0, -1]]",
        '["01"]',
        "[[0, true]]",
    ],
)
def test_a_file_without_edges_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "edges.json").write_text(content)
    with pytest.raises(DataError, match=r"^\S*edges\.json: "):
        read_edges(tmp_path / "edges.json")


def test_shapes_keep_the_edges_of_their_files(tmp_path: Path) -> None:
    """COCO counts them from one; ours are pairs of indices."""
    points = [10, 10, 2, 30, 12, 2, 20, 40, 2]
    images = [{"id": i, "file_name": f"{i}.png", "width": 48, "height": 48} for i in range(3)]
    objects = [{"id": i, "image_id": i, "category_id": 1, "keypoints": points} for i in range(3)]
    category = {"id": 1, "name": "wing", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2], [3, 1]]}
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": objects, "categories": [category]}))
    shapes = read_shapes(tmp_path / "coco.json")
    assert set(map(frozenset, shapes.edges)) == {frozenset((0, 1)), frozenset((0, 2))}
    write_shapes(tmp_path / "shapes.json", draw_shapes(shapes, 2))
    assert read_shapes(tmp_path / "shapes.json").edges == shapes.edges


def test_edges_that_fit_no_shape_are_dropped_and_bad_ones_refused(tmp_path: Path) -> None:
    triangle = [[0, 0], [5, 0], [0, 5]]
    for edges, kept in (([[0, 1]], ((0, 1),)), ([[0, 9]], ())):
        (tmp_path / "s.json").write_text(json.dumps({"shapes": [triangle], "edges": edges}))
        assert read_shapes(tmp_path / "s.json").edges == kept
    for edges in (3, [[0]], [["a", "b"]]):
        (tmp_path / "s.json").write_text(json.dumps({"shapes": [triangle], "edges": edges}))
        with pytest.raises(DataError, match=r"s\.json: .*edges"):
            read_shapes(tmp_path / "s.json")


def test_shapes_without_edges_write_none(tmp_path: Path) -> None:
    shapes = read_shapes_of_triangle(tmp_path)
    write_shapes(tmp_path / "t.json", shapes)
    assert set(json.loads((tmp_path / "t.json").read_text())) == {"shapes", "names"}


def read_shapes_of_triangle(folder: Path) -> Shapes:
    (folder / "s.json").write_text(json.dumps({"shapes": [[[0, 0], [5, 0], [0, 5]]]}))
    return read_shapes(folder / "s.json")
