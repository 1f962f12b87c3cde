"""Templates from files, sound and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from brule.annotating.template import Template, numbered, read_template
from brule.errors import DataError

SOUND = {
    "a.toml": 'names = ["tip", "left", "right"]\nedges = [[0, 1]]\npairs = [[1, 2]]\n',
    "a.json": '{"names": ["tip", "left", "right"], "edges": [[0, 1]], "pairs": [[1, 2]]}',
}
DAMAGED = {
    "deep.toml": "names = " + "[" * 50_000,
    "deep.json": '{"names": ' + "[" * 50_000,
    "cut.toml": 'names = ["tip',
    "cut.json": '{"names": ["tip',
    "list.json": "[1, 2]",
    "number.toml": "names = 3",
    "edge.json": '{"names": ["a", "b"], "edges": [[0, 2]]}',
    "long.json": '{"names": ["a", "b"], "edges": [[0, 1%s]]}' % ("0" * 400),
    "twice.toml": 'names = ["a", "a"]',
}


@pytest.mark.parametrize("name", SOUND)
def test_json_and_toml_hold_the_same(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(SOUND[name])
    found = read_template(tmp_path / name)
    assert found.names == ("tip", "left", "right") and found.edges == ((0, 1),) and found.pairs == ((1, 2),)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_template_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(DAMAGED[name])
    with pytest.raises(DataError, match=name):
        read_template(tmp_path / name)


def test_a_template_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"names = ['\xff']")
    with pytest.raises(DataError, match=r"a\.toml"):
        read_template(tmp_path / "a.toml")


MATCHED = {
    "the same": ("abc", [0, 1, 2]),
    "another order": ("cab", [2, 0, 1]),
    "all other names": ("xyz", [0, 1, 2]),  # by place
    "one name is left": ("axy", [0, None, None]),  # whether x was b is for the person to say
    "one name is new": ("abx", [0, 1, None]),
    "one more": ("abcx", [0, 1, 2, None]),
    "one fewer": ("ac", [0, 2]),
    "fewer, with other names": ("xy", [None, None]),
}


@pytest.mark.parametrize(("names", "expected"), MATCHED.values(), ids=MATCHED.keys())
def test_landmarks_are_matched_by_name_or_all_by_place(names: str, expected: list[int | None]) -> None:
    assert Template(names=("a", "b", "c")).matching(list(names)) == expected


def test_curves_become_contours_with_their_edges() -> None:
    found = numbered(5, edges=((0, 1), (2, 3), (4, 3)), curves=((2, 3, 4), (1,)))
    assert found.edges == ((0, 1),) and [(one.name, one.points) for one in found.contours] == [("curve 1", (2, 3, 4))]
    assert set(map(frozenset, found.lines)) == {frozenset(edge) for edge in ((0, 1), (2, 3), (3, 4))}
