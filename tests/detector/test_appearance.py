"""What training images look like: images of the same kind pass, images of another kind are noticed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from brule.data.synthetic import synthetic_faces, synthetic_scenes
from brule.detector.appearance import MIN_CHECKED, MIN_IMAGES, Appearance, FolderCheck, descriptor
from brule.errors import CheckpointError

DIRECTIONS, LAYOUT = slice(11, 15), slice(15, 24)


def faces(count: int, *, start: int = 0) -> list[Image.Image]:
    return [Image.fromarray(image) for image in synthetic_faces(count, size=64, start=start).images]


def xrays(count: int) -> list[Image.Image]:
    """Two dark fields beside a bright column, crossed by ribs, under noise: grey, as an X-ray of a chest."""
    down, across = np.mgrid[0:128, 0:128] / 128
    drawn = []
    for seed in range(count):
        generator = np.random.default_rng(seed)
        middle = 0.5 + generator.normal(0, 0.02)
        lungs = sum(np.exp(-(((across - middle - side) / 0.13) ** 2 + ((down - 0.5) / 0.28) ** 2)) for side in (-0.2, 0.2))
        spine = np.exp(-(((across - middle) / 0.05) ** 2))
        ribs = np.sin(2 * np.pi * (9 * down + 3 * np.abs(across - middle))) * (np.abs(across - middle) < 0.35)
        grain = gaussian_filter(generator.normal(0, 1, across.shape), 1)
        picture = 0.55 - 0.18 * lungs + 0.5 * spine + 0.06 * ribs + 0.06 * grain
        drawn.append(Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8)))
    return drawn


def specimens(count: int, *, start: int = 0, paper: tuple[int, int, int] = (235, 232, 225)) -> list[Image.Image]:
    """Outlines on plain paper, all under the same lamp: hardly anything differs from picture to picture."""
    turn, drawn = np.linspace(0, 2 * np.pi, 60), []
    for seed in range(start, start + count):
        generator = np.random.default_rng(seed)
        across, down = 80 + (60 + generator.normal(0, 3)) * np.cos(turn), 60 + (28 + generator.normal(0, 2)) * np.sin(turn)
        corners = list(zip(across.tolist(), down.tolist(), strict=True))
        picture = Image.new("RGB", (160, 120), paper)
        pen = ImageDraw.Draw(picture)
        pen.polygon(corners, fill=(200, 197, 191), outline=(60, 60, 60))
        for k in range(6, 46, 8):
            pen.line([corners[30], corners[k]], fill=(80, 80, 80), width=2)
        grain = generator.normal(0, 2, (120, 160, 3))
        drawn.append(Image.fromarray(np.uint8(np.clip(np.asarray(picture) + grain, 0, 255))))
    return drawn


def frames(clips: int, each: int, *, start: int = 0) -> list[Image.Image]:
    """Frames of videos by a camera that stands still: a dark animal moves a little before a background of each video's own."""
    down, across = np.mgrid[0:96, 0:128]
    drawn = []
    for clip in range(start, start + clips):
        generator = np.random.default_rng(1000 + clip)
        behind = generator.uniform(0.35, 0.65) + 0.5 * gaussian_filter(generator.normal(0, 1, (96, 128)), 6)
        tint, place = generator.normal(0, 0.03, 3), generator.uniform((40, 35), (88, 60))
        for _ in range(each):
            place = place + generator.normal(0, 0.6, 2)
            animal = np.exp(-((((across - place[0]) / 14) ** 2) + ((down - place[1]) / 9) ** 2))
            picture = behind - 0.35 * animal + generator.normal(0, 0.01, behind.shape)
            drawn.append(Image.fromarray(np.uint8(255 * np.clip(picture[..., None] + tint, 0, 1))))
    return drawn


def lit(images: list[Image.Image], gain: float = 1.0, gamma: float = 1.0) -> list[Image.Image]:
    """The same under other light."""
    return [Image.fromarray(np.uint8(np.clip(255 * gain * (np.asarray(one) / 255) ** gamma, 0, 255))) for one in images]


@pytest.fixture(scope="module")
def of_faces() -> Appearance:
    found = Appearance.of([np.asarray(image) for image in faces(100)])
    assert found is not None
    return found


def outside(appearance: Appearance, images: list[Image.Image]) -> bool:
    check = FolderCheck(appearance)
    check.add(images)
    return check.outside


def test_other_drawn_faces_are_familiar(of_faces: Appearance) -> None:
    assert not outside(of_faces, faces(40, start=5000))
    for start in range(6000, 6100, MIN_CHECKED):  # small folders, too
        assert not outside(of_faces, faces(MIN_CHECKED, start=start))


def test_whole_pictures_with_such_faces_are_familiar(of_faces: Appearance) -> None:
    assert not outside(of_faces, [Image.fromarray(image) for image in synthetic_scenes(20, size=128).images])


def test_xray_like_pictures_are_not(of_faces: Appearance) -> None:
    assert outside(of_faces, xrays(20)) and outside(of_faces, xrays(MIN_CHECKED))


def test_noise_is_not(of_faces: Appearance) -> None:
    generator = np.random.default_rng(0)
    assert outside(of_faces, [Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(10)])


def test_about_one_in_twenty_training_images_is_beyond_the_threshold(of_faces: Appearance) -> None:
    fresh = np.stack([descriptor(image) for image in faces(200, start=9000)])
    assert 0.0 <= of_faces.unfamiliar(fresh).mean() < 0.15


def test_a_few_images_are_no_folder(of_faces: Appearance) -> None:
    assert not outside(of_faces, xrays(MIN_CHECKED - 1))


