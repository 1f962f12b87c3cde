"""Turned objects: every crop shows them upright, with the landmarks where they are seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from brule.cli.evaluate import picture_reader
from brule.cli.redrawing.sources import _crops, _framed
from brule.data import Sample, SampleList, Shapes, build_cache, cache_from_arrays, landmark_box, upright_box
from brule.data.images import load_crop
from brule.data.samples import BadFile, BadFiles
from brule.detector.inputs import Annotated, Unlabelled, shapes_of
from brule.detector.refinement import CropFrame
from brule.detector.upright import upright_annotated, upright_samples, upright_shapes
from brule.detector.whereabouts import Whereabouts, with_boxes
from brule.errors import DataError
from brule.locating import Located
from brule.training.sections import Locating
from brule.web.redrawings import Redrawings
from tests.detector.marks import SHAPE, marks_at, read_marks, scene

ANGLES = (0.0, 90.0, -100.0, 170.0)
OBJECTS = [(70.0, 60.0, 40.0, angle) for angle in ANGLES]
POINTS = [marks_at(*one) for one in OBJECTS]
AUTO, NEVER = Locating(), Locating(any_rotation="never")


@pytest.fixture
def files(tmp_path: Path) -> SampleList:
    samples = []
    for k, (one, points) in enumerate(zip(OBJECTS, POINTS, strict=True)):
        scene(one).image.save(tmp_path / f"{k}.png")
        samples.append(Sample(tmp_path / f"{k}.png", points))
    return SampleList(samples)


def test_the_upright_box_by_hand() -> None:
    """A line of 20 pixels that hangs down from (10, 10) is, turned back by 90°, 20 wide about its middle (10, 20)."""
    line = np.array([[10.0, 10.0], [10.0, 30.0]])
    assert upright_box(line, 90.0) == pytest.approx((0.0, 20.0, 20.0, 20.0))
    assert upright_box(line, 0.0) == pytest.approx(landmark_box(line))


def check_crops(images: np.ndarray, points: np.ndarray) -> None:
    """All crops show the object as the upright one is seen, to the same turn; landmarks are where the discs are."""
    found = read_marks(images).points.double().numpy()
    np.testing.assert_allclose(found, points, atol=0.02)
    first = points[0] - points[0].mean(0)
    for own in points[1:]:
        np.testing.assert_allclose(own - own.mean(0), first, atol=0.02)


@pytest.mark.parametrize("memory", [False, True])
def test_annotated_crops_show_turned_objects_upright(files: SampleList, memory: bool) -> None:
    images = [scene(one).image for one in OBJECTS]
    given = Annotated(images, POINTS, BadFiles()) if memory else Annotated(files, None, BadFiles())
    turned = upright_annotated(given, AUTO)
    if memory:
        crops = cache_from_arrays(images, None, POINTS, size=48, angles=turned.angles)
    else:
        crops = build_cache(turned.images, 48)
    assert crops.points is not None
    check_crops(crops.images, crops.points)
    shapes = shapes_of(turned, 1.3)
    np.testing.assert_allclose(shapes.points, crops.points, atol=1e-4)


def test_angles_are_read_only_where_they_are_wanted(files: SampleList) -> None:
    given = Annotated(files, None, BadFiles())
    assert upright_annotated(given, NEVER) is given
    nearly = SampleList([Sample(files[0].path, marks_at(70, 60, 40, angle)) for angle in (-5.0, 0.0, 5.0)])
    assert upright_annotated(Annotated(nearly, None, BadFiles()), AUTO).images is nearly
    always = upright_annotated(Annotated(nearly, None, BadFiles()), Locating(any_rotation="always"))
    assert [one.angle for one in always.images] == pytest.approx([-5.0, 0.0, 5.0], abs=0.1)


def test_an_image_without_landmarks_counts_as_upright(files: SampleList) -> None:
    missing = SampleList([*files, Sample(files[0].path, np.full((3, 2), np.nan))])
    assert upright_annotated(Annotated(missing, None, BadFiles()), AUTO).images[-1].angle == 0


def test_shapes_alone_are_turned_too() -> None:
    shapes = Shapes([(points - points.mean(0)) / 60 + 0.5 for points in POINTS], ["a", "b", "c", "d"])
    upright = upright_shapes(shapes, AUTO, scale=1.3)
    for own in upright.points:
        np.testing.assert_allclose(own, upright.points[0], atol=1e-6)
    assert upright_shapes(shapes, NEVER, scale=1.3) is shapes


def test_unlabelled_crops_show_what_the_locator_found_upright(files: SampleList) -> None:
    class Found:
        def locate(self, images: list[Path], **options: object) -> Located:
            boxes = np.array([upright_box(points, angle) for points, angle in zip(POINTS, ANGLES, strict=True)])
            return Located(boxes, np.array(ANGLES), np.full(4, 0.9), np.arange(4))

    bare = files.replaced(Sample(sample.path) for sample in files)
    known = Whereabouts(locator=Found())  # type: ignore[arg-type]
    frame = CropFrame.of(torch.from_numpy(SHAPE)[None])
    boxed = with_boxes(Unlabelled(bare), known, frame, scale=1.3, device="cpu", report=lambda text: None)
    crops = build_cache(boxed.images, 48).images
    np.testing.assert_allclose(read_marks(crops).points.numpy(), np.stack([SHAPE] * 4), atol=0.02)
    pictures = [scene(one).image for one in OBJECTS]
    memory = with_boxes(Unlabelled(pictures, [None] * 4), known, frame, scale=1.3, device="cpu", report=lambda text: None)
    again = cache_from_arrays(memory.images, memory.boxes, size=48, angles=memory.angles).images
    np.testing.assert_allclose(read_marks(again).points.numpy(), np.stack([SHAPE] * 4), atol=0.02)


def test_a_store_of_upright_crops_isnt_that_of_turned_ones(files: SampleList) -> None:
    box = landmark_box(POINTS[1])
    upright, turned = (build_cache([Sample(files[1].path, box=box, angle=angle)], 48).images for angle in (0.0, 90.0))
    assert not np.array_equal(upright, turned)


@pytest.mark.parametrize("aside", [0.0, 0.4])
def test_pictures_of_an_evaluation_show_turned_objects_upright(files: SampleList, aside: float) -> None:
    """The part that is shown follows the prediction, along the axes of the turned crop."""
    crops = build_cache(upright_samples(files, torch.from_numpy(SHAPE)), 48)
    assert crops.points is not None
    far = crops.points + np.array([aside, aside / 2])
    detector: Any = SimpleNamespace(
        config_=SimpleNamespace(crop=SimpleNamespace(scale=1.3)), whereabouts_=SimpleNamespace(turns=True),
        mean_shape=lambda: torch.from_numpy(SHAPE), barycenter_=SHAPE, landmark_names_=None,
    )  # fmt: skip
    names = [str(sample.path) for sample in files]
    measured: Any = SimpleNamespace(first=SimpleNamespace(names=names, object_numbers=[1] * len(names), predictions=far))
    read = picture_reader(detector, files, measured)
    shown = [read(k) for k in range(len(files))]
    found = read_marks(np.stack([one.picture for one in shown])).points.double().numpy()
    placed = [one.place(own) for one, own in zip(shown, crops.points, strict=True)]
    np.testing.assert_allclose(found, np.reshape(placed, found.shape), atol=0.02)


def test_samples_get_their_angle_against_a_mean_shape(files: SampleList) -> None:
    samples = upright_samples(files, torch.from_numpy(SHAPE))
    assert [one.angle for one in samples] == pytest.approx(list(ANGLES), abs=1e-3)
    partly = POINTS[1].copy()
    partly[0] = np.nan
    assert upright_samples(SampleList([Sample("a", partly)]), torch.from_numpy(SHAPE))[0].angle == pytest.approx(90.0, abs=1e-3)


def test_generate_reads_landmarks_and_styles_off_upright_crops_about_the_object(files: SampleList) -> None:
    boxes = torch.tensor([upright_box(points, angle) for points, angle in zip(POINTS, ANGLES, strict=True)])
    frame = CropFrame(1.5, (0.1, 0.0))  # not the crop rule's: shapes whose annotations have boxes of their own
    expected = (np.stack([SHAPE] * 4) - 0.5) * 1.3 / 1.5 + [0.5 - 0.1 / 1.5, 0.5]

    def predict(samples: SampleList, skip_bad: bool) -> Iterator[tuple[list[Sample], Any]]:
        for k in (0, 1, 2, 3):
            detector.bad_files_.extend([BadFile(files[k].path, "cut off")] if k == lost else [])
            if k != lost:
                yield [samples[k]], SimpleNamespace(box=boxes[k : k + 1], angle=torch.tensor(ANGLES[k : k + 1]))

    detector: Any = SimpleNamespace(
        whereabouts_=Whereabouts(locator=object()), iter_predict=predict, bad_files_=[], frame=lambda: frame,  # type: ignore[arg-type]
        config_=SimpleNamespace(crop=SimpleNamespace(image_size=48, scale=1.3)),
    )  # fmt: skip
    redrawer: Any = SimpleNamespace(detector=detector)
    folder, lost = [str(files[0].path.parent)], -1
    crops, names = _crops(redrawer, folder, skip_bad=False)
    assert names == sorted(str(sample.path) for sample in files)
    np.testing.assert_allclose(read_marks(crops).points.numpy(), expected, atol=0.02)
    lost = 1
    with pytest.raises(DataError, match=r"1\.png: cut off"):
        _crops(redrawer, folder, skip_bad=False)
    detector.bad_files_.clear()
    crops, names = _crops(redrawer, folder, skip_bad=True)
    assert [Path(name).name for name in names] == ["0.png", "2.png", "3.png"]
    np.testing.assert_allclose(read_marks(crops).points.numpy(), expected[[0, 2, 3]], atol=0.02)
    lost, detector.bad_files_[:] = -1, []
    boxes[2] = float("nan")  # nothing was found there
    assert not np.allclose(read_marks(_crops(redrawer, folder, skip_bad=False)[0][2:3]).points.numpy(), expected[2], atol=0.1)


def test_generate_keeps_boxes_that_are_given(files: SampleList, tmp_path: Path) -> None:
    """Two objects in one file, each with its box: two crops, each of its own object."""
    scene((40.0, 60.0, 40.0, 0.0), (115.0, 60.0, 50.0, 0.0)).image.save(tmp_path / "two.png")
    marks = [marks_at(40.0, 60.0, 40.0), marks_at(115.0, 60.0, 50.0)]
    pair = SampleList([Sample(tmp_path / "two.png", box=landmark_box(points)) for points in marks])
    found = SimpleNamespace(box=torch.tensor([[0.0, 0, 9, 9]] * 2), angle=torch.zeros(2))
    detector: Any = SimpleNamespace(
        whereabouts_=Whereabouts(locator=object()),  # type: ignore[arg-type]
        iter_predict=lambda samples, skip_bad: iter([(list(samples), found)]), bad_files_=[],
        frame=lambda: CropFrame(), config_=SimpleNamespace(crop=SimpleNamespace(image_size=48, scale=1.3)),
    )  # fmt: skip
    framed = _framed(SimpleNamespace(detector=detector), pair, BadFiles())  # type: ignore[arg-type]
    pictures = np.stack([load_crop(one, 48)[0] for one in framed])
    np.testing.assert_allclose(read_marks(pictures).points.numpy(), np.stack([SHAPE] * 2), atol=0.02)


def test_the_page_redraws_turned_objects_upright(files: SampleList) -> None:
    detector: Any = SimpleNamespace(
        whereabouts_=SimpleNamespace(turns=True), mean_shape=lambda: torch.from_numpy(SHAPE),
        config_=SimpleNamespace(crop=SimpleNamespace(image_size=48, scale=1.3)),
    )  # fmt: skip
    drawn: list[np.ndarray] = []
    redrawer: Any = SimpleNamespace(
        detector=detector, styles_of=lambda crops: crops, draw=lambda unit, style: drawn.append(unit) or style
    )
    records = {
        str(k): SimpleNamespace(
            entry=SimpleNamespace(path=sample.path),
            marks=SimpleNamespace(array=lambda names, own=points: own, box=landmark_box(points)),
        )
        for k, (sample, points) in enumerate(zip(files, POINTS, strict=True))
    }
    project: Any = SimpleNamespace(record=records.__getitem__, template=SimpleNamespace(names=("a", "b", "c")))
    service = Redrawings(project)
    service._redrawer = lambda: redrawer  # type: ignore[method-assign]
    for k, points in enumerate(POINTS):
        style = service.draw(str(k), points, str((k + 1) % 4))
        np.testing.assert_allclose(read_marks(style[None]).points.numpy()[0], SHAPE, atol=0.02)
        np.testing.assert_allclose(drawn[-1][0], SHAPE, atol=1e-3)
