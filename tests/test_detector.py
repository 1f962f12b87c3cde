"""``LandmarkDetector``: fit, predict, save and load; pixels of each image; and no label ever seen."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import brule.detector.inputs as detector_inputs
import brule.tracking.log as run_logging
import brule.training.loop as loop_module
from brule import LandmarkDetector
from brule.data import Sample, crop_box, crop_image, landmark_box, read_folder, read_samples, whole_image_crop, write_pts
from brule.data.synthetic import synthetic_faces, write_synthetic_faces
from brule.errors import BruleError, CheckpointError, ConfigError, DataError
from brule.tracking.callbacks import Callback, Report
from brule.tracking.run_files import CHECKPOINT, DESCRIPTION, WEIGHTS

FACES = synthetic_faces(14, size=48)
BOXES = [landmark_box(points) for points in FACES.points]
TINY = {
    "crop__image_size": 32,
    "crop__context": 1.25,
    "encoder__width": 8,
    "encoder__stacks": 1,
    "encoder__depth": 2,
    "encoder__stem_stride": 2,
    "batch_size": 4,
    "iterations": 3,
    "time_limit": 0,
    "preview_every": 0,
    "quiet": True,
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_logging, "_tensorboard", lambda directory: None)  # importing it takes seconds


def untrained(**changes: Any) -> LandmarkDetector:
    return LandmarkDetector(**(TINY | changes))


def fitted(**keywords: Any) -> LandmarkDetector:
    return untrained().fit(FACES.images, shapes=FACES.points[:10], boxes=BOXES, **keywords)


@pytest.fixture(scope="module")
def trained() -> LandmarkDetector:
    return fitted()


def test_fit_returns_itself_and_leaves_what_it_learnt() -> None:
    detector = untrained()
    assert not [name for name in vars(detector) if name.endswith("_")]  # nothing happens before
    assert detector.fit(FACES.images, shapes=FACES.points[:10]) is detector
    assert detector.barycenter_.shape == (68, 2)
    assert detector.shapes_.shape == (10, 68, 2)
    assert detector.progress_.iteration == 3
    assert detector.finished_
    assert list(detector.bad_files_) == []
    assert detector.config_.encoder.width == 8


def test_settings_are_reached_with_underscores_and_with_dots() -> None:
    faces = {"shapes": FACES.points[:3], "images": FACES.images}
    by_dots = LandmarkDetector(**(TINY | {"encoder.width": 16})).fit(**faces)
    assert by_dots.config_.encoder.width == 16


def test_an_untrained_detector_says_so() -> None:
    with pytest.raises(BruleError, match="not trained yet"):
        untrained().predict(FACES.images[:1])
    with pytest.raises(BruleError, match="not trained yet"):
        untrained().save("nowhere")


def test_arrays_pictures_and_files_are_the_same(trained: LandmarkDetector, tmp_path: Path) -> None:
    paths = []
    for k, image in enumerate(FACES.images[:5]):
        paths.append(tmp_path / f"{k}.png")
        Image.fromarray(image).save(paths[-1])
    expected = trained.predict(FACES.images[:5])
    assert expected.points.shape == (5, 68, 2)
    assert expected.spread.shape == (5, 68)
    for images in (list(FACES.images[:5]), [Image.fromarray(one) for one in FACES.images[:5]], paths, tmp_path, str(tmp_path)):
        found = trained.predict(images)
        assert torch.allclose(found.points, expected.points, atol=1e-3)
        assert torch.allclose(found.spread, expected.spread, atol=1e-3)


def test_the_order_of_images_and_the_size_of_batches_do_not_matter(trained: LandmarkDetector) -> None:
    expected = trained.predict(FACES.images, boxes=BOXES).points
    backwards = trained.predict(FACES.images[::-1], boxes=BOXES[::-1], batch_size=3).points
    assert torch.allclose(backwards.flip(0), expected, atol=1e-3)


def test_points_are_in_pixels_of_each_image() -> None:
    """A barely trained detector predicts the barycenter: in the crop of each image, whatever its shape and its box."""
    detector = untrained(iterations=1, optimizer__learning_rate=1e-9).fit(FACES.images, shapes=FACES.points[:10])
    wide, tall = np.zeros((40, 100, 3), np.uint8), np.zeros((90, 30, 3), np.uint8)
    box = (10.0, 20.0, 30.0, 60.0)
    found = detector.predict([wide, tall, tall], boxes=[None, None, box])
    unit = detector.barycenter_
    # Without a box: the square of the longer side about the centre of the image.
    assert torch.allclose(found.points[0], unit * 100 + torch.tensor([-0.5, 20 - 50 - 0.5]), atol=0.2)
    assert torch.allclose(found.points[1], unit * 90 + torch.tensor([15 - 45 - 0.5, -0.5]), atol=0.2)
    # With one: the square of 1.3 times its longer side about its centre.
    assert torch.allclose(found.points[2], unit * 52 + torch.tensor([20.0 - 26, 40.0 - 26]), atol=0.2)
    assert torch.allclose(found.spread[0] / 100, found.spread[1] / 90, rtol=1e-2)


def test_moving_the_box_with_the_image_moves_the_landmarks(trained: LandmarkDetector) -> None:
    """A border of 20 and 7 pixels around the picture: the same landmarks, as far along."""
    image, box = FACES.images[0], BOXES[0]
    padded = np.pad(image, ((7, 0), (20, 0), (0, 0)), mode="edge")
    moved = (box[0] + 20, box[1] + 7, box[2] + 20, box[3] + 7)
    there, back = trained.predict([padded], boxes=[moved]).points, trained.predict([image], boxes=[box]).points
    # A crop that reaches outside the small picture repeats its edge there, as the padding does.
    assert torch.allclose(there - torch.tensor([20.0, 7.0]), back, atol=0.5)


@pytest.mark.parametrize("boxes", ["none", "given"])
def test_training_and_prediction_see_the_same_crop(boxes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a context around the crop and without boxes too: the centre of what is stored is what is predicted on."""
    stored: list[np.ndarray] = []
    genuine = loop_module.train

    def spy(images: Any, *arguments: Any, **keywords: Any) -> Any:
        stored.append(np.asarray(images))
        return genuine(images, *arguments, **keywords)

    monkeypatch.setattr(loop_module, "train", spy)
    given = BOXES if boxes == "given" else None
    untrained().fit(FACES.images, shapes=FACES.points[:10], boxes=given)
    assert stored[0].shape[1:] == (40, 40, 3)
    for image, wide, box in zip(FACES.images, stored[0], BOXES, strict=True):
        place = crop_box(box) if given else whole_image_crop(48, 48)
        seen = crop_image(Image.fromarray(image), place, 32)
        assert np.abs(wide[4:-4, 4:-4].astype(float) - seen).mean() < 2  # the filter at the border may differ


