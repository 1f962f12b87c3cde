"""The terms of the encoder's objective: what each weighs, when, and how it is computed.

To add one: a pure function in ``losses.py``; here a weight in :class:`Loss`, a function that computes the term from an
:class:`~brule.training.steps.encoder.EncoderPass`, and its line in :data:`ENCODER_TERMS`, with what it needs. Two pitfalls: a
term has to be a mean over the batch, or it changes with the batch size; and what is to stay where it is has to be detached, or
the encoder lowers the loss by moving it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor

from brule.geometry import skeleton_heatmap
from brule.losses import (
    barycenter_regularizer,
    generator_loss,
    geometric_regularizer,
    heatmap_cross_entropy,
    image_reconstruction,
    landmark_distance,
    landmark_reconstruction,
)
from brule.training.ema import MeanPredictions
from brule.training.sections import Section, Weight
from brule.transport import BarycenterFit

if TYPE_CHECKING:
    from brule.training.config import TrainingConfig
    from brule.training.steps.context import Step
    from brule.training.steps.encoder import EncoderPass

SOFTENING = 0.01  # of the crop: landmark distances are smoothed near zero, below about a pixel of 64


class Loss(Section):
    """Weights of the terms; a term of weight 0 is not computed."""

    barycenter: Weight = Field(
        Weight(14.0),
        description="Weight of the distance between the landmarks and the barycenter of the annotated shapes (R_b, c3 of "
        "Algorithm 2).",
    )
    translation: float = Field(1.0, ge=0, description="Weight of the shift within R_b (c1 of R_b).")
    affine: float = Field(2.0, ge=0, description="Weight of the affine part within R_b (c2 of R_b).")
    warp: float = Field(4.0, ge=0, description="Weight of the non-affine deformation within R_b (c3 of R_b).")
    barycenter_points: int = Field(
        0,
        ge=0,
        description="Number of points of the barycenter in R_b, which may differ from that of the landmarks (the paper's §2); "
        "0 = the same. Another number needs POT.",
    )
    barycenters: int = Field(
        1,
        ge=1,
        description="Number of barycenters in R_b: the annotated shapes are grouped, each group has its own, and landmarks are "
        "compared with the nearest (the paper's §7 names several as future work).",
    )
    barycenter_view: Literal["image", "moved"] = Field(
        "image",
        description="Landmarks that R_b compares with the barycenter: those of the image, X(I), as in the paper (image), or "
        "those of the warped image, mapped back, g⁻¹X(gI) (moved). Both agree where the landmarks follow the warp g.",
    )
    geometric: Weight = Field(
        Weight(1500.0),
        description="Weight of the difference between the landmarks of a warped image and the warped landmarks of the image "
        "(R_g, c4 of Algorithm 2).",
    )
    coordinates: float = Field(0.001, ge=0, description="Weight of the coordinates' l1 distance within R_g (c1 of R_g).")
    detach_target: bool = Field(
        False,
        description="Stop the gradient of the warped landmarks gX(I) in that l1 distance. The paper detaches neither side; "
        "with too little R_b the landmarks then collapse (docs/paper.md).",
    )
    adversarial: Weight = Field(Weight(0.4), description="Weight of the encoder's adversarial loss (L_g, c5 of Algorithm 2).")
    judged: Literal["fake", "restored"] = Field(
        "fake",
        description="Image that L_g is computed on: one drawn with a random style, G(L, S_o(z)), as in the paper (fake), or "
        "the image redrawn in its own style (restored).",
    )
    condition_gradient: bool = Field(
        True, description="Let the gradient of L_g also flow through the heatmap that the discriminator sees with the image."
    )
    image_reconstruction: Weight = Field(
        Weight(40.0), description="Weight of the difference between an image and its redrawing (L_rec^I, c6 of Algorithm 2)."
    )
    landmark_reconstruction: Weight = Field(
        Weight(20.0),
        description="Weight of the difference between the landmarks found on a drawn image and those it was drawn from, as "
        "heatmaps (L_rec^L, c7 of Algorithm 2).",
    )
    drawn: Weight = Field(
        Weight(0.0),
        description="Weight of the distance between the landmarks found on a drawn image and those it was drawn from, in % of "
        "the crop: L_rec^L without heatmaps (not in the paper).",
    )
    fakes: float = Field(
        1.0, gt=0, le=1, description="Share of a batch that is drawn with random styles for landmark_reconstruction and drawn."
    )
    sigma: float = Field(4.0, gt=0, description="Width of the skeleton's lines, in pixels of the crop.")
    shape_prior: Weight = Field(
        Weight(0.0), description="Weight of the Gaussian shape prior learnt from the annotated shapes (not in the paper)."
    )
    population: Weight = Field(
        Weight(0.0), description="Weight of that shape prior on the mean prediction over the latest images (not in the paper)."
    )
    equivariance: Weight = Field(
        Weight(0.0),
        description="Weight of the distance between the landmarks of a warped image and the warped landmarks of the image, in "
        "% of the crop (not in the paper).",
    )
    tied: bool = Field(
        True,
        description="Refuse to train without a term that keeps the landmarks in the object's shape. Only an ablation sets this "
        "to false.",
    )
    mirror: bool = Field(
        False,
        description="Mirror half of the warped images and swap the indices of left and right landmarks: those of mirror_pairs, "
        "or as the annotated shapes' symmetry shows (not in the paper).",
    )
    mirror_pairs: tuple[tuple[int, int], ...] = Field(
        (),
        description="Pairs of landmarks that swap in a mirrored image, such as [[0, 1], [3, 4]]; all others keep their index. "
        "Empty: found from the annotated shapes.",
    )


@dataclass(frozen=True)
class Term:
    """A term of an objective.

    Attributes:
        name: in the log.
        weight: the setting with its weight and schedule.
        compute: the term, a number, from what its step has found.
        needs: what it is computed from, of :data:`AVAILABLE`; it is left out of a step that lacks any of these.
    """

    name: str
    weight: str
    compute: Callable[[EncoderPass], Tensor]
    needs: tuple[str, ...] = ()


AVAILABLE: dict[str, Callable[[Step], bool]] = {
    "transport": lambda step: True,  # the plan between landmarks and barycenter, solved while other terms are computed
    "prior": lambda step: step.shape_model.prior is not None,
    "decoder": lambda step: step.state.decoder is not None,
    "fakes": lambda step: step.state.decoder is not None,  # landmarks found on fakes, which the step then draws
    "discriminator": lambda step: step.state.discriminator is not None,
    "labels": lambda step: step.labelled is not None,
    "joint labels": lambda step: step.joint and step.labelled is not None,  # in one batch with the unlabelled images
}


def needed(terms: Iterable[Term]) -> frozenset[str]:
    """All that some terms are computed from."""
    return frozenset(need for term in terms for need in term.needs)


def needed_by(config: TrainingConfig) -> frozenset[str]:
    """All that the encoder's terms with a weight are computed from."""
    return needed(term for term in ENCODER_TERMS if attrgetter(term.weight)(config))


