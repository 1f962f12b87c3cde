"""``brule demo``: all of brule in five minutes, on drawn pictures with a face anywhere in them."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from brule.cli.evaluate import draw_predictions
from brule.cli.options import Device, Output, checked_device
from brule.cli.output import commands, note, say, say_commands, say_table, write_json
from brule.errors import ConfigError
from brule.files import parse_json, write_image, write_text

if TYPE_CHECKING:
    from PIL.Image import Image

    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord

SETTINGS = "demo.json"
SIZE = 256
N_ANNOTATED, N_HELD_OUT = 10, 200
# The pictures of a seed are numbered: three ranges that can't meet.
HELD_OUT_FROM, ANNOTATED_FROM = 1_000_000, 2_000_000
SIDE, ROTATION = (0.2, 0.8), 30.0  # of the longer side of the picture; degrees to either side
TARGET = 0.5  # of the floor
N_PICTURES = 24
MIN_IMAGES = 24  # images: a batch of the cpu preset
JPEG_QUALITY = 92
CHUNK = 100  # pictures that are drawn and held in memory at a time


@dataclass(frozen=True)
class _Settings:
    images: int
    seed: int


def demo(
    *,
    output: Annotated[Path, Output],
    iterations: int = 380,
    images: Annotated[int, Parameter(name="--images")] = 1000,
    minutes: float | None = None,
    seed: int = 0,
    device: Device = None,
    quiet: bool = False,
) -> int:
    """Try everything on drawn pictures, in five to seven minutes on two cores.

    Draws whole pictures with a face anywhere in them (a fifth to four fifths of the picture, turned by up to 30 degrees),
    annotates ten, and trains the `cpu` preset on those and on pictures *without labels and without boxes*: it learns to find
    the face and its 68 landmarks (keypoints). Then it is measured on 200 other whole pictures. It writes `OUTPUT/index.html`:
    figures, pictures, and the commands for images of your own. An earlier demo in the same folder continues where it stopped.

    Training ends after a number of iterations, so a busy or slow machine gets the same result, only later.

    **Examples**

        brule demo -o demo-run

        brule demo -o quick --iterations 200 --images 300

    Args:
        output: The folder to write to.
        iterations: Length of training.
        images: How many pictures without labels to train on.
        minutes: End training after this number of minutes, if it isn't done by then.
        seed: Random seed of the pictures and of training.
        quiet: No progress bar.
    """
    from brule.cli.train import TrainOptions, default_device, train_run
    from brule.data.training_data import TrainingData, labelled_images, training_images
    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord
    from brule.tracking.run_files import CHECKPOINT

    where = checked_device(device)
    if seed < 0 or iterations < 1 or images < MIN_IMAGES or (minutes is not None and minutes <= 0):
        raise ConfigError(
            f"demo: expected --seed ≥ 0, --iterations ≥ 1, --images ≥ {MIN_IMAGES} and --minutes > 0, got {seed}, "
            f"{iterations}, {images} and {minutes}"
        )
    _take_folder(output, _Settings(images, seed))
    _draw_pictures(output, images, seed)
    run, annotated = output / "run", str(output / "annotated")
    _draw_barycenter(output)
    training_data = TrainingData(
        training_images([str(output / "images")], exclude_validation=False, skip_bad=False),
        labelled_images([annotated], n_labelled=None, seed=seed, exclude_validation=False, skip_bad=False),
    )
    record = RunRecord.of(
        training_data, images=[str(output / "images")], labelled=[annotated], device=where or default_device()
    )
    resume = (run / CHECKPOINT).exists()
    note(
        f"training{' continues' if resume else ''}: {iterations} iterations, {N_ANNOTATED} annotated pictures, {images} without"
    )
    overrides = {"seed": seed, "iterations": iterations, "time_limit": minutes or 0.0}
    how = TrainOptions("cpu", overrides, resume=resume, device=where, quiet=quiet, hints=False)
    code = train_run(run, training_data, record, how=how)
    if code:
        note(f"the same command continues the demo: brule demo -o {output} --images {images} --seed {seed}")
        return code
    _measure(output, LandmarkDetector.load(run, device=where), record)
    return 0


def _take_folder(output: Path, settings: _Settings) -> None:
    """Begin in an empty folder, or continue in that of the same demo."""
    path = output / SETTINGS
    if path.is_file():
        try:
            earlier = _Settings(**parse_json(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ConfigError(f"{path}: damaged; remove {output}, or choose another folder") from None
        if earlier != settings:
            raise ConfigError(
                f"{output}: holds a demo with --images {earlier.images} --seed {earlier.seed}; continue with these, "
                "remove it, or choose another folder"
            )
        note(f"{output}: continuing an earlier demo")
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"-o {output}: expected a new or empty folder, or that of an earlier demo; choose another")
    write_json(path, asdict(settings))


def _draw_pictures(output: Path, images: int, seed: int) -> None:
    parts = {"images": (images, 0), "held-out": (N_HELD_OUT, HELD_OUT_FROM), "annotated": (N_ANNOTATED, ANNOTATED_FROM)}
    for name, (count, start) in parts.items():
        folder = output / name
        if folder.is_dir():
            continue
        note(f"drawing {count} pictures: {folder}")
        part = output / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for first in range(start, start + count, CHUNK):
            _write_scenes(part, min(CHUNK, start + count - first), first, seed=seed, points=name != "images")
        os.replace(part, folder)  # so that a folder that is there is complete


def _write_scenes(folder: Path, count: int, start: int, *, seed: int, points: bool) -> None:
    """Draw pictures into a folder, with their landmarks beside them or without."""
    from PIL import Image

    from brule.data import write_pts
    from brule.data.synthetic import synthetic_scenes

    scenes = synthetic_scenes(count, size=SIZE, side=SIDE, rotation=ROTATION, seed=seed, start=start)
    for k, image in enumerate(scenes.images):
        path = folder / f"scene_{start + k:07d}.jpg"
        write_image(path, Image.fromarray(image), quality=JPEG_QUALITY)
        if points:
            write_pts(path.with_suffix(".pts"), scenes.points[k][0])


def _draw_barycenter(output: Path) -> None:
    from brule.cli.barycenter import barycenter

    if not (output / "barycenter.json").exists():
        barycenter([str(output / "annotated")], output=output / "barycenter.json")


def _measure(output: Path, detector: LandmarkDetector, record: RunRecord) -> None:
    from brule.cli.evaluate import evaluate_detector, picture_reader
    from brule.data.training_data import annotated_samples
    from brule.detector.facts import report_dict, report_facts
    from brule.evaluation.reports import evaluation_page
    from brule.tracking.run_files import PAGE

    samples = annotated_samples([str(output / "held-out")])
    measured = evaluate_detector(detector, samples)
    scores, facts = measured.first.scores, report_facts(detector, record, measured)
    target = TARGET * scores.floor_nme
    reached = scores.nme <= target
    figures = report_dict(detector, record, measured) | {"target_nme": target, "reached": reached}
    write_json(output / "evaluation.json", figures)
    draw_predictions(detector, samples, measured, path=output / "predictions.png")
    verdict = (
        f"{measured.verdict()} The target is half of the constant prediction's error, {target:.2f} %: "
        f"{'reached' if reached else 'NOT reached'}."
    )
    steps = _next_steps(output)
    text = evaluation_page(
        measured,
        title="Landmarks from ten annotated pictures",
        eyebrow="brule demo",
        summary=f"Trained on {record.n_images} whole pictures without labels or boxes and {record.n_labelled} annotated ones. "
        f"Measured on {scores.n} others. {verdict}",
        crop=picture_reader(detector, samples, measured),
        facts=facts,
        pictures=_shown_pictures(output),
        commands=steps,
    )
    write_text(output / PAGE, text)
    say()
    say_table(measured, facts)
    say(f"\n{verdict}")
    say(f"\nlook at {output / PAGE} or {output / 'predictions.png'}")
    say_commands(steps)


def _next_steps(output: Path) -> list[tuple[str, str]]:
    run = str(output / "run")
    return commands(
        [
            ("Landmarks of pictures with this detector", ["predict", run, str(output / "held-out"), "-o", "landmarks"]),
            ("With images of your own: choose ten to annotate", ["choose", "photos", "-n", "10", "-o", "ten", "--copy"]),
            ("Annotate them in the browser", ["annotate", "ten", "-o", "annotated"]),
            (
                "Train on the others, without labels (20 minutes on two cores; Ctrl-C and --resume at any time)",
                ["train", "--images", "photos", "--labelled", "annotated", "-o", "runs/mine"],
            ),
            ("Find landmarks", ["predict", "runs/mine", "photos", "-o", "landmarks"]),
            ("Measure, if further images are annotated", ["evaluate", "runs/mine", "--data", "annotated-test"]),
        ]
    )


def _shown_pictures(output: Path) -> list[tuple[Image, str]]:
    """The barycenter, if it was drawn."""
    from PIL import Image

    path = output / "barycenter.png"
    if not path.is_file():
        return []
    with Image.open(path) as picture:
        return [(picture.convert("RGB"), "The barycenter of the ten annotated shapes: the typical shape of the object.")]
