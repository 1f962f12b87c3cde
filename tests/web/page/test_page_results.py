"""What a person gets out of the page: lengths by a scale bar, the repeat error, redrawn images, the detector as ONNX."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.marks import GONE
from brule.annotating.predictions import FORMAT
from brule.data.synthetic import synthetic_faces

THREE = Template(names=("nose", "chin", "brow"))
PLACES = np.array([(20, 20), (80, 20), (50, 70)], dtype=float)


def annotated(project: Project, places: np.ndarray = PLACES) -> None:
    for image in project.entries:
        marks = {name: Mark.at(x, y) for name, (x, y) in zip(project.template.names, places, strict=True)}
        project.change(image, project.record(image).version, Marks(marks, "accepted"))


def test_a_scale_bar_makes_millimetres(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", [draw(1, size=128).folder], template=THREE)
    annotated(project)
    person = visit(serve(project)).goto("annotate").opened()
    person.page.click("button:has-text('Scale bar')")
    ends = [person.click(10, 100), person.click(110, 100)]
    for nothing in ("", "0"):  # the line stays, and the question
        person.page.get_by_label("Its length in millimetres").fill(nothing)
        person.page.click("button:has-text('Set the scale')")
        person.page.wait_for_selector("dialog >> text=Enter a length above 0.")
    person.page.get_by_label("Its length in millimetres").fill("5")
    person.page.click("button:has-text('Set the scale')")
    person.saved()
    scale = 5 / float(np.hypot(*(ends[1] - ends[0])))
    assert marks(project, "face_000.png").scale == pytest.approx(scale, rel=1e-3)
    person.goto("measure")
    person.page.get_by_label("Name of the measurement").first.fill("width")
    person.page.click(".measure-form >> nth=0 >> button")
    person.page.wait_for_selector("th:has-text('width (mm)')")
    with person.page.expect_download() as download:
        person.page.click("text=Download as CSV")
    (row,) = csv.DictReader(io.StringIO(Path(download.value.path()).read_text()))
    assert float(row["width_px"]) == pytest.approx(60) and float(row["width_mm"]) == pytest.approx(60 * scale, rel=1e-3)
    person.at("face_000.png")
    person.press("Control+z")  # the scale, too, can be undone
    person.saved()
    assert marks(project, "face_000.png").scale is None


def test_the_second_annotation_does_not_show_the_first_and_gives_the_repeat_error(
    draw: Callable, serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", [draw(2, size=128).folder], template=THREE)
    annotated(project)
    person = visit(serve(project)).at("face_000.png")
    person.ask("() => brule.app.settings.change({start: 'none'})")
    person.page.click("text=Annotate it a second time")
    person.opened("face_000.png")
    assert np.isnan(person.points).all()
    again = np.array([person.click(*place) for place in PLACES + np.array((3, 4))])
    person.press("Enter")
    person.saved()
    image = next(iter(project.entries))
    np.testing.assert_allclose(project.record(image).marks.array(THREE.names), PLACES)  # the first one stays
    person.goto("measure")
    person.page.wait_for_selector("text=1 image annotated twice")
    shown = person.page.locator("[aria-label='Repeat error of each landmark'] tbody tr").all_inner_texts()
    expected = np.linalg.norm(again - PLACES, axis=1)  # 5 px, up to the screen's pixels
    found = [float(line.split("\t")[1]) for line in shown]
    np.testing.assert_allclose(found, expected, atol=0.06)
    assert np.abs(expected - 5).max() < 1


SMALL = {"encoder.width": 8, "encoder.depth": 2, "batch_size": 4, "threads": 1, "crop.image_size": 32}
DECODER = {"gan.enabled": True, "gan.adversarial": 1.0} | {
    f"decoder.{name}": value
    for name, value in {
        "image_size": 16, "width": 2, "max_width": 8, "style_dim": 8, "noise_dim": 8, "mapping_depth": 2,
    }.items()
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector with a decoder, of ten drawn faces and two steps."""
    from brule import LandmarkDetector

    faces = synthetic_faces(10, size=64)
    detector = LandmarkDetector(quiet=True, device="cpu", iterations=2, **SMALL, **DECODER)
    folder = tmp_path_factory.mktemp("detector") / "round-1"
    detector.fit(faces.images, shapes=faces.points[:5]).save(folder)
    return folder