def active_terms(terms: Sequence[Term], step: Step) -> dict[Term, float]:
    """The terms to be computed in a step, with their weights at that moment; one of weight zero is left out."""
    weights = {
        term: attrgetter(term.weight)(step.config) for term in terms if all(AVAILABLE[need](step) for need in term.needs)
    }
    return {term: weight.at(step.progress) for term, weight in weights.items() if weight}


def computed(active: Mapping[Term, float], found: EncoderPass) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The terms by name, each with a graph, and their weights by name."""
    return {term.name: term.compute(found) for term in active}, {term.name: weight for term, weight in active.items()}


def over_stages(costs: Sequence[Tensor]) -> Tensor:
    """The sum over the stages of the encoder of costs ``(B,)``, each averaged over the batch."""
    return torch.stack([cost.mean() for cost in costs]).sum()


def percent_apart(points: Tensor, target: Tensor) -> Tensor:
    """The landmark distance between sets ``(B, N, 2)``, smoothed near zero, in % of the crop: ``(B,)``."""
    return 100 * landmark_distance(points, target, softening=SOFTENING)


def skeletons(step: Step, *sets: Tensor) -> Iterator[Tensor]:
    """``L`` of sets of landmarks ``(B, N, 2)`` at the size of the encoder's images, each summing to one."""
    size, sigma = step.config.crop.image_size, step.config.loss.sigma
    return (skeleton_heatmap(points, size=size, sigma=sigma) for points in sets)


