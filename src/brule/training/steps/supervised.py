"""Learning from annotated images (BRULÈ, §6.2)."""

from __future__ import annotations

from brule.training.steps.context import Step, descend, encode
from brule.training.steps.encoder import EncoderPass, with_targets
from brule.training.terms import LABEL_TERMS, active_terms, computed


def supervised_step(step: Step) -> dict[str, float]:
    """One step of the encoder on annotated images alone; a landmark that is missing (NaN) teaches nothing.

    Args:
        step: with annotated images; the encoder is changed, and nothing else. The section ``labelled`` of the settings holds
            the weights; a term of weight zero is not computed.

    Returns:
        Every term before weighting.

    Raises:
        TrainingError: if a term is NaN or infinite, with its name; the weights are left as they were.
    """
    assert step.labelled is not None
    images, points = step.labelled
    step.state.model.train()
    # §6.2: the landmarks of annotated images, beside what they should be.
    annotated = with_targets(encode(step.state.model, images, step.config).stages, points)
    # Their terms, and a step down.
    active = active_terms(LABEL_TERMS, step)
    terms, weights = computed(active, EncoderPass(step, annotated=annotated))
    values = descend(step, "encoder", terms, weights=weights)
    return {term.name: values[term.name] for term in active}