def test_what_is_saved_predicts_the_same(trained: LandmarkDetector, tmp_path: Path) -> None:
    trained.save(tmp_path / "d")
    loaded = LandmarkDetector.load(tmp_path / "d", device="cpu")
    before, after = trained.predict(FACES.images[:4]), loaded.predict(FACES.images[:4])
    assert torch.allclose(after.points, before.points, atol=1e-4)
    assert torch.allclose(after.spread, before.spread, atol=1e-4)
    assert loaded.config_ == trained.config_
    assert loaded.progress_ == trained.progress_
    assert torch.equal(loaded.barycenter_, trained.barycenter_)
    assert torch.equal(loaded.shapes_, trained.shapes_)


def test_the_order_of_the_outputs_is_saved(trained: LandmarkDetector, tmp_path: Path) -> None:
    trained.save(tmp_path / "d")
    loaded = LandmarkDetector.load(tmp_path / "d", device="cpu")
    loaded.model_.set_order(torch.arange(68).flip(0))
    loaded.save(tmp_path / "e")
    again = LandmarkDetector.load(tmp_path / "e", device="cpu")
    assert torch.allclose(again.predict(FACES.images[:2]).points, loaded.predict(FACES.images[:2]).points)


def test_a_run_leaves_a_detector_that_goes_on(tmp_path: Path) -> None:
    fitted(directory=tmp_path / "run")
    assert {CHECKPOINT, WEIGHTS, DESCRIPTION, "config.json", "metrics.jsonl"} <= {p.name for p in (tmp_path / "run").iterdir()}
    longer = untrained(iterations=5).fit(FACES.images, boxes=BOXES, directory=tmp_path / "run", resume=True)
    assert longer.progress_.iteration == 5
    loaded = LandmarkDetector.load(tmp_path / "run", device="cpu")
    assert loaded.progress_.iteration == loaded.config_.iterations == 5
    assert torch.allclose(loaded.predict(FACES.images[:2]).points, longer.predict(FACES.images[:2]).points, atol=1e-4)