def _barycenter(found: EncoderPass) -> Tensor:
    loss, barycenters = found.step.config.loss, found.step.shape_model.references
    weights = {"translation": loss.translation, "affine": loss.affine, "warp": loss.warp}

    def to_nearest(x: Tensor, fits: Sequence[Future[BarycenterFit]]) -> Tensor:
        costs = [
            barycenter_regularizer(x, own, fit=fit.result(), **weights) for own, fit in zip(barycenters, fits, strict=True)
        ]
        return torch.stack(costs).amin(0)

    return over_stages([to_nearest(x, fits) for x, fits in zip(found.anchored, found.fits, strict=True)])


def _geometric(found: EncoderPass) -> Tensor:
    step, costs = found.step, []
    for x, moved, source in zip(found.view2, found.target, found.source, strict=True):
        with torch.no_grad():
            target = found.views.move_heatmap(*skeletons(step, source))  # g L(I)
        (drawn,) = skeletons(step, x)  # L(gI)
        costs.append(geometric_regularizer(drawn, target, x, moved, coordinates=step.config.loss.coordinates))
    return over_stages(costs)


def _equivariance(found: EncoderPass) -> Tensor:
    return over_stages([percent_apart(x, target.detach()) for x, target in zip(found.view2, found.target, strict=True)])


def _shape_prior(found: EncoderPass) -> Tensor:
    return over_stages([found.prior.energy(x) for x in found.view1])


def _population(found: EncoderPass) -> Tensor:
    """The energy of the mean over the latest images; the running mean passes on only its newest share of the gradient."""
    return found.prior.energy(found.running_mean[None]).mean() / MeanPredictions.SHARE


def _image_reconstruction(found: EncoderPass) -> Tensor:
    return image_reconstruction(found.redrawn[0], found.step.gan_images).mean()


def _adversarial(found: EncoderPass) -> Tensor:
    loss = found.step.config.loss
    image, heatmap = found.redrawn if loss.judged == "restored" else found.fake
    return generator_loss(found.judged(image, heatmap if loss.condition_gradient else heatmap.detach())).mean()


def _landmark_reconstruction(found: EncoderPass) -> Tensor:
    assert found.fakes is not None
    points, target = found.fakes
    return landmark_reconstruction(*skeletons(found.step, points, target)).mean()


def _drawn(found: EncoderPass) -> Tensor:
    assert found.fakes is not None
    return percent_apart(*found.fakes).mean()


def _labels_distance(found: EncoderPass) -> Tensor:
    return over_stages([percent_apart(*pair) for pair in found.annotated])


def _labels_heatmap(found: EncoderPass) -> Tensor:
    return over_stages([heatmap_cross_entropy(*skeletons(found.step, *pair)) for pair in found.annotated])


LABEL_TERMS = (
    Term("labels", "labelled.distance", _labels_distance, ("labels",)),
    Term("labels H", "labelled.heatmap", _labels_heatmap, ("labels",)),
)
# The lines are those of Algorithm 2; terms without one aren't the paper's. R_b comes last, since its transport is solved
# while the others are computed.
ENCODER_TERMS = (
    Term("R_g", "loss.geometric", _geometric),  # line 6, c4
    Term("shape_prior", "loss.shape_prior", _shape_prior, ("prior",)),
    Term("equivariance", "loss.equivariance", _equivariance),
    Term("population", "loss.population", _population, ("prior",)),
    Term("L_rec^I", "loss.image_reconstruction", _image_reconstruction, ("decoder",)),  # line 8, c6
    Term("L_g of E", "loss.adversarial", _adversarial, ("discriminator",)),  # line 7, c5
    Term("L_rec^L", "loss.landmark_reconstruction", _landmark_reconstruction, ("fakes",)),  # line 9, c7
    Term("drawn", "loss.drawn", _drawn, ("fakes",)),
    *(replace(term, needs=("joint labels",)) for term in LABEL_TERMS),
    Term("R_b", "loss.barycenter", _barycenter, ("transport",)),  # line 5, c3
)
