"""``brule evaluate``: how good a detector is on annotated images, beside predictions that cost nothing."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from brule.cli.inputs import DataRecord, note_remarks
from brule.cli.options import Device, Many, SkipBad, checked_device
from brule.cli.output import note_bad, progress_bar, say, say_table, write_json
from brule.errors import DataError

if TYPE_CHECKING:
    from brule.data import Sample, SampleList
    from brule.detector import LandmarkDetector
    from brule.evaluation import Evaluation

Normaliser = Literal["auto", "outer-eye-corners", "pupils", "eyes", "box-diagonal", "box-size"]
N_PICTURES = 24
PICTURE_SIZE = 224


def evaluate(
    run: Path,
    /,
    *,
    data: Annotated[list[str], Many],
    json: Path | None = None,
    pictures: Path | None = None,
    only_validation: bool = False,
    normaliser: Normaliser = "auto",
    batch_size: int = 64,
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Measure a detector on annotated images.

    Prints the normalised mean error (NME) with its 95 % interval, the permutation-free error W₁, and, at 8 % and 10 %,
    the area under the cumulative error curve (AUC) and the share of failures. Beside them stand the same figures of two
    constant predictions, the barycenter and the mean of the annotated shapes: a detector that is no better has learnt
    nothing. Every image is cut out by its annotation's box, as in training.

    **Examples**

        brule evaluate runs/first --data annotated-test/

        brule evaluate runs/first --data trainset/ --only-validation --json scores.json --pictures look.png

    Args:
        run: The folder of a run, or of a saved detector.
        data: Folders, files or globs of images with annotations beside them, in any format; annotation files that name
            their images; or data sets as `NAME:SPLIT:ROOT`, such as `300w:common:downloads/300w`.
        json: Write all figures, and the error of every image, to this file.
        pictures: Write 24 predictions to this picture, coloured by index, with the truth as crosses.
        only_validation: Take only the validation tenth of the images, chosen by name; see `brule train
            --exclude-validation`.
        normaliser: The distance that errors are divided by. `auto`: outer eye corners for 68 points, the eyes for 5,
            the diagonal of the box otherwise.
        batch_size: Images at a time.
    """
    from brule.detector import LandmarkDetector

    detector = LandmarkDetector.load(run, device=checked_device(device))
    samples = annotated_samples(data, only_validation=only_validation, skip_bad=skip_bad)
    result, bad = evaluate_detector(detector, samples, normaliser=normaliser, batch_size=batch_size, skip_bad=skip_bad)
    facts = known_facts(detector, DataRecord.read(run), result)
    say_table(result, facts)
    note_bad(bad)
    if json is not None:
        write_json(json, report_dict(detector, DataRecord.read(run), result) | {"run": str(run), "data": data})
        say(f"\nfigures: {json}")
    if pictures is not None:
        draw_predictions(detector, samples, result, pictures)
        say(f"pictures: {pictures}")
    return 0


def annotated_samples(data: list[str], *, only_validation: bool = False, skip_bad: bool = False) -> SampleList:
    """The annotated images to evaluate on.

    Raises:
        DataError: there is none.
    """
    from brule.data import read_samples, split_by_name

    samples = read_samples(data, require_points=True, skip_bad=skip_bad)
    note_remarks(samples)
    if not only_validation:
        return samples
    kept = split_by_name(samples).validation
    if not kept:
        raise DataError(f"--only-validation: none of the {len(samples)} annotated images belongs to the validation tenth")
    return samples.replaced(kept)


