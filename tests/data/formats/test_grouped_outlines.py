"""Outlines as landmarks keep their objects and the length of a pixel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from brule.data import convert
from brule.data.annotations import read_annotations
from brule.data.formats.record import Annotation

PARTS = {"wing": [(2, 3), (10, 3), (10, 9)], "body": [(12, 3), (18, 3), (18, 9)]}


def polygon(label: str, shift: int = 0, group: int | None = None) -> dict[str, Any]:
    places = [[x + shift, y] for x, y in PARTS[label]]
    return {"label": label, "shape_type": "polygon", "points": places, "group_id": group}


def point(label: str, x: int, group: int | None = None) -> dict[str, Any]:
    return {"label": label, "shape_type": "point", "points": [[x, 5]], "group_id": group}


def outlined(folder: Path, *shapes: dict[str, Any], scale: float | None = None) -> list[Annotation]:
    """The objects of an image with shapes whose outlines became two points each."""
    Image.new("RGB", (40, 20)).save(folder / "a.png")
    content = {"imagePath": "a.png", "imageData": None, "imageWidth": 40, "imageHeight": 20, "shapes": list(shapes)}
    (folder / "a.json").write_text(json.dumps({**content, **({} if scale is None else {"scale": scale})}))
    convert(folder / "a.json", folder / "out", write_as="labelme", outline_points=2)
    return read_annotations(folder / "out" / "a.json").items


def test_a_group_is_an_object(tmp_path: Path) -> None:
    shapes = [polygon("wing", 0, 1), polygon("wing", 20, 2), polygon("body", 0, 1), polygon("body", 20, 2)]
    first, second = outlined(tmp_path, *shapes)
    assert first.points is not None and second.points is not None
    assert first.points.shape == (4, 2) and (second.points - first.points).tolist() == [[20, 0]] * 4


def test_outlines_join_the_points_of_their_group(tmp_path: Path) -> None:
    shapes = [polygon("wing", 20, 2), polygon("wing", 0, 1), point("eye", 3, 1), point("eye", 23, 2)]
    first, second = outlined(tmp_path, *shapes)
    assert first.points is not None and second.points is not None
    assert first.points.shape == (3, 2) and (second.points - first.points).tolist() == [[20, 0]] * 3


def test_outlines_of_one_label_in_a_group_are_objects_of_their_own(tmp_path: Path) -> None:
    """labelme's users also give a group to the pieces of one thing."""
    assert len(outlined(tmp_path, polygon("wing", 0, 1), polygon("wing", 20, 1))) == 2


@pytest.mark.parametrize("group", [None, 1])
def test_the_length_of_a_pixel_stays(tmp_path: Path, group: int | None) -> None:
    found = outlined(tmp_path, polygon("wing", 0, group), scale=0.25)
    assert [one.spacing for one in found] == [(0.25, 0.25)]
