"""Pages and files: what they hold, that they need nothing else, that they can be read again."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from brule.data import CropCache
from brule.errors import DataError
from brule.evaluation import Evaluation
from brule.evaluation.reports import (
    ComparisonReport,
    StoredEvaluation,
    comparison_page,
    evaluation_page,
    figure_rows,
    read_evaluation,
    write_comparison,
    write_evaluation,
)
from brule.evaluation.reports.comparison import short_names, verdict
from brule.evaluation.reports.evaluation import chosen_images
from brule.evaluation.reports.files import per_image_csv
from brule.plots.svg import ced_chart

Measured = Callable[..., Evaluation]


class Page(HTMLParser):
    """The parts of a page that tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.alts: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag == "img":
            self.alts.append(known.get("alt") or "")
        if tag == "svg":
            assert known.get("aria-hidden") == "true" or known.get("aria-label")

    def handle_data(self, data: str) -> None:
        self.text += data


def written(measured: Measured, drawn: CropCache, folder: Path, noise: float = 0.02, seed: int = 0, run: str = "run") -> Path:
    write_evaluation(
        folder, measured(noise, seed), title="a <title>", summary="s & t", crop=lambda i: drawn.images[i],
        facts=[("n & m", "<5>")], details={"run": run}, commands=[("do", "brule predict 'a b'")],
    )  # fmt: skip
    return folder


def test_page_needs_no_other_file(measured: Measured, drawn: CropCache) -> None:
    text = evaluation_page(
        measured(), title="a <title>", summary="s & t", crop=lambda i: drawn.images[i], facts=[("n & m", "<5>")]
    )
    page = Page(text)
    assert page.links and all(link.startswith("data:") for link in page.links)
    assert "http" not in text and "script" not in page.tags and "@import" not in text and "url(" not in text
    assert "a &lt;title&gt;" in text and "n &amp; m" in text and "&lt;5&gt;" in text
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
    assert len(page.alts) == 18 and all("landmarks" in alt for alt in page.alts)
    assert len(text) < 3_000_000


def test_page_holds_the_figures(measured: Measured, drawn: CropCache) -> None:
    result = measured()
    page = Page(evaluation_page(result, title="t", summary="s", crop=lambda i: drawn.images[i], facts=[]))
    for row in figure_rows(result):
        for value, interval in row.values:
            assert value in page.text and interval in page.text and row.floor in page.text
    for words in ("jaw", "mouth", "pupils", "box size", "mean shape (floor)", "rank correlation", "kept by spread"):
        assert words in page.text


def test_landmarks_are_counted_from_one_and_errors_are_rounded(measured: Measured, drawn: CropCache) -> None:
    result = measured()
    text = evaluation_page(result, title="t", summary="s", crop=lambda i: drawn.images[i], facts=[])
    worst = int(np.nanargmax(result.landmark_errors[int(np.argmin(result.errors))])) + 1
    assert f"worst: landmark {worst}, " in text
    assert "landmark 68, " in text and "landmark 0" not in text
    assert ">4.43\u00a0%<" in ced_chart({"a": [1.0, 9.0]}, limits=(4.43471, 8)) and ">8\u00a0%<" in ced_chart(
        {"a": [1.0]}, limits=(8,)
    )


def test_names_of_landmarks_are_shown_everywhere(measured: Measured, drawn: CropCache, tmp_path: Path) -> None:
    names = tuple(f"point<{i}>" for i in range(68))
    result = replace(measured(), landmark_names=names)
    page = Page(evaluation_page(result, title="t", summary="s", crop=lambda i: drawn.images[i], facts=[]))
    worst = int(np.nanargmax(result.landmark_errors[int(np.argmin(result.errors))]))
    assert f"worst: {names[worst]}, " in page.text and "landmark 1" not in page.text
    assert all(names[i] in page.text for i in result.worst_landmarks(5))
    rows = list(csv.DictReader(io.StringIO(per_image_csv(result))))
    assert all(row["worst_landmark_name"] == names[int(row["worst_landmark"])] for row in rows)
    plain = list(csv.DictReader(io.StringIO(per_image_csv(measured()))))
    assert plain[0]["worst_landmark_name"] == f"landmark {int(plain[0]['worst_landmark']) + 1}"
    write_evaluation(tmp_path, result, title="t", summary="s", crop=lambda i: drawn.images[i], facts=[], details={})
    again = read_evaluation(tmp_path)
    assert again.worst == tuple(row["worst_landmark_name"] for row in rows)
    report = ComparisonReport.of([again, StoredEvaluation.of(result, "b")])
    (landmark, count), *_ = Counter(again.worst).most_common(1)
    assert report.worst["b"] == f"{landmark} ({count} of 24)" and landmark in Page(comparison_page(report)).text
    assert ComparisonReport.of([replace(again, worst=()), StoredEvaluation.of(result, "b")]).worst == {}


