"""Templates from files, sound and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from brule.annotating.template import read_template
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