def test_a_directory_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    fitted(directory=tmp_path)
    before = (tmp_path / WEIGHTS).read_bytes()
    with pytest.raises(CheckpointError, match="holds a run already"):
        fitted(directory=tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == before


def test_nor_is_a_detector_without_a_checkpoint_and_the_message_says_so(tmp_path: Path) -> None:
    """As a run leaves it that is killed between the two at its first checkpoint, or somebody who saved a detector there."""
    fitted().save(tmp_path)
    before = (tmp_path / WEIGHTS).read_bytes()
    with pytest.raises(CheckpointError, match="without a checkpoint"):
        fitted(directory=tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == before


def test_a_run_that_never_began_does_not_lock_its_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="halved"):
        untrained(crop__image_size=30).fit(FACES.images, shapes=FACES.points[:10], directory=tmp_path / "run")
    assert fitted(directory=tmp_path / "run").finished_


@pytest.mark.parametrize("directory", [None, "empty"])
def test_there_must_be_something_to_resume(tmp_path: Path, directory: str | None) -> None:
    with pytest.raises(CheckpointError):
        untrained().fit(FACES.images, directory=tmp_path / directory if directory else None, resume=True)


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_a_damaged_detector_is_reported_as_such(trained: LandmarkDetector, tmp_path: Path, name: str) -> None:
    trained.save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:50])
    with pytest.raises(CheckpointError, match=f"{name}: damaged"):
        LandmarkDetector.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        LandmarkDetector.load(tmp_path)


def test_weights_of_another_architecture_are_refused(trained: LandmarkDetector, tmp_path: Path) -> None:
    trained.save(tmp_path)
    text = (tmp_path / DESCRIPTION).read_text()
    (tmp_path / DESCRIPTION).write_text(text.replace('"width": 8', '"width": 16'))
    with pytest.raises(CheckpointError, match="networks are not those"):
        LandmarkDetector.load(tmp_path)