def evaluate_detector(
    detector: LandmarkDetector,
    samples: SampleList,
    *,
    normaliser: str = "auto",
    batch_size: int = 64,
    skip_bad: bool = False,
) -> tuple[Evaluation, Any]:
    """Cut the samples out, predict, score; returns the evaluation and the files that were left out."""
    from brule.data import BadFiles, build_cache
    from brule.evaluation import evaluate as evaluate_crops

    expected, got = len(detector.barycenter_), samples.n_points
    if got != expected:
        raise DataError(
            f"{samples[0].path}: its annotation has {got} landmarks, the detector finds {expected}; evaluate it on images "
            "that are annotated as its shapes were"
        )
    crop = detector.config_.crop
    with progress_bar("reading images") as progress:
        cache = build_cache(samples, crop.image_size, scale=crop.scale, progress=progress, skip_bad=skip_bad)
    with progress_bar("predicting") as progress:
        result = evaluate_crops(
            detector.predict_crops,
            cache,
            barycenter=detector.barycenter_.numpy(),
            shapes=None if detector.shapes_ is None else detector.shapes_.numpy(),
            normaliser=normaliser,
            batch_size=batch_size,
            progress=progress,
        )
    return result, BadFiles([*samples.bad, *cache.bad], skip=True)


def report_dict(detector: LandmarkDetector, record: DataRecord | None, result: Evaluation) -> dict[str, Any]:
    """The figures with all that has to be known about them, ready for JSON."""
    config = detector.config_
    return result.to_dict() | {
        "n_shapes": _n_shapes(detector, record),
        "n_training_images": record.n_images if record else None,
        "validation_excluded": record.exclude_validation if record else None,
        "crop_rule": f"square about the landmarks' box, side {config.crop.scale:g} x its longer side",
        "crop_scale": config.crop.scale,
        "image_size": config.crop.image_size,
        "preset": config.preset,
        "seed": config.seed,
        "iterations": detector.progress_.iteration,
        "training_seconds": detector.progress_.elapsed,
        "device": record.device if record else None,
    }


def known_facts(detector: LandmarkDetector, record: DataRecord | None, result: Evaluation) -> list[tuple[str, str]]:
    """What stands under a table of figures, as CONTRIBUTING, "Measuring honestly", wants it."""
    config, done = detector.config_, detector.progress_
    shapes = _n_shapes(detector, record)
    seen = f"{record.n_images}{' (validation held out)' if record.exclude_validation else ''}" if record else "not recorded"
    return [
        ("images", str(result.scores.n)),
        ("errors in % of", result.scores.normaliser),
        ("crop", f"square about the landmarks' box, side {config.crop.scale:g} × its longer side"),
        ("resolution", f"{config.crop.image_size} px"),
        ("annotated shapes", "not recorded" if shapes is None else str(shapes)),
        ("training images", seen),
        ("preset, seed", f"{config.preset}, {config.seed}"),
        ("training", f"{done.iteration} iterations, {done.elapsed / 60:.1f} minutes on {record.device if record else '?'}"),
    ]


def draw_predictions(detector: LandmarkDetector, samples: SampleList, result: Evaluation, path: Path) -> None:
    """Draw 24 predictions, evenly spread over the images, with the truth as crosses and the error above."""
    import numpy as np

    from brule.data import load_crop
    from brule.plots import overlay_grid, save_figure

    # An image may hold several objects: those of one name come in the same order in both.
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_name[str(sample.path)].append(sample)
    scored = [by_name[name].pop(0) for name in result.names]
    chosen = np.unique(np.linspace(0, len(result.names) - 1, N_PICTURES).round().astype(int))
    # Sharper than what the detector sees; the unit square is the same.
    crops = [load_crop(scored[i], PICTURE_SIZE, detector.config_.crop.scale)[0] for i in chosen]
    titles = [f"{Path(result.names[i]).name}  {result.errors[i]:.1f} %" for i in chosen]
    figure = overlay_grid(np.stack(crops), result.predictions[chosen], truth=result.truth[chosen], names=titles, columns=6)
    save_figure(figure, path)


def _n_shapes(detector: LandmarkDetector, record: DataRecord | None) -> int | None:
    if detector.shapes_ is not None:
        return len(detector.shapes_)
    return len(record.shapes) if record and record.shapes else None
