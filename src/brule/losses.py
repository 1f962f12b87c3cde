"""The terms of BRULÈ's objective: tensors in, one number per sample out; no weights of the sum, no modules, no logging."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from brule.coordinates import check_points
from brule.errors import BruleError
from brule.transport import BarycenterFit, fit_barycenter

_TINY = 1e-12
_PAPER_PIXELS = 256**2


def barycenter_regularizer(
    points: Tensor,
    barycenter: Tensor,
    *,
    translation: float = 1.0,
    affine: float = 2.0,
    warp: float = 4.0,
    fit: BarycenterFit | None = None,
) -> Tensor:
    r"""``R_b``: how far landmarks are from the barycenter, separated into shift, affine map and the rest.

    .. math::
        R_b(X) = c_1^b W_2^2(X, X + T) + c_2^b W_2^2(X_c, X_c A) + c_3^b W_2^2(X_c A, \bar X_c)

    with ``T`` the shift to the barycenter, ``·_c`` a centred cloud, and ``A`` of Eq. (1). BRULÈ (arXiv 2006.11643).

    Args:
        points: ``X``, ``(B, N, 2)`` predicted landmarks in the unit square.
        barycenter: ``X̄``, ``(B, M, 2)``, ``(1, M, 2)`` or ``(M, 2)``.
        translation: ``c₁ᵇ``.
        affine: ``c₂ᵇ``.
        warp: ``c₃ᵇ``.
        fit: what :func:`brule.transport.fit_barycenter` found for these two, where it was called already.

    Returns:
        ``(B,)``. Zero at the barycenter; a pure shift by ``t`` costs ``c₁ᵇ‖t‖²``.

    Notes:
        The plan, ``T`` and ``A`` carry no gradient, and the images ``X + T`` and ``X_c A`` of the first two terms are
        targets: each term pulls the prediction. For the third this is the exact gradient, since ``A`` minimises it.
    """
    check_points(points)
    barycenter = check_points(barycenter[None] if barycenter.ndim == 2 else barycenter, "barycenter").to(points.dtype)
    fit = fit or fit_barycenter(points, barycenter)
    # To a translate, the identity is optimal.
    moved = (points - (points.detach() + fit.shift[:, None])).square().sum(-1).mean(-1)
    centred = points - points.mean(1, keepdim=True)
    image = centred @ fit.map
    bent = fit.bent.cost(centred, image.detach())
    rest = fit.rest.cost(image, barycenter - barycenter.mean(1, keepdim=True))
    return translation * moved + affine * bent + warp * rest


def heatmap_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    r"""``H[a | b]``: the binary cross-entropy of two normalised heatmaps, at 256 px averaged over the pixels.

    .. math:: H[a \mid b] = -\frac{1}{256^2} \sum_q b_q \log a_q + (1 - b_q) \log (1 - a_q)

    BRULÈ (arXiv 2006.11643).

    Args:
        prediction: ``a``, ``(B, C, H, W)``, each map summing to one.
        target: ``b``, of the same shape; no gradient flows into it.

    Returns:
        ``(B,)``. Over all predictions it is smallest at ``prediction = target``.

    Notes:
        The paper doesn't define the scale. At its 256 px this is the mean over the pixels. A mean at every size would make the
        pull 16 times stronger at 64 px: the excess over the minimum is about the Kullback–Leibler divergence of the maps,
        which doesn't depend on the resolution, over the number of pixels. So that number is held at 256².
    """
    if prediction.shape != target.shape or prediction.ndim != 4:
        raise BruleError(f"H[a|b]: expected heatmaps of one shape, got {tuple(prediction.shape)}, {tuple(target.shape)}")
    b = target.detach()
    a = prediction.clamp(_TINY, 1 - 1e-6)
    return -(b * a.log() + (1 - b) * torch.log1p(-a)).sum((2, 3)).mean(1) / _PAPER_PIXELS


def geometric_regularizer(
    heatmap: Tensor, target_heatmap: Tensor, points: Tensor, target_points: Tensor, *, coordinates: float = 0.001
) -> Tensor:
    r"""``R_g``: landmarks of the moved image against the moved landmarks of the image.

    .. math:: R_g(I) = H[L(gI) \mid g L(I)] + c_1^g \lVert X(gI) - g X(I) \rVert_1

    BRULÈ (arXiv 2006.11643).

    Args:
        heatmap: ``L(gI)``, ``(B, 1, H, W)``, summing to one.
        target_heatmap: ``g L(I)``, of the same shape; no gradient flows into it.
        points: ``X(gI)``, ``(B, N, 2)`` in the unit square.
        target_points: ``g X(I)``, of the same shape. The paper detaches neither side of the norm; detach it here if you want
            that (the setting ``loss.detach_target``).
        coordinates: ``c₁ᵍ``.

    Returns:
        ``(B,)``, smallest at equality. The norm is the sum over all 2N coordinates: one that moves by δ costs ``c₁ᵍ δ``.
    """
    return heatmap_cross_entropy(heatmap, target_heatmap) + coordinates * _difference(points, target_points).abs().sum((1, 2))


def landmark_distance(points: Tensor, target: Tensor, *, softening: float = 0.0) -> Tensor:
    r"""Mean distance of landmarks of one index, rounded off near zero.

    .. math:: \frac1N \sum_i \sqrt{\lVert x_i - y_i \rVert^2 + s^2} - s

    Unlike the square it doesn't let a few occluded or out-of-image landmarks outweigh all others. Not in the paper.

    Args:
        points: ``(B, N, 2)``.
        target: ``(B, N, 2)`` in the same frame.
        softening: ``s``, in units of the frame.

    Returns:
        ``(B,)`` in units of the frame, zero at equality.
    """
    squared = _difference(points, target).square().sum(-1)
    return (squared + softening**2 + _TINY).sqrt().mean(-1) - softening


def image_reconstruction(images: Tensor, target: Tensor) -> Tensor:
    r"""``L_rec^I``: a redrawn image against the image.

    .. math:: L_{rec}^I = \lVert G(L, S) - I \rVert_1

    BRULÈ (arXiv 2006.11643).

    Args:
        images: ``G(L, S)``, ``(B, C, H, W)``.
        target: ``I``, of the same shape.

    Returns:
        ``(B,)``: the mean over channels and pixels, zero at equality.
    """
    if images.shape != target.shape or images.ndim != 4:
        raise BruleError(f"L_rec^I: expected images of one shape, got {tuple(images.shape)}, {tuple(target.shape)}")
    return (images - target).abs().mean((1, 2, 3))


def landmark_reconstruction(heatmap: Tensor, target_heatmap: Tensor) -> Tensor:
    r"""``L_rec^L``: the landmarks found on a drawn image against those it was drawn from.

    .. math:: L_{rec}^L = H[L(E(G(L, S))) \mid L]

    BRULÈ (arXiv 2006.11643). As printed there is no coordinate term; ``loss.drawn`` is one.

    Args:
        heatmap: ``L(E(G(L, S)))``, ``(B, 1, H, W)``, summing to one.
        target_heatmap: ``L``, of the same shape; no gradient flows into it.

    Returns:
        ``(B,)``, smallest at equality.
    """
    return heatmap_cross_entropy(heatmap, target_heatmap)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    r"""``-L_d``: what the discriminator minimises.

    .. math:: -L_d = -\log D(I \mid L) - \log(1 - D(G(L, S_o(z)) \mid L))

    BRULÈ (arXiv 2006.11643), which writes ``L_d`` to be maximised.

    Args:
        real: ``(B,)`` logits of real images with their heatmaps.
        fake: ``(B,)`` logits of drawn ones.

    Returns:
        ``(B,)``; log 2 a term where the logits are zero.
    """
    return F.softplus(-real) + F.softplus(fake)


def generator_loss(fake: Tensor) -> Tensor:
    r"""``L_g``: what the generator minimises, in the form that doesn't saturate.

    .. math:: L_g = -\log D(G(L, S) \mid L)

    BRULÈ (arXiv 2006.11643).

    Args:
        fake: ``(B,)`` logits of drawn images with their heatmaps.

    Returns:
        ``(B,)``; log 2 where the logits are zero.
    """
    return F.softplus(-fake)


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    r"""``‖∇D‖²``: the squared norm of the discriminator's gradient in a real image (R1, Mescheder et al. 2018).

    .. math:: \lVert \nabla_I D(I \mid L) \rVert^2

    BRULÈ (arXiv 2006.11643), Algorithm 1.

    Args:
        logits: ``(B,)``, computed from ``images`` with a graph.
        images: ``(B, C, H, W)``, requiring gradients.

    Returns:
        ``(B,)``, differentiable in the discriminator's weights; for a linear D it is ``‖w‖²``.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3))