def test_labels_of_the_images_are_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Landmarks with the same box but otherwise nonsense give the same detector bit for bit; and training gets bytes,
    a barycenter and shapes, none of which holds the landmarks of the images."""
    write_synthetic_faces(tmp_path / "images", 8, size=48, start=50)
    genuine, weights = loop_module.train, []

    def spy(images: Any, barycenter: Any, config: Any, **keywords: Any) -> Any:
        assert isinstance(images, np.ndarray)
        assert images.dtype == np.uint8
        assert torch.equal(keywords["shapes"], reference.shapes_)
        return genuine(images, barycenter, config, **keywords)

    read = detector_inputs.build_cache

    def cache_spy(samples: Any, *arguments: Any, **keywords: Any) -> Any:
        assert all(sample.points is None and sample.box is not None for sample in samples)
        return read(samples, *arguments, **keywords)

    reference = fitted()
    monkeypatch.setattr(detector_inputs, "build_cache", cache_spy)
    monkeypatch.setattr(loop_module, "train", spy)
    for attempt in range(2):
        if attempt:
            for path in sorted((tmp_path / "images").glob("*.pts")):
                box = landmark_box(synthetic_faces(1, size=48, start=int(path.stem[-6:])).points[0])
                corners = np.array([[box[0], box[1]], [box[2], box[3]]])
                write_pts(path, np.concatenate([np.repeat(corners, 33, 0), corners])[::-1])
        detector = untrained().fit(tmp_path / "images", shapes=FACES.points[:10])
        weights.append(detector.model_.state_dict())
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_bad_files_stop_or_are_listed(trained: LandmarkDetector, tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path, 6, size=48, points=False)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        untrained().fit(tmp_path, shapes=FACES.points[:10])
    detector = untrained().fit(tmp_path, shapes=FACES.points[:10], skip_bad=True)
    assert [bad.path.name for bad in detector.bad_files_] == ["broken.png"]
    with pytest.raises(DataError, match=r"broken\.png"):
        trained.predict(tmp_path)
    assert len(trained.predict(tmp_path, skip_bad=True)) == 6


@pytest.mark.parametrize(
    ("keywords", "error", "said"),
    [
        ({"shapes": None}, DataError, "shapes"),
        ({"shapes": FACES.points[:3], "labelled": "x"}, DataError, "x: no such file"),
        ({"shapes": FACES.points[:3], "boxes": BOXES[:2]}, DataError, "boxes"),
        ({"shapes": [FACES.points[0], FACES.points[1][:60]]}, ConfigError, "no term keeps the landmarks"),
    ],
)
def test_bad_arguments_are_refused(keywords: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        untrained().fit(FACES.images, **keywords)


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.width"):
        untrained(encoder__widht=3).fit(FACES.images, shapes=FACES.points[:3])


def forms_of(image: np.ndarray, path: Path) -> dict[str, Any]:
    """One image in every form that predict takes; ``path`` is where it lies as a PNG file."""
    tensor, content = torch.from_numpy(image), path.read_bytes()
    return {
        "path": path,
        "text": str(path),
        "glob": str(path.parent / "*.png"),
        "folder": path.parent,
        "picture": Image.fromarray(image),
        "array": image,
        "batch": image[None],
        "tensor HWC": tensor,
        "tensor CHW": tensor.permute(2, 0, 1),
        "tensor BCHW": tensor.permute(2, 0, 1)[None],
        "tensor BHWC": tensor[None],
        "floats": tensor.permute(2, 0, 1) / 255,
        "bytes": content,
        "memoryview": memoryview(content),
        "file": io.BytesIO(content),
        "generator": iter([image]),
        "list of one": [path],
    }


def test_one_image_is_the_same_in_every_form(trained: LandmarkDetector, tmp_path: Path) -> None:
    Image.fromarray(FACES.images[0]).save(tmp_path / "a.png")
    expected = trained.predict([FACES.images[0]]).points
    for form, image in forms_of(FACES.images[0], tmp_path / "a.png").items():
        found = trained.predict(image)
        assert len(found) == 1 and torch.allclose(found.points, expected, atol=1e-3), form


def test_a_list_may_hold_different_kinds(trained: LandmarkDetector, tmp_path: Path) -> None:
    Image.fromarray(FACES.images[0]).save(tmp_path / "a.png")
    mixed = [tmp_path / "a.png", FACES.images[1], torch.from_numpy(FACES.images[2]), (tmp_path / "a.png").read_bytes()]
    found = trained.predict(mixed)
    assert found.image.tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(found.points, trained.predict(FACES.images[[0, 1, 2, 0]]).points, atol=1e-3, rtol=0)


@pytest.mark.parametrize("nothing", [[], (), np.empty((0, 48, 48, 3), np.uint8), iter(())])
def test_no_images_give_an_empty_result(trained: LandmarkDetector, nothing: Any) -> None:
    found = trained.predict(nothing)
    assert len(found) == 0 and found.points.shape == (0, 68, 2) and list(found) == []


def test_boxes_go_beside_paths_too(trained: LandmarkDetector, tmp_path: Path) -> None:
    paths = []
    for k in range(3):
        paths.append(tmp_path / f"{k}.png")
        Image.fromarray(FACES.images[k]).save(paths[-1])
    boxes: list[Any] = [BOXES[0], None, BOXES[2]]
    expected = trained.predict(FACES.images[:3], boxes=boxes).points
    torch.testing.assert_close(trained.predict(paths, boxes=boxes).points, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(trained.predict(paths[0], boxes=BOXES[0]).points, expected[:1], atol=1e-3, rtol=0)
    torch.testing.assert_close(trained.predict([paths[0]] * 2, boxes=[BOXES[0]] * 2).image, torch.tensor([0, 1]))
    for form in (np.array([BOXES[0]]), torch.tensor([BOXES[0]])):
        torch.testing.assert_close(trained.predict(paths[:1], boxes=form).points, expected[:1], atol=1e-3, rtol=0)


@pytest.mark.parametrize("boxes", ["none", 5, [(1, 2, 3)], [(1, 2, 1, 4)]])
def test_what_are_no_boxes_is_refused(trained: LandmarkDetector, boxes: Any) -> None:
    with pytest.raises(BruleError, match="box"):
        trained.predict(FACES.images[:1], boxes=boxes)


def test_training_takes_tensors_and_boxes_beside_files(tmp_path: Path) -> None:
    paths = []
    for k, image in enumerate(FACES.images):
        paths.append(tmp_path / f"{k:02d}.png")
        Image.fromarray(image).save(paths[-1])
    channels_first = torch.from_numpy(FACES.images).permute(0, 3, 1, 2)
    weights = [
        untrained().fit(images, shapes=FACES.points[:10], boxes=BOXES).model_.state_dict()
        for images in (FACES.images, channels_first, paths)
    ]
    for other in weights[1:]:
        assert all(torch.allclose(tensor, other[name], atol=1e-5) for name, tensor in weights[0].items())


def test_a_callback_ends_training_as_its_schedule_does() -> None:
    class Enough(Callback):
        def on_iteration(self, report: Report) -> bool:
            return report.iteration == 2

    detector = fitted(callbacks=[Enough()])
    assert detector.progress_.iteration == 2 and detector.finished_


def test_parameters_are_read_set_and_copied() -> None:
    detector = untrained()
    assert detector.get_params()["encoder__width"] == 8 and detector.get_params()["preset"] == "cpu"
    assert detector.set_params(**{"encoder.width": 16, "quiet": False}) is detector
    copied = detector.clone()
    assert copied.get_params() == detector.get_params() and copied.get_params()["encoder__width"] == 16
    with pytest.raises(ConfigError, match=r"encoder\.widht.*encoder\.width"):
        detector.set_params(quiet=True, encoder__widht=3)
    assert detector.quiet is False  # nothing was changed
    assert repr(LandmarkDetector(iterations=2)) == "LandmarkDetector(preset='cpu', iterations=2)"


def test_the_score_is_minus_the_error(trained: LandmarkDetector) -> None:
    """Truth one pixel to the right of every answer, divided by ten pixels: 10 %."""
    answers = trained.predict(FACES.images[:3]).points.numpy()
    assert trained.score(FACES.images[:3], answers) == pytest.approx(0, abs=1e-4)
    for k, shape in enumerate(answers):
        eyes = np.linalg.norm(shape[36] - shape[45])
        moved = shape + np.array([eyes / 10, 0])
        assert trained.score(FACES.images[k], moved[None]) == pytest.approx(-10, rel=1e-3)
    with pytest.raises(DataError, match=r"shape \(3, 68, 2\)"):
        trained.score(FACES.images[:3], answers[:2])


def test_the_score_takes_images_in_every_form(trained: LandmarkDetector, tmp_path: Path) -> None:
    paths = write_synthetic_faces(tmp_path, 3, size=48)
    answers = trained.predict(tmp_path).points.numpy()
    forms = [tmp_path, str(tmp_path / "*.png"), paths, iter(paths), read_samples(tmp_path), [Image.open(one) for one in paths]]
    for images in forms[:-1]:
        assert trained.score(images, answers) == pytest.approx(0, abs=1e-4)
    in_memory = trained.predict(forms[-1]).points.numpy()  # without the boxes beside the files
    assert trained.score((image for image in forms[-1]), in_memory) == pytest.approx(0, abs=1e-4)


def test_images_come_back_with_their_samples(trained: LandmarkDetector, tmp_path: Path) -> None:
    paths = write_synthetic_faces(tmp_path, 5, size=48)
    batches = list(trained.iter_predict(tmp_path, batch_size=2))
    assert [len(samples) for samples, _ in batches] == [2, 2, 1]
    assert [sample.path for samples, _ in batches for sample in samples] == paths
    assert all(len(samples) == len(landmarks) for samples, landmarks in batches)


def test_generators_are_drawn_from_as_batches_are_read(trained: LandmarkDetector) -> None:
    drawn: list[int] = []

    def stream() -> Iterator[np.ndarray]:
        for index, image in enumerate(FACES.images[:5]):
            drawn.append(index)
            yield image

    batches = trained.iter_predict(stream(), boxes=iter(BOXES[:5]), batch_size=2)
    first = next(batches)
    assert drawn == [0, 1]
    found = torch.cat([landmarks.points for _, landmarks in [first, *batches]])
    torch.testing.assert_close(found, trained.predict(FACES.images[:5], boxes=BOXES[:5], batch_size=2).points)


def test_generators_of_paths_and_of_samples_are_what_their_lists_are(trained: LandmarkDetector, tmp_path: Path) -> None:
    paths = write_synthetic_faces(tmp_path, 5, size=48)
    expected = trained.predict(tmp_path).points
    assert torch.equal(trained.predict(sample for sample in read_folder(tmp_path)).points, expected)
    assert torch.equal(trained.predict(iter(paths)).points, expected)


def test_generators_that_break_their_word_are_refused(trained: LandmarkDetector) -> None:
    for boxes in (BOXES[:2], BOXES[:5]):
        with pytest.raises(ConfigError, match="boxes: expected one for each image"):
            trained.predict(iter(FACES.images[:3]), boxes=boxes)
    with pytest.raises(DataError, match="samples from a generator"):
        trained.predict(iter([Sample(Path("a.png")), FACES.images[0]]), skip_bad=True)
    with pytest.raises(DataError, match="make it a list"):
        untrained().fit(iter(FACES.images), shapes=FACES.points[:3])


def test_memory_does_not_grow_with_the_images_predicted(trained: LandmarkDetector) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in trained.iter_predict((FACES.images[i % 4].copy() for i in range(count)), batch_size=4):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(4)
    assert peak(64) - peak(16) < 10 * FACES.images[0].nbytes < 48 * FACES.images[0].nbytes


def test_a_run_keeps_its_settings_when_it_is_taken_up(tmp_path: Path) -> None:
    fitted(directory=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"optimizer\.learning_rate=0\.001, which can't become 0\.5"):
        untrained(optimizer__learning_rate=0.5).fit(FACES.images, boxes=BOXES, directory=tmp_path / "run", resume=True)
    longer = untrained(iterations="5").fit(FACES.images, boxes=BOXES, directory=tmp_path / "run", resume=True)
    assert longer.progress_.iteration == 5
    assert '"iterations": 5' in (tmp_path / "run" / "config.json").read_text()


@pytest.mark.parametrize("cut", ['"progress"', '"config"', '"finished"'])
def test_a_description_that_lacks_something_is_refused(trained: LandmarkDetector, tmp_path: Path, cut: str) -> None:
    trained.save(tmp_path)
    path = tmp_path / DESCRIPTION
    path.write_text(path.read_text().replace(cut, '"other"'))
    with pytest.raises(CheckpointError, match=r"detector\.json: can't be understood"):
        LandmarkDetector.load(tmp_path)


def test_boxes_have_to_fit_the_images(trained: LandmarkDetector, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one for each of 3 images"):
        trained.predict(FACES.images[:3], boxes=BOXES[:2])
    Image.fromarray(FACES.images[0]).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="holds many images"):
        trained.predict(tmp_path, boxes=BOXES[:1])


@pytest.mark.parametrize("images", [5, None, {"a": 1}, np.zeros(3), np.zeros((4, 5, 6)), torch.zeros(2, 5, 7)])
def test_what_are_no_images_is_explained(trained: LandmarkDetector, images: Any) -> None:
    with pytest.raises(DataError, match="images: expected a path, a Pillow image"):
        trained.predict(images)


@pytest.mark.parametrize(
    ("image", "said"), [(b"", "got none"), (b"no image", "not an image"), (io.StringIO("x"), "binary mode")]
)
def test_bytes_that_are_no_image_are_explained(trained: LandmarkDetector, image: Any, said: str) -> None:
    with pytest.raises(DataError, match=f"image 0: .*{said}"):
        trained.predict(image)
    assert len(trained.predict([image, FACES.images[0]], skip_bad=True)) == 1


def test_no_shapes_is_explained() -> None:
    with pytest.raises(DataError, match="about ten annotated shapes"):
        untrained().fit(FACES.images, shapes=[])


def test_annotated_images_teach_alone_or_beside_others(tmp_path: Path) -> None:
    """In memory and from files; the shapes are theirs unless others are given."""
    write_synthetic_faces(tmp_path / "annotated", 9, size=48)
    for images in (None, FACES.images):
        for labelled in ((FACES.images[:9], FACES.points[:9]), tmp_path / "annotated"):
            detector = untrained().fit(images, labelled=labelled)
            assert detector.shapes_ is not None
            assert len(detector.shapes_) == 9
            assert detector.predict(FACES.images[:2]).points.shape == (2, 68, 2)


def test_annotated_images_reach_training_with_their_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A landmark's place in the image is its place in the crop: the colour there is the same."""
    genuine, learnt = loop_module.train, []

    def spy(*given: Any, **keywords: Any) -> Any:
        learnt.append(keywords["labelled"])
        return genuine(*given, **keywords)

    monkeypatch.setattr(loop_module, "train", spy)
    detector = untrained().fit(labelled=(FACES.images[:9], FACES.points[:9]))
    (given,) = learnt
    context = given.images.shape[1] / detector.config_.crop.image_size
    for index in range(3):
        where = (given.points[index].numpy() - 0.5) / context + 0.5  # in the unit square of the stored crop
        box = FACES.points[index].min(0), FACES.points[index].max(0)
        side = 1.3 * (box[1] - box[0]).max() * context
        centre = (box[0] + box[1]) / 2
        expected = (FACES.points[index] - centre) / side + 0.5
        np.testing.assert_allclose(where, expected, atol=1e-5)


