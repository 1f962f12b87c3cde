"""``brule train --dry-run``: what training would do."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from brule.cli.output import note, note_bad, say

if TYPE_CHECKING:
    from torch import Tensor

    from brule.data import Edges, Shapes
    from brule.data.training_data import TrainingData
    from brule.detector import ReadyShapes
    from brule.detector.whereabouts import Plan
    from brule.training.config import TrainingConfig


MAX_LISTED_NAMES = 4
MAX_LISTED_PAIRS = 6


@dataclass(frozen=True)
class TrainPlan:
    """What training would do, in words.

    Attributes:
        images: how many there are to learn from.
        labelled: annotated ones among them.
        shapes: how many, and of what.
        framing: how large the object is, and how it is found in images without a box.
        mirrored: which landmarks swap in a mirrored image.
        settings: the preset, and what differs from it.
        network: its size and that of its input.
        length: iterations, and the time they take.
        device: where is computed.
        run: the folder.
    """

    images: str
    labelled: str
    shapes: str
    framing: str
    mirrored: str
    settings: str
    network: str
    length: str
    device: str
    run: str


def print_plan(
    run: Path,
    config: TrainingConfig,
    training_data: TrainingData,
    *,
    edges: Edges | None,
    device: str = "cpu",
    overrides: Iterable[str] = (),
    json: bool = False,
) -> int:
    """Check what is to be trained, and print what would be done, in ten lines or as JSON; returns the exit code."""
    from brule.data import BadFiles, checked_edges
    from brule.detector import ready_shapes
    from brule.training.config import with_batch_for
    from brule.training.run import build_gan, build_model, build_shape_model

    images, labelled = training_data.images, training_data.labelled
    config = config if images is None else with_batch_for(config, len(images))
    shapes = training_data.shapes or shapes_of_labelled(training_data, config)
    ready = ready_shapes(shapes, scale=config.crop.scale)
    first = ready.sets[0] if ready.whole is None else ready.whole[0]
    stand_in = first[first.isfinite().all(-1)]  # for the barycenter, which takes time
    shape_model = build_shape_model(stand_in, ready.whole, config, indexed=labelled is not None)
    if edges is not None and shapes.n_points is not None:
        checked_edges(edges, shapes.n_points)
    model = build_model(stand_in, config)
    build_gan(config)
    framing, sheet = _framing_plan(run, training_data, config)
    names = ", ".join(shapes.names[:MAX_LISTED_NAMES]) + (", …" if len(shapes) > MAX_LISTED_NAMES else "")
    weights = sum(parameter.numel() for parameter in model.parameters())
    side = config.crop.image_size
    plan = TrainPlan(
        images=str(0 if images is None else len(images)),
        labelled=str(0 if labelled is None else len(labelled)),
        shapes=f"{len(shapes)} of {shapes.n_points or 'different numbers of'} landmarks: {names}",
        framing=framing,
        mirrored="as the barycenter shows" if ready.whole is None else _mirror_text(shape_model.mirror),
        settings=f"preset {config.preset}" + "".join(f", {key}" for key in overrides),
        network=f"{weights / 1e6:.2g} million weights, crops of {side} × {side} pixels, batches of {config.batch_size}",
        length=_length(config, training_data, ready, device=device),
        device=device,
        run=str(run),
    )
    _print(plan, config, json=json)
    note_bad(BadFiles(training_data.bad))
    written = f"nothing but {sheet} was written" if sheet else "nothing was written"
    note(f"{written}; leave --dry-run out to train")
    return 0


def _print(plan: TrainPlan, config: TrainingConfig, *, json: bool) -> None:
    if json:
        say(dumps({**asdict(plan), "config": config.model_dump(mode="json")}, indent=1))
        return
    for name, text in asdict(plan).items():
        say(f"{name:<8} {text}")


def _length(config: TrainingConfig, training_data: TrainingData, ready: ReadyShapes, *, device: str) -> str:
    """How long training takes: by its time limit, else by the time of an iteration."""
    if config.time_limit:
        return f"at most {config.time_limit:g} min, and at most {config.iterations} iterations"
    if config.gan.enabled and device == "cpu":  # a single one may take minutes
        return f"{config.iterations} iterations"
    seconds = config.iterations * _iteration_seconds(config, training_data, ready, device=device)
    return f"{config.iterations} iterations: about {_duration(seconds)} at the speed of two iterations just now"


def _iteration_seconds(config: TrainingConfig, training_data: TrainingData, ready: ReadyShapes, *, device: str) -> float:
    """Seconds of an iteration: the second of two on random crops; the first one prepares."""
    import numpy as np

    from brule.tracking.callbacks import Callback, Report
    from brule.training.batches import LabelledImages
    from brule.training.loop import train

    times: list[float] = []

    class Clock(Callback):
        def on_iteration(self, report: Report) -> None:
            times.append(time.perf_counter())

    side = round(config.crop.image_size * config.crop.context)
    noise = np.random.default_rng(0).integers(0, 255, (config.batch_size, side, side, 3), dtype=np.uint8)
    one = ready.sets[0].nan_to_num(0.5).float() if ready.whole is None else ready.whole[0].float()
    taught = None if training_data.labelled is None else LabelledImages(noise, one[None].repeat(len(noise), 1, 1))
    short = config.model_copy(update={"iterations": 2})
    whole = None if ready.whole is None else ready.whole.float()
    unlabelled = None if training_data.images is None else noise
    train(unlabelled, one, short, labelled=taught, shapes=whole, quiet=True, device=device, callbacks=[Clock()])
    return times[-1] - times[-2]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _mirror_text(mirror: Tensor | None) -> str:
    if mirror is None:
        return "no"
    pairs = [f"{index}:{partner}" for index, partner in enumerate(mirror.tolist()) if index < partner]
    more = f", … ({len(pairs)} pairs)" if len(pairs) > MAX_LISTED_PAIRS else ""
    return ", ".join(pairs[:MAX_LISTED_PAIRS]) + more or "yes, and no landmark changes places"


def plan_of(training_data: TrainingData, config: TrainingConfig) -> Plan:
    """How the object will be found in images without a box."""
    from brule.detector.inputs import Unlabelled, as_annotated
    from brule.detector.whereabouts import plan_whereabouts

    examples = training_data.examples or training_data.labelled
    annotated = None if examples is None else as_annotated(examples, skip_bad=True)
    unlabelled = None if training_data.images is None else Unlabelled(training_data.images)
    return plan_whereabouts(annotated, unlabelled, config.locator)


def _framing_plan(run: Path, training_data: TrainingData, config: TrainingConfig) -> tuple[str, Path | None]:
    """How large the object is in the annotated images, and a picture of the crops that training will see."""
    from brule.data import contact_sheet
    from brule.plots import overlay_grid, save_picture

    examples, plan = training_data.examples or training_data.labelled, plan_of(training_data, config)
    if plan.framing is None or examples is None:
        return plan.how, None
    sheet = contact_sheet(examples)
    path = run.with_name(f"{run.name}-crops.jpg")
    save_picture(overlay_grid(sheet.images, sheet.points, columns=6), path)
    return f"{plan.framing.describe()}; {plan.how}", path


def shapes_of_labelled(training_data: TrainingData, config: TrainingConfig) -> Shapes:
    """The shapes that the annotated images show."""
    from brule.detector.inputs import as_annotated, shapes_of

    return shapes_of(as_annotated(training_data.labelled, skip_bad=False), config.crop.scale)