def test_half_of_a_folder_is_not_most_of_it(of_faces: Appearance) -> None:
    check = FolderCheck(of_faces, [True, False] * MIN_CHECKED)
    assert not check.outside
    check.found.append(True)
    assert check.outside


def test_too_few_training_images_say_nothing() -> None:
    assert Appearance.of([np.asarray(image) for image in faces(MIN_IMAGES - 1)]) is None
    assert not FolderCheck(None, []).outside


def test_unreadable_training_images_are_left_to_others(tmp_path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    found = Appearance.of([tmp_path / "bad.png", tmp_path / "gone.png", *(np.asarray(image) for image in faces(MIN_IMAGES))])
    assert found is not None and found.count == MIN_IMAGES


def test_light_changes_brightness_contrast_and_colour_alone() -> None:
    picture = np.asarray(faces(1)[0]).astype(np.float64)
    light, dark = (descriptor(Image.fromarray(np.uint8(picture * factor))) for factor in (1.0, 0.5))
    assert dark[0] == pytest.approx(light[0] / 2, abs=0.01)
    assert np.abs(dark[LAYOUT] - light[LAYOUT]).max() < 0.2 and np.abs(dark[DIRECTIONS] - light[DIRECTIONS]).max() < 0.2


def test_a_transposed_picture_has_its_directions_and_its_layout_transposed() -> None:
    picture = faces(1, start=3)[0]
    plain, turned = descriptor(picture), descriptor(picture.transpose(Image.Transpose.TRANSPOSE))
    np.testing.assert_allclose(turned[LAYOUT].reshape(3, 3), plain[LAYOUT].reshape(3, 3).T, atol=1e-6)
    np.testing.assert_allclose(turned[DIRECTIONS], plain[DIRECTIONS][[2, 1, 0, 3]], atol=1e-6)


def test_stripes_have_one_direction() -> None:
    across = np.broadcast_to(np.uint8(127 + 100 * np.sin(np.arange(64) * 2 * np.pi / 8)), (64, 64))
    shares = np.exp(descriptor(Image.fromarray(across))[DIRECTIONS])
    assert shares[0] > 0.99 and shares[1:].max() < 0.02


def test_it_is_kept(of_faces: Appearance, tmp_path) -> None:
    of_faces.write(tmp_path)
    again = Appearance.read(tmp_path)
    some = np.stack([descriptor(image) for image in [*faces(20, start=700), *xrays(5)]])
    assert again is not None and again.count == 100
    np.testing.assert_array_equal(again.unfamiliar(some), of_faces.unfamiliar(some))
    assert Appearance.read(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("text", ["", "{}", '{"format": "brule-appearance-1", "mean": [1], "precision": [[1]]}', "[1"])
def test_a_damaged_file_is_named(tmp_path, text: str) -> None:
    (tmp_path / "appearance.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"appearance\.json: damaged"):
        Appearance.read(tmp_path)


def test_the_warning_counts(of_faces: Appearance, caplog: pytest.LogCaptureFixture) -> None:
    check = FolderCheck(of_faces)
    check.add(xrays(6))
    with caplog.at_level(logging.WARNING, "brule"):
        check.warn()
    assert "6 of 6 images look unlike the 100 training images" in caplog.text


def test_an_image_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    paths = []
    for k, image in enumerate(faces(MIN_IMAGES + 5)):
        paths.append(tmp_path / f"{k}.png")
        image.save(paths[-1])
    found = Appearance.of([*paths, *map(str, paths[:7])])
    assert found is not None and found.count == len(paths)
    assert Appearance.of([*paths[: MIN_IMAGES - 1], *paths[:5]]) is None


def of(images: list[Image.Image]) -> Appearance:
    return Appearance.fit(np.stack([descriptor(image) for image in images]))


def blurred(images: list[Image.Image]) -> list[Image.Image]:
    return [Image.fromarray(gaussian_filter(np.asarray(image), (1, 1, 0))) for image in images]


@pytest.mark.parametrize("count", [MIN_IMAGES, 40])
@pytest.mark.parametrize(
    "others",
    [
        lambda: specimens(30, start=500),
        lambda: lit(specimens(30, start=500), 0.8),
        lambda: lit(specimens(30, start=500), gamma=1.4),
        lambda: specimens(30, start=500, paper=(225, 215, 190)),
        lambda: blurred(specimens(30, start=500)),
    ],
    ids=["the same day", "less light", "another camera", "other paper", "less sharp"],
)
def test_images_of_one_afternoon_do_not_make_those_of_another_day_unusual(count: int, others) -> None:
    assert not outside(of(specimens(count)), others())


def test_frames_of_a_few_videos_do_not_make_another_video_unusual() -> None:
    for appearance in (of(frames(2, 50)), of(frames(3, 20)), of(frames(20, 5))):
        assert not outside(appearance, frames(3, 10, start=50))


def test_other_kinds_are_told_from_images_that_hardly_differ() -> None:
    kinds = {"faces": faces(30), "specimens": specimens(30), "frames": frames(3, 10), "xrays": xrays(30)}
    for name, images in kinds.items():
        appearance = of(images)
        assert {other for other, own in kinds.items() if outside(appearance, own)} == kinds.keys() - {name}


def test_a_detector_of_an_earlier_version_gives_no_false_alarm(tmp_path: Path) -> None:
    """Its file has the variances of the training images alone, however small."""
    known = np.stack([descriptor(image) for image in specimens(40)])
    deviation = known.std(axis=0)
    Appearance(known.mean(axis=0), np.diag(1 / np.maximum(deviation, 0.02) ** 2), 1.3, 40).write(tmp_path)
    found = Appearance.read(tmp_path)
    assert found is not None and not outside(found, lit(specimens(30, start=500), 0.8))
    assert outside(found, xrays(30)) and outside(found, faces(30))