def test_several_objects_of_an_image_are_told_apart(measured: Measured, drawn: CropCache) -> None:
    result = measured()
    several = replace(result, names=[result.names[0]] * 3 + result.names[3:])
    page = Page(evaluation_page(several, title="t", summary="s", crop=lambda i: drawn.images[i], facts=[]))
    assert "24 in 22 images" in page.text and "Images" not in page.text.split("How good it is")[0].split("Objects")[1]
    rows = list(csv.DictReader(io.StringIO(per_image_csv(several))))
    assert [row["object"] for row in rows[:4]] == ["1", "2", "3", "1"]
    report = ComparisonReport.of([StoredEvaluation.of(several, "a"), StoredEvaluation.of(several, "b")])
    assert verdict(report).startswith("On 24 objects in 22 images, a has")


def test_page_without_spread_and_with_missing_points(measured: Measured, drawn: CropCache) -> None:
    result = measured()
    truth = result.truth.copy()
    truth[:, 0] = truth[3, :17] = np.nan
    bare = replace(result, spread=None, truth=truth, mean_shape=None, mean_errors=None)
    page = Page(evaluation_page(bare, title="t", summary="s", crop=lambda i: drawn.images[i], facts=[]))
    assert "Does its uncertainty" not in page.text and "barycenter (floor)" in page.text
    assert f"{24 + 16} landmarks, left out of all means" in page.text and "missing everywhere" in page.text
    assert "nan" not in page.text.lower()


def test_chosen_images() -> None:
    groups = list(chosen_images(np.array([5.0, 1, 9, 3, 7, 2, 8, 4, 6]), each=2).values())
    assert groups == [[1, 5], [7, 0], [2, 6]]
    assert list(chosen_images(np.array([3.0, 1, 2]), each=4).values()) == [[1, 2, 0]]
    few = [i for group in chosen_images(np.arange(7.0), each=4).values() for i in group]
    assert len(few) == len(set(few)) == 6


def test_table_of_images(measured: Measured) -> None:
    result = measured()
    rows = list(csv.DictReader(io.StringIO(per_image_csv(result))))
    assert len(rows) == 24 and [row["image"] for row in rows] == result.names
    assert np.array([row["nme"] for row in rows], dtype=float) == pytest.approx(result.errors, abs=1e-6)
    worst = int(rows[3]["worst_landmark"])
    assert float(rows[3]["worst_landmark_error"]) == pytest.approx(result.landmark_errors[3].max(), abs=1e-6)
    assert result.landmark_errors[3, worst] == result.landmark_errors[3].max()
    parts = sum(float(rows[0][f"nme_{name}"]) * len(indices) for name, indices in result.regions.items())
    assert parts / 68 == pytest.approx(result.errors[0], abs=1e-5)
    assert float(rows[0]["mean_spread"]) == pytest.approx(100 * result.spread[0, 0], abs=1e-6)


def test_what_is_written_can_be_read(measured: Measured, drawn: CropCache, tmp_path: Path) -> None:
    result = measured()
    found = read_evaluation(written(measured, drawn, tmp_path / "e", run="runs/x"))
    assert {path.name for path in (tmp_path / "e").iterdir()} == {"metrics.json", "per_image.csv", "index.html"}
    assert (found.names, found.normaliser, found.run) == (result.names, "outer eye corners", "runs/x")
    np.testing.assert_allclose(found.errors.nme, result.errors, atol=1e-6)
    np.testing.assert_allclose(found.floor.w1, result.floor.w1, atol=1e-6)
    assert list(found.regions) == ["jaw", "brows", "nose", "eyes", "mouth"]
    content = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert {"nme", "w1", "floor_nme", "auc_8", "fr_8", "n"} <= set(content)
    assert content["nme"] == pytest.approx(result.errors.mean())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.json", "{", "not JSON"),
        ("metrics.json", "[]", "normaliser"),
        ("metrics.json", None, "can't be read"),
        ("per_image.csv", None, "can't be read"),
        ("per_image.csv", "", "expected rows"),
        ("per_image.csv", "image,nme\na,1\n", "expected rows"),
        ("per_image.csv", "image,nme,w1,floor_nme,floor_w1\na,1,x,3,4\n", "line 2: expected a number as w1"),
        ("per_image.csv", "image,nme,w1,floor_nme,floor_w1\na,1\n", "line 2: expected a number as w1"),
        ("per_image.csv", "image,nme,w1,floor_nme,floor_w1\na,nan,1,3,4\n", "line 2: expected a finite number as nme"),
    ],
)
def test_damaged_evaluations_are_named(
    measured: Measured, drawn: CropCache, tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    path = written(measured, drawn, tmp_path) / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=f"^{path}: .*{message}"):
        read_evaluation(tmp_path)


