"""``brule train --dry-run``: what training would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from brule.cli.output import note, note_bad, say

if TYPE_CHECKING:
    from torch import Tensor

    from brule.data import Edges, Shapes
    from brule.data.training_data import TrainingData
    from brule.detector.whereabouts import Plan
    from brule.training.config import TrainingConfig


def print_plan(run: Path, config: TrainingConfig, material: TrainingData, *, edges: Edges | None) -> int:
    """Check what is to be trained, and print what would be done; returns the exit code."""
    from brule.data import BadFiles, checked_edges
    from brule.detector import ready_shapes
    from brule.training.config import with_batch_for
    from brule.training.run import build_gan, build_model, build_shape_model

    images, labelled = material.images, material.labelled
    config = config if images is None else with_batch_for(config, len(images))
    shapes = material.shapes or shapes_of_labelled(material, config)
    ready = ready_shapes(shapes, scale=config.crop.scale)
    first = ready.sets[0] if ready.whole is None else ready.whole[0]
    stand_in = first[first.isfinite().all(-1)]  # for the barycenter, which takes time
    guide = build_shape_model(stand_in, ready.whole, config, indexed=labelled is not None)
    if edges is not None and shapes.n_points is not None:
        checked_edges(edges, shapes.n_points)
    build_model(stand_in, config)
    build_gan(config)
    say(config.to_json().rstrip())
    say(f"\nimages   {0 if images is None else len(images)}")
    say(f"labelled {0 if labelled is None else len(labelled)}")
    say(f"shapes   {len(shapes)} of {shapes.n_points or 'different numbers of'} landmarks: {', '.join(shapes.names[:12])}")
    framing, sheet = _framing_plan(run, material, config)
    say(f"framing  {framing}")
    say(f"mirrored {'as the barycenter shows' if ready.whole is None else _mirror_text(guide.mirror)}")
    say(f"run      {run}")
    note_bad(BadFiles(material.bad))
    written = f"nothing but {sheet} was written" if sheet else "nothing was written"
    note(f"{written}; leave --dry-run out to train")
    return 0


def _mirror_text(mirror: Tensor | None) -> str:
    if mirror is None:
        return "no"
    pairs = ", ".join(f"{index}:{partner}" for index, partner in enumerate(mirror.tolist()) if index < partner)
    return pairs or "yes, and no landmark changes places"


def plan_of(material: TrainingData, config: TrainingConfig) -> Plan:
    """How the object will be found in images without a box."""
    from brule.detector.inputs import Unlabelled, as_annotated
    from brule.detector.whereabouts import plan_whereabouts

    examples = material.examples or material.labelled
    annotated = None if examples is None else as_annotated(examples, skip_bad=True)
    unlabelled = None if material.images is None else Unlabelled(material.images)
    return plan_whereabouts(annotated, unlabelled, config.locator)


def _framing_plan(run: Path, material: TrainingData, config: TrainingConfig) -> tuple[str, Path | None]:
    """How large the object is in the annotated images, and a picture of the crops that training will see."""
    from brule.data import contact_sheet
    from brule.plots import overlay_grid, save_picture

    examples, plan = material.examples or material.labelled, plan_of(material, config)
    if plan.framing is None or examples is None:
        return plan.how, None
    sheet = contact_sheet(examples)
    path = run.with_name(f"{run.name}-crops.jpg")
    save_picture(overlay_grid(sheet.images, sheet.points, columns=6), path)
    return f"{plan.framing.describe()}; {plan.how}", path


def shapes_of_labelled(material: TrainingData, config: TrainingConfig) -> Shapes:
    """The shapes that the annotated images show."""
    from brule.detector.inputs import as_annotated, shapes_of

    return shapes_of(as_annotated(material.labelled, skip_bad=False), config.crop.scale)