@pytest.mark.slow
def test_redrawing_follows_landmarks_and_style_and_changes_nothing(
    draw: Callable, serve: Callable, visit: Callable, trained: Path, tmp_path: Path
) -> None:
    faces = draw(2, size=128, landmarks=range(68))
    names = tuple(f"point {k}" for k in range(1, 69))
    project = Project(tmp_path / "project", [faces.folder], template=Template(names=names))
    for image, entry in project.entries.items():
        places = zip(names, (Mark.at(x, y) for x, y in faces.named(entry.name)), strict=True)
        project.change(image, 0, Marks(dict(places), "accepted"))
    (project.folder / "runs").mkdir()
    shutil.copytree(trained, project.folder / "runs" / "round-1")
    before = {path: path.read_bytes() for path in (project.folder / "annotations").iterdir()}
    person = visit(serve(project)).goto("redraw")
    assert person.page.locator(".steps a:has-text('Redraw')").count() == 1
    pixels = """async () => { const image = document.querySelector('.redrawn'); if (!image?.src) return null;
        try { await image.decode(); } catch { return null; }
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
        return [canvas.height, canvas.width, ...context.getImageData(0, 0, canvas.width, canvas.height).data]; }"""

    def another(last: np.ndarray | None = None) -> np.ndarray:
        """The picture, once it is another one."""
        for _ in range(200):
            values = person.ask(pixels)
            if values is not None:
                found = np.array(values[2:]).reshape(values[0], values[1], 4)[..., :3]
                if last is None or not np.array_equal(found, last):
                    return found
            person.page.wait_for_timeout(100)
        raise AssertionError("the picture stays the same")

    first = another()
    assert first.shape[0] == first.shape[1] >= 16 and np.ptp(first) > 0
    chin = person.points[8]
    person.drag(chin, chin + np.array((0, -30)))
    moved = another(first)
    styles = person.page.get_by_label("In the style of")
    styles.select_option(styles.locator("option").nth(2).get_attribute("value"))
    another(moved)
    assert {path: path.read_bytes() for path in (project.folder / "annotations").iterdir()} == before