def style_consistency(style_of_fake: Tensor, random_style: Tensor, style_of_warped_fake: Tensor) -> Tensor:
    r"""``L_style``: the style read off a fake is the one it was drawn with, and moving the fake doesn't change it.

    .. math:: L_{style} = \lVert S(I_F) - S_o(z) \rVert_1 + \lVert S(I_F) - S(g I_F) \rVert_1, \qquad I_F = G(L, S_o(z))

    BRULÈ (arXiv 2006.11643).

    Args:
        style_of_fake: ``S(I_F)``, ``(B, 2, D)``.
        random_style: ``S_o(z)``, of the same shape; a target, no gradient flows into it: both could shrink.
        style_of_warped_fake: ``S(g I_F)``, of the same shape; both sides of the second half carry gradient, as in the paper.

    Returns:
        ``(B,)``: means over the 2D entries; a style encoder that ignores g pays only the first half.
    """
    shapes = {tuple(style.shape) for style in (style_of_fake, random_style, style_of_warped_fake)}
    if len(shapes) > 1 or style_of_fake.ndim != 3:
        raise BruleError(f"L_style: expected styles (B, 2, D) of one shape, got {', '.join(map(str, sorted(shapes)))}")
    halves = (style_of_fake - random_style.detach()).abs() + (style_of_fake - style_of_warped_fake).abs()
    return halves.mean((1, 2))


def _difference(points: Tensor, target: Tensor) -> Tensor:
    check_points(points)
    if points.shape != target.shape:
        raise BruleError(f"landmarks: expected two sets of one shape, got {tuple(points.shape)}, {tuple(target.shape)}")
    return points - target