def test_missing_landmarks_are_learnt_around() -> None:
    points = FACES.points[:9].copy()
    points[1, 5:20] = np.nan
    detector = untrained().fit(FACES.images, labelled=(FACES.images[:9], points))
    assert detector.shapes_ is not None
    assert detector.shapes_.shape == (9, 68, 2) and torch.isfinite(detector.shapes_).all()  # one of them completed
    assert np.isfinite(detector.predict(FACES.images[:2]).points.numpy()).all()


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({}, "got neither"),
        ({"labelled": (FACES.images[:3], FACES.points[:2])}, "3 images and 2 sets"),
        ({"labelled": FACES.images[:3]}, "images without points"),
        ({"labelled": (FACES.images[:2], [FACES.points[0], FACES.points[1][:60]])}, "those of image 1"),
        ({"labelled": (FACES.images[:2], np.full((2, 68, 2), np.nan))}, "no image has 3 landmarks"),
        ({"labelled": (FACES.images[:2], FACES.points[:2, :60]), "shapes": FACES.points[:5]}, "expected 68 landmarks"),
    ],
)
def test_bad_annotated_images_are_refused(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        untrained().fit(**keywords)


def test_a_loss_without_any_term_is_refused() -> None:
    with pytest.raises(ConfigError, match="the encoder has nothing to learn: every term"):
        untrained(labelled__distance=0, labelled__heatmap=0).fit(labelled=(FACES.images, FACES.points))


@pytest.mark.parametrize("kept", [False, True])
def test_who_watches_checkpoints_sees_the_detector_and_changes_nothing(
    kept: bool, trained: LandmarkDetector, tmp_path: Path
) -> None:
    watched_at: list[tuple[int, torch.Tensor]] = []

    def watch(detector: LandmarkDetector) -> None:
        watched_at.append((detector.progress_.iteration, detector.predict(FACES.images[:2]).points))

    watched = untrained(checkpoint_every=2)
    directory = tmp_path / "run" if kept else None
    watched.fit(FACES.images, shapes=FACES.points[:10], boxes=BOXES, directory=directory, on_checkpoint=watch)
    assert [iteration for iteration, _ in watched_at] == [2, 3]
    found = watched.predict(FACES.images[:2]).points
    assert torch.equal(watched_at[-1][1], found)
    assert not torch.equal(watched_at[0][1], found)
    assert torch.equal(trained.predict(FACES.images[:2]).points, found)