# --- comparison ------------------------------------------------------------------------------------------------------


def stored(measured: Measured, noise: float, seed: int, run: str) -> StoredEvaluation:
    return StoredEvaluation.of(measured(noise, seed), run)


def test_comparison_agrees_with_the_evaluations(measured: Measured) -> None:
    first, second = measured(0.02, 0), measured(0.05, 1)
    report = ComparisonReport.of([StoredEvaluation.of(first, "a"), StoredEvaluation.of(second, "b")])
    assert [one.scores for one in report.candidates] == [first.scores, second.scores]
    (found,) = report.differences["nme"]
    assert found.difference == pytest.approx(second.scores.nme - first.scores.nme) and found.low > 0 and found.p_value < 0.01
    assert report.by_region["b"]["jaw"] == second.by_region["jaw"]
    assert "a has the smallest mean error" in verdict(report) and "can't decide" not in verdict(report)


def test_images_are_matched_by_path_or_name(measured: Measured) -> None:
    one, other = stored(measured, 0.02, 0, "a"), stored(measured, 0.02, 0, "b")
    turned = other.only(range(23, 3, -1))  # another order, four missing
    report = ComparisonReport.of([one, turned])
    assert (len(report.names), report.left_out) == (20, 4)
    assert report.differences["nme"][0].difference == 0
    moved = replace(turned, names=[f"elsewhere/{name}" for name in turned.names])
    assert len(ComparisonReport.of([one, moved]).names) == 20
    with pytest.raises(DataError, match="different images"):
        ComparisonReport.of([one, replace(other, names=[f"x{name}" for name in other.names])])


def test_what_cannot_be_compared(measured: Measured) -> None:
    one = stored(measured, 0.02, 0, "a")
    with pytest.raises(DataError, match="at least two"):
        ComparisonReport.of([one])
    with pytest.raises(DataError, match="a: outer eye corners, b: pupils"):
        ComparisonReport.of([one, replace(one, run="b", normaliser="pupils")])


def test_names_are_as_short_as_they_can_be() -> None:
    assert short_names(["runs/a", "runs/b"]) == ["a", "b"]
    assert short_names(["x/a", "y/a", "z/b"]) == ["x/a", "y/a", "b"]
    assert short_names(["a", "a"]) == ["a (1)", "a (2)"]
    assert short_names(["p/x/a", "q/x/a"]) == ["p/x/a", "q/x/a"]


def test_page_of_a_comparison(measured: Measured, tmp_path: Path) -> None:
    report = ComparisonReport.of([stored(measured, 0.02 + 0.01 * i, i, f"runs/<{i}>") for i in range(3)])
    text = comparison_page(report, facts=[("where", "here")])
    page = Page(text)
    assert all(link.startswith("data:") for link in page.links) and "http" not in text and "<0>" not in text
    for words in ("<0>", "<1> − <0>", "<2> − <1>", "corrected", "jaw", "here"):
        assert words in page.text
    paths = write_comparison(tmp_path / "c", report)
    assert [path.name for path in paths] == ["comparison.json", "per_image.csv", "index.html"]
    content = json.loads(paths[0].read_text())
    assert [one["run"] for one in content["runs"]] == ["runs/<0>", "runs/<1>", "runs/<2>"]
    assert len(content["differences"]["nme"]) == len(content["differences"]["w1"]) == 3
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert len(rows) == 24 and float(rows[0]["<1> nme"]) == pytest.approx(report.candidates[1].found.errors.nme[0], abs=1e-6)
