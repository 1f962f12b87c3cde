"""Algorithm 2: the encoder learns from the shape, from moved images, and from what its landmarks let a decoder redraw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from brule.geometry import AugmentedPair, ShapePrior
from brule.model import Decoder
from brule.tensors import resized
from brule.training.steps.context import Step, autocast, descend, encode, finite, frozen, pixel_noise
from brule.training.terms import ENCODER_TERMS, active_terms, computed, needed
from brule.transport import BarycenterFit, fit_barycenter


@dataclass(frozen=True)
class EncoderPass:
    """The encoder's landmarks on a batch, and everything else that a term may need.

    The lists have an entry for every stage of the encoder.

    Attributes:
        step: of the iteration.
        view1: landmarks of ``I``, ``(B, N, 2)`` in its unit square.
        view2: landmarks of ``gI``, in the unit square of ``gI``.
        target: what ``view2`` should be; without gradient unless ``loss.detach_target`` is off.
        source: the landmarks of ``I`` that g carried to ``target``, without gradient.
        fakes: landmarks ``(B', N, 2)`` found on fakes, and those that the fakes were drawn from; ``None`` without fakes.
        annotated: landmarks of annotated images, and what they should be; empty without such images.
        fits: the transport between each of ``anchored`` and each barycenter, solved in another thread.
    """

    step: Step
    view1: list[Tensor] = field(default_factory=list)
    view2: list[Tensor] = field(default_factory=list)
    target: list[Tensor] = field(default_factory=list)
    source: list[Tensor] = field(default_factory=list)
    fakes: tuple[Tensor, Tensor] | None = None
    annotated: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    fits: list[list[Future[BarycenterFit]]] = field(default_factory=list)

    @property
    def views(self) -> AugmentedPair:
        """The images."""
        return self.step.views

    @property
    def prior(self) -> ShapePrior:
        """The shape prior, if there is one."""
        assert self.step.shape_model.prior is not None
        return self.step.shape_model.prior

    @cached_property
    def anchored(self) -> list[Tensor]:
        """The landmarks of ``I`` that R_b judges, ``(B, N, 2)`` for every stage."""
        config = self.step.config
        # With a teacher view1 is g⁻¹ E(gI) already.
        moved = config.loss.barycenter_view == "moved" and not config.teacher.enabled
        return [self.views.move_back(x) for x in self.view2] if moved else self.view1

    @cached_property
    def running_mean(self) -> Tensor:
        """The encoder's mean prediction over the latest images, ``(N, 2)``; only this batch's share of it has a gradient."""
        means = self.step.state.means
        return torch.lerp(means.encoder, self.step.distributed.mean(self.view1[-1].mean(0)), means.SHARE)

    @cached_property
    def redrawn(self) -> tuple[Tensor, Tensor]:
        """The image that a frozen decoder redraws from the encoder's landmarks, and their heatmap."""
        return self._drawn(lambda decoder, _: decoder.style_of(self.step.style_images))

    @cached_property
    def fake(self) -> tuple[Tensor, Tensor]:
        """``I_F = G(L, S_o(z))`` of a frozen decoder from the encoder's landmarks, and ``L``."""
        step = self.step
        return self._drawn(
            lambda decoder, count: step.distributed.draw_for_batch(lambda n: decoder.random_style(n, step.generator), count)
        )

    def _drawn(self, style_of: Callable[[Decoder, int], Tensor]) -> tuple[Tensor, Tensor]:
        decoder = self.step.state.decoder
        assert decoder is not None
        points = self.view2[-1] if self.step.config.teacher.enabled else self.view1[-1]
        with frozen(decoder), autocast(points, self.step.config):
            heatmap = decoder.heatmap(points)
            noise = pixel_noise(decoder, len(points), self.step)
            return decoder.generator(heatmap, style_of(decoder, len(points)), noise), heatmap

    def judged(self, images: Tensor, heatmap: Tensor) -> Tensor:
        """The logits ``(B,)`` of a frozen discriminator."""
        discriminator = self.step.state.discriminator
        assert discriminator is not None
        with frozen(discriminator), autocast(images, self.step.config):
            logits: Tensor = discriminator(images, heatmap)
        return logits


def encoder_step(step: Step) -> dict[str, float]:
    """Algorithm 2: one step of the encoder.

    Args:
        step: with unlabelled images; the encoder is changed, and nothing else. The section ``loss`` of the settings holds the
            weights; a term of weight zero is not computed. Annotated images join the batch where the settings want that.

    Returns:
        Every term before weighting (``population`` over the share of a batch in the mean, as it enters the sum), the total,
        and the norm of the gradient.

    Raises:
        TrainingError: if a term is NaN or infinite, with its name; the weights are left as they were.
    """
    state = step.state
    state.model.train()
    active = active_terms(ENCODER_TERMS, step)
    # Alg. 2, lines 1–4: the landmarks of I, of gI, and of fakes F = G(L(X), S_o(z)).
    needs = needed(active)
    found = _pass(step, fakes="fakes" in needs)
    finite({"a predicted coordinate": found.view2[-1].sum()}, step.distributed)
    # Alg. 2, lines 5–9: R_b, R_g, L_g, L_rec^I, L_rec^L. The transport of R_b is solved aside, while a GPU works on the others.
    with ThreadPoolExecutor(1, thread_name_prefix="brule-transport") as aside:
        if "transport" in needs:
            references = step.shape_model.references
            found.fits.extend(
                [aside.submit(fit_barycenter, x.detach(), own[None]) for own in references] for x in found.anchored
            )
        running_mean = found.running_mean
        terms, weights = computed(active, found)
    # Alg. 2, line 10: E descends the sum of c_k times each term.
    values = descend(step, "encoder", terms, weights=weights)
    state.means.encoder.copy_(running_mean.detach())
    return values


def _pass(step: Step, *, fakes: bool) -> EncoderPass:
    """Run the encoder once on all that it is to see, so that batch norms see it together."""
    taught, views = step.config.teacher.enabled, step.views
    parts = {"I": views.view2 if taught else torch.cat([views.view1, views.view2])}
    if fakes:
        parts["fakes"], drawn_from = _draw_fakes(step)
    labelled = step.labelled if step.joint else None
    if labelled is not None:
        parts["labelled"] = labelled[0]
    stages = encode(step.state.model, torch.cat(list(parts.values())), step.config).stages
    split = [dict(zip(parts, points.split([len(part) for part in parts.values()]), strict=True)) for points in stages]
    found = EncoderPass(
        step,
        fakes=(split[-1]["fakes"], drawn_from) if fakes else None,
        annotated=[] if labelled is None else with_targets([stage["labelled"] for stage in split], labelled[1]),
    )
    for stage in split:
        (_from_teacher if taught else _from_itself)(found, stage["I"])
    return found


def _from_itself(found: EncoderPass, points: Tensor) -> None:
    """The encoder looks at both images: ``E(gI)`` learns from ``g E(I)``."""
    x, moved = points.chunk(2)
    found.view1.append(x)
    found.view2.append(moved)
    found.target.append(found.views.move(x.detach() if found.step.config.loss.detach_target else x))
    found.source.append(x.detach())


def _from_teacher(found: EncoderPass, moved: Tensor) -> None:
    """``E(gI)`` learns from ``g Ē(I)`` of the averaged encoder ``Ē``, and gives the shape of ``I`` as ``g⁻¹ E(gI)``."""
    found.view1.append(found.views.move_back(moved))
    found.view2.append(moved)
    found.target.append(found.step.moved_labels)
    found.source.append(found.step.pseudo_labels)


def with_targets(stages: Sequence[Tensor], target: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Each stage ``(B, N, 2)`` of the encoder with the annotation; a missing landmark's target is where the encoder has it."""
    present = target.isfinite().all(-1, keepdim=True)
    # So there is nothing to gain from moving it.
    return [(points, torch.where(present, target.nan_to_num(), points.detach())) for points in stages]


@torch.no_grad()
def _draw_fakes(step: Step) -> tuple[Tensor, Tensor]:
    """``F = G(L(X), S_o(z))`` for a share of the batch, at the size of the encoder's images; and ``X``."""
    decoder, points = step.state.decoder, step.gan_points
    assert isinstance(decoder, Decoder)
    points = points[: max(1, round(len(points) * step.config.loss.fakes))]
    with autocast(points, step.config):
        style = step.distributed.draw_for_batch(lambda n: decoder.random_style(n, step.generator), len(points))
        fakes = decoder.generator(decoder.heatmap(points), style, pixel_noise(decoder, len(points), step))
    return resized(fakes, step.config.crop.image_size).clamp(-1, 1), points
