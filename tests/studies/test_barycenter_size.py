"""The barycenter of n shapes against that of all: what must hold for any shapes, and what a study keeps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import brule.studies.barycenter_size as module
from brule.data import Shapes
from brule.errors import CheckpointError, DataError
from brule.studies import SizeLaws, fit_power_law, report_barycenter_size, run_barycenter_size
from brule.studies.barycenter_size import DRAWS, REFERENCE, drawn_barycenter

N = 8


def gaussian_shapes(count: int, deviation: float = 0.01, seed: int = 0) -> Shapes:
    """Points far apart on a circle, with little noise: their barycenter is their mean, index by index."""
    angle = np.arange(N) * 2 * np.pi / N
    circle = 0.5 + 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    noise = np.random.default_rng(seed).normal(scale=deviation, size=(count, N, 2))
    return Shapes([circle + own for own in noise], [f"shape {i}" for i in range(count)])


def test_all_shapes_give_the_reference_whatever_the_draw(tmp_path: Path) -> None:
    shapes = gaussian_shapes(12)
    found = run_barycenter_size(tmp_path, shapes, sizes=[3], draws=2)
    last = found.draws[-1]
    assert (last.n, last.w2_squared, last.nme) == (12, 0, 0)
    again = drawn_barycenter(np.stack(shapes.points), 12, 5, seed=0)
    np.testing.assert_allclose(again, found.reference)


def test_errors_are_those_of_the_mean(tmp_path: Path) -> None:
    """Where the plans are the identity, the barycenter is the mean, so W₂² is a mean of squared distances."""
    shapes = gaussian_shapes(10)
    found = run_barycenter_size(tmp_path, shapes, sizes=[4], draws=3)
    cloud = np.stack(shapes.points)
    reference = cloud.mean(axis=0)
    diagonal = np.linalg.norm(reference.max(0) - reference.min(0))
    np.testing.assert_allclose(found.reference, reference, atol=1e-9)
    assert found.normaliser == "box diagonal"
    assert found.spread == pytest.approx(100 * np.sqrt(((cloud - reference) ** 2).sum(2).mean()) / diagonal)
    for draw in found.draws:
        lengths = np.linalg.norm(np.array(draw.points) - reference, axis=1)
        assert draw.nme == pytest.approx(100 * lengths.mean() / diagonal)
        assert draw.w2_squared == pytest.approx((100 / diagonal) ** 2 * (lengths**2).mean())


def test_the_error_of_gaussian_shapes_falls_like_one_over_n(tmp_path: Path) -> None:
    found = run_barycenter_size(tmp_path, gaussian_shapes(40), sizes=[2, 4, 8, 16, 32], draws=12)
    laws = SizeLaws.of(found)
    for law in (laws.w2, laws.nme):
        assert law is not None
        assert law.exponent.value == pytest.approx(1, abs=0.15)  # though 32 of 40 shapes leave little to err
        assert law.exponent.low < law.exponent.value < law.exponent.high
    assert laws.w2 is not None
    assert laws.w2(np.array([1.0]))[0] == pytest.approx(found.spread**2, rel=0.25)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_an_exact_power_law_is_found(exponent: float) -> None:
    errors = [(n, 7 * n**-exponent * (100 - n) / 99) for n in (2, 5, 30, 90) for _ in range(3)]
    law = fit_power_law([*errors, (100, 0.0)], 100)
    assert law is not None
    assert tuple(law.exponent) == pytest.approx((exponent, exponent, exponent))
    assert law.factor == pytest.approx(7)
    assert fit_power_law(errors[:3], 100) is None  # one size says nothing of a slope


def test_a_study_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = gaussian_shapes(8)
    whole = run_barycenter_size(tmp_path / "whole", shapes, sizes=[2, 3], draws=3)
    run_barycenter_size(tmp_path / "parts", shapes, sizes=[3], draws=2)
    kept = tmp_path / "parts" / DRAWS
    kept.write_text(kept.read_text() + '{"n": 2, "num')  # killed while it wrote

    made, genuine = [], module.drawn_barycenter
    monkeypatch.setattr(module, "drawn_barycenter", lambda *given, **own: made.append(given[1:3]) or genuine(*given, **own))
    calls: list[tuple[int, int]] = []
    again = run_barycenter_size(tmp_path / "parts", shapes, sizes=[3, 2, 99], draws=3, progress=lambda *one: calls.append(one))
    assert again == whole
    assert made == [(2, 0), (2, 1), (2, 2), (3, 2)]
    assert calls[0] == (0, 8 + 3 * 2 + 3 * 3)
    assert calls[-1][0] == calls[-1][1]
    made.clear()
    assert run_barycenter_size(tmp_path / "parts", shapes, sizes=[2, 3], draws=3) == whole
    assert made == []


def test_a_study_holds_one_set_of_shapes(tmp_path: Path) -> None:
    run_barycenter_size(tmp_path, gaussian_shapes(5), sizes=[2], draws=1)
    for shapes, seed in ((gaussian_shapes(6), 0), (gaussian_shapes(5, seed=1), 0), (gaussian_shapes(5), 1)):
        with pytest.raises(CheckpointError, match=r"reference\.json: .*choose another folder"):
            run_barycenter_size(tmp_path, shapes, sizes=[2], draws=1, seed=seed)


@pytest.mark.parametrize("line", ["{", "[]", '{"n": 2}', '{"n": "a", "number": 0, "w2_squared": 0, "nme": 0, "points": []}'])
def test_a_damaged_draw_is_named(tmp_path: Path, line: str) -> None:
    shapes = gaussian_shapes(5)
    run_barycenter_size(tmp_path, shapes, sizes=[2], draws=1)
    kept = tmp_path / DRAWS
    kept.write_text(f"{kept.read_text()}{line}\n")
    with pytest.raises(CheckpointError, match=r"draws\.jsonl: line 3: damaged"):
        run_barycenter_size(tmp_path, shapes, sizes=[2], draws=1)


@pytest.mark.parametrize("content", ["{", "[]", '"points"'])
def test_a_damaged_reference_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / REFERENCE).write_text(content)
    with pytest.raises(CheckpointError, match=r"reference\.json: damaged"):
        run_barycenter_size(tmp_path, gaussian_shapes(5), sizes=[2], draws=1)


def test_a_reference_without_its_points_is_named(tmp_path: Path) -> None:
    run_barycenter_size(tmp_path, gaussian_shapes(5), sizes=[2], draws=1)
    path = tmp_path / REFERENCE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"points": [[0, 1], [2]]}))
    with pytest.raises(CheckpointError, match=r"reference\.json: damaged: expected 8 points"):
        run_barycenter_size(tmp_path, gaussian_shapes(5), sizes=[2], draws=1)


def test_what_can_t_be_compared_is_refused(tmp_path: Path) -> None:
    mixed = Shapes([np.zeros((3, 2)), np.zeros((4, 2))], ["a", "b"])
    with pytest.raises(DataError, match="the same number of points, got 3, 4"):
        run_barycenter_size(tmp_path, mixed)
    with pytest.raises(DataError, match="at least two"):
        run_barycenter_size(tmp_path, gaussian_shapes(1))
    with pytest.raises(DataError, match="at least 1"):
        run_barycenter_size(tmp_path, gaussian_shapes(3), sizes=[0])


def test_what_is_reported(tmp_path: Path) -> None:
    study = run_barycenter_size(tmp_path, gaussian_shapes(8), sizes=[2, 4], draws=4)
    table = report_barycenter_size(tmp_path, study)
    rows = [line.split(" | ")[:2] for line in table.splitlines() if line.startswith("| ")]
    assert rows == [["| n", "draws"], ["| 2", "4"], ["| 4", "4"], ["| 8", "1"]]
    assert "| 8 | 1 | 0.00 | 0.00 | 0.00 |" in table
    assert (tmp_path / "barycenter-size.md").read_text(encoding="utf-8") == table
    content = json.loads((tmp_path / "barycenter-size.json").read_text(encoding="utf-8"))
    assert len(content["draws"]) == 9
    law = content["laws"]["w2_squared"]
    assert law["exponent_low"] < law["exponent"] < law["exponent_high"]
    for name in ("barycenter-size.svg", "barycenters.svg"):
        assert (tmp_path / name).stat().st_size > 1000


def test_two_shapes_alone_can_be_reported(tmp_path: Path) -> None:
    study = run_barycenter_size(tmp_path, gaussian_shapes(2), sizes=[3])
    assert [draw.n for draw in study.draws] == [2]
    assert "a =" not in report_barycenter_size(tmp_path, study)