def test_an_export_lists_the_images_that_the_format_cannot_hold(
    draw: Callable, serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", [draw(4, size=64).folder], template=THREE)
    annotated(project)
    for image in list(project.entries)[:2]:
        record = project.record(image)
        project.change(image, record.version, replace(record.marks, points={**record.marks.points, "chin": GONE}))
    person = visit(serve(project)).goto("measure")
    person.page.get_by_label("Format").select_option("pts")
    person.page.click("text=Export the annotations")
    person.page.wait_for_selector("text=2 images exported")
    (left,) = person.page.locator("p:has-text('Left out')").all_inner_texts()
    assert "face_000.png" in left and "chin" in left and left.endswith("(and 1 more)")


@pytest.mark.long
def test_the_detector_is_exported_as_onnx(
    draw: Callable, serve: Callable, visit: Callable, trained: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx", reason="pip install 'brule-landmarks[export]'")
    pytest.importorskip("onnxruntime", reason="pip install 'brule-landmarks[export]'")
    project = Project(tmp_path / "project", [draw(1, size=64).folder], template=Template(names=("a", "b")))
    (project.folder / "runs").mkdir()
    shutil.copytree(trained, project.folder / "runs" / "round-1")
    person = visit(serve(project)).goto("measure")
    person.page.click("text=Export the detector (ONNX)")
    with person.page.expect_download(timeout=300_000) as download:
        person.page.wait_for_selector("text=Download the detector", timeout=280_000).click()
    model = onnx.load(download.value.path())
    onnx.checker.check_model(model)
    assert model.graph.output


def test_twenty_megapixels_come_in_parts(serve: Callable, visit: Callable, marks: Callable, tmp_path: Path) -> None:
    """The whole is shown from a preview, a zoomed part from tiles, and a click lands on the image's own pixel."""
    size = (5472, 3648)
    ramp = np.linspace(0, 255, size[0], dtype=np.uint8)[None].repeat(size[1], 0)
    picture = Image.fromarray(np.stack([ramp, np.full_like(ramp, 120), ramp[:, ::-1]], axis=2))
    picture.paste((255, 255, 255), (4000, 3000, 4040, 3040))
    (tmp_path / "photos").mkdir()
    picture.save(tmp_path / "photos" / "large.jpg", quality=90)
    project = Project(tmp_path / "project", [tmp_path / "photos"], template=THREE)
    person = visit(serve(project))
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    person.goto("annotate").opened("large.jpg")
    sizes = [int(url.split("size=")[1].split("&")[0]) for url in asked if "/view?" in url]
    assert sizes and max(sizes) <= 2048  # never all of it for a window of 1280 pixels
    assert not any("/tile/" in url for url in asked)
    person.page.mouse.move(*person.on_screen(4020, 3020))
    for _ in range(40):
        if person.ask("() => brule.page().stage.zoom") >= 2:
            break
        person.page.mouse.wheel(0, -240)
        person.page.wait_for_timeout(30)
    assert person.ask("() => brule.page().stage.zoom") >= 2
    for _ in range(100):
        if any("/tile/0/" in url for url in asked):
            break
        person.page.wait_for_timeout(50)
    assert any("/tile/0/" in url for url in asked)
    person.page.wait_for_load_state("networkidle")
    at = person.click(4000, 3000)
    person.saved()
    point = marks(project, "large.jpg").points["nose"]
    assert np.allclose((point.x, point.y), at, atol=2e-3) and np.abs(at - (4000, 3000)).max() <= 0.5
    # What the person sees there is the white square's corner: the picture and the landmarks share a frame.
    sx, sy = person.on_screen(4010, 3010)
    clip = {"x": round(sx) - 1, "y": round(sy) - 1, "width": 3, "height": 3}
    pixels = np.asarray(Image.open(io.BytesIO(person.page.screenshot(clip=clip))).convert("RGB"))
    assert pixels.min() > 230
    sx, sy = person.on_screen(3990, 3010)
    clip = {"x": round(sx) - 1, "y": round(sy) - 1, "width": 3, "height": 3}
    beside = np.asarray(Image.open(io.BytesIO(person.page.screenshot(clip=clip))).convert("RGB"))
    assert beside[..., 1].max() < 160


def test_predicted_images_are_measured_if_asked_for(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", [draw(3, size=128).folder], template=THREE)
    first, *_ = project.entries
    marks = {name: Mark.at(x, y) for name, (x, y) in zip(THREE.names, PLACES, strict=True)}
    project.change(first, 0, Marks(marks, "accepted"))
    lines = [json.dumps({"format": FORMAT, "landmarks": 3, "calibrated": False})]
    for k, entry in enumerate(project.entries.values()):
        own = {
            "points": (PLACES * [0.5, 1]).tolist(),
            "spread": [1, 1, 1],
            "uncertainty": 1,
            "expected": None,
            "flagged": k == 2,
        }
        lines.append(json.dumps({"name": entry.name, **own}))
    (project.folder / "predictions").mkdir()
    (project.folder / "predictions" / "found.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    person = visit(serve(project)).goto("measure")
    rows = person.page.locator("[aria-label='Measurements of all images'] tbody tr")
    person.page.wait_for_selector("text=Also measure 2 images as the detector predicts them")
    assert rows.count() == 1
    person.page.get_by_label("Name of the measurement").first.fill("width")
    person.page.click(".measure-form >> nth=0 >> button")
    person.page.wait_for_selector("th:has-text('width (px)')")
    person.page.check("text=Also measure 2 images")
    person.page.wait_for_selector("th:has-text('from')")
    cells = [line.split("\t")[1:3] for line in rows.all_inner_texts()]
    assert cells == [["you", "60.00"], ["detector", "30.00"], ["detector, probably wrong", "30.00"]]
    with person.page.expect_download() as download:
        person.page.click("text=Download as CSV")
    table = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [(row["source"], float(row["width_px"])) for row in table] == [("annotated", 60), ("predicted", 30), ("flagged", 30)]
    person.page.uncheck("text=Also measure 2 images")
    person.page.wait_for_selector("th:has-text('from')", state="detached")
    assert rows.count() == 1
