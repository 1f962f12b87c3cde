"""What readers of a detector's figures have to know: what it was trained on, where and for how long, how it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brule.detector.fitted import FittedDetector
    from brule.detector.run_record import RunRecord
    from brule.evaluation import Measurement


def report_dict(detector: FittedDetector, record: RunRecord | None, measured: Measurement) -> dict[str, Any]:
    """The figures of a measurement with all that readers have to know about them, ready for JSON."""
    config = detector.config_
    return measured.to_dict() | {
        "n_shapes": _n_shapes(detector, record),
        "n_training_images": record.n_images if record else None,
        "n_labelled": record.n_labelled if record else None,
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


def report_facts(detector: FittedDetector, record: RunRecord | None, measured: Measurement) -> list[tuple[str, str]]:
    """What has to be shown beside the figures (CONTRIBUTING, "Measuring honestly"): the name and text of each fact."""
    config, done = detector.config_, detector.progress_
    shapes = _n_shapes(detector, record)
    images = f"{record.n_images}{' (validation held out)' if record.exclude_validation else ''}" if record else "not recorded"
    return [
        ("images", str(measured.first.scores.n)),
        ("errors in % of", measured.first.scores.normaliser),
        ("constant prediction (floor)", f"the {measured.first.floor_name} of the annotated shapes, placed in the true box"),
        ("whole images", detector.whereabouts_.describe()),
        ("given boxes", f"square about the true box, side {config.crop.scale:g} × its longer side"),
        ("resolution", f"{config.crop.image_size} px"),
        ("annotated shapes", "not recorded" if shapes is None else str(shapes)),
        ("training images", images),
        ("preset, seed", f"{config.preset}, {config.seed}"),
        ("training", f"{done.iteration} iterations, {done.elapsed / 60:.1f} minutes on {record.device if record else '?'}"),
        *([("started with the weights of", detector.origin_.describe())] if detector.origin_ is not None else []),
    ]


def _n_shapes(detector: FittedDetector, record: RunRecord | None) -> int | None:
    if detector.shapes_ is not None:
        return len(detector.shapes_)
    return len(record.shapes) if record and record.shapes else None
