"""The terms of BRULÈ's objective: tensors in, one number a sample out; no weights of the sum, no modules, no logging."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from brule.coordinates import check_points
from brule.errors import BruleError
from brule.transport import BarycenterFit, fit_barycenter

_TINY = 1e-12


def barycenter_regularizer(
    points: Tensor,
    barycenter: Tensor,
    *,
    translation: float = 1.0,
    affine: float = 2.0,
    warp: float = 4.0,
    fit: BarycenterFit | None = None,
) -> Tensor:
    r"""``R_b``: how far landmarks are from the barycenter, told apart into shift, affine map and the rest.

    .. math::
        R_b(X) = c_1^b W_2^2(X, X + T) + c_2^b W_2^2(X_c, X_c A) + c_3^b W_2^2(X_c A, \bar X_c)

    with ``T`` the shift to the barycenter, ``·_c`` a centred cloud, and ``A`` of Eq. (1). BRULÈ (arXiv 2006.11643), §3.1.

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
    r"""``H[a | b]``: the binary cross-entropy of two normalised heatmaps, averaged over the pixels.

    .. math:: H[a \mid b] = -\frac{1}{HW} \sum_q b_q \log a_q + (1 - b_q) \log (1 - a_q)

    BRULÈ (arXiv 2006.11643), §3.2 and §4.

    Args:
        prediction: ``a``, ``(B, C, H, W)``, each map summing to one.
        target: ``b``, likewise; no gradient flows into it.

    Returns:
        ``(B,)``. Over all predictions it is smallest at ``prediction = target``.

    Notes:
        The mean over pixels, not their sum, is what makes the paper's weight ``c₄ = 1500`` balance ``c₃ = 14``.
    """
    if prediction.shape != target.shape or prediction.ndim != 4:
        raise BruleError(f"H[a|b]: expected heatmaps of one shape, got {tuple(prediction.shape)}, {tuple(target.shape)}")
    b = target.detach()
    a = prediction.clamp(_TINY, 1 - 1e-6)
    return -(b * a.log() + (1 - b) * torch.log1p(-a)).mean((1, 2, 3))


def geometric_regularizer(
    heatmap: Tensor, target_heatmap: Tensor, points: Tensor, target_points: Tensor, *, coordinates: float = 0.001
) -> Tensor:
    r"""``R_g``: landmarks of the moved image against the moved landmarks of the image.

    .. math:: R_g(I) = H[L(gI) \mid g L(I)] + c_1^g \lVert E(gI) - g E(I) \rVert^2

    BRULÈ (arXiv 2006.11643), §3.2.

    Args:
        heatmap: ``L(gI)``, ``(B, 1, H, W)``, summing to one.
        target_heatmap: ``g L(I)``, likewise; no gradient flows into it.
        points: ``E(gI)``, ``(B, N, 2)`` in the unit square.
        target_points: ``g E(I)``, likewise.
        coordinates: ``c₁ᵍ``.

    Returns:
        ``(B,)``, smallest at equality.

    Notes:
        The norm is taken as a mean over the landmarks, so that its weight doesn't depend on their number.
    """
    apart = landmark_distance_squared(points, target_points.detach())
    return heatmap_cross_entropy(heatmap, target_heatmap) + coordinates * apart


def landmark_distance_squared(points: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of landmarks of one index.

    Args:
        points: ``(B, N, 2)``.
        target: ``(B, N, 2)`` in the same frame.

    Returns:
        ``(B,)`` in squared units of the frame.
    """
    return _difference(points, target).square().sum(-1).mean(-1)


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

    BRULÈ (arXiv 2006.11643), §4.

    Args:
        images: ``G(L, S)``, ``(B, C, H, W)``.
        target: ``I``, likewise.

    Returns:
        ``(B,)``: the mean over channels and pixels, zero at equality.
    """
    if images.shape != target.shape or images.ndim != 4:
        raise BruleError(f"L_rec^I: expected images of one shape, got {tuple(images.shape)}, {tuple(target.shape)}")
    return (images - target).abs().mean((1, 2, 3))


def landmark_reconstruction(
    heatmap: Tensor, target_heatmap: Tensor, points: Tensor, target_points: Tensor, *, coordinates: float = 0.001
) -> Tensor:
    r"""``L_rec^L``: the landmarks found on a drawn image against those it was drawn from.

    .. math:: L_{rec}^L = H[L(E(G(L, S))) \mid L] + c_1^g \lVert E(G(L, S)) - X \rVert^2

    BRULÈ (arXiv 2006.11643), §4; the coordinate term is that of ``R_g``, as in the authors' program.

    Args:
        heatmap: ``L(E(G(L, S)))``, ``(B, 1, H, W)``, summing to one.
        target_heatmap: ``L``, likewise; no gradient flows into it.
        points: ``E(G(L, S))``, ``(B, N, 2)`` in the unit square.
        target_points: ``X``, likewise.
        coordinates: weight of the coordinate term.

    Returns:
        ``(B,)``, smallest at equality.
    """
    return geometric_regularizer(heatmap, target_heatmap, points, target_points, coordinates=coordinates)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    r"""``-L_d``: what the discriminator minimises.

    .. math:: -L_d = -\log D(I \mid L) - \log(1 - D(G(L, S_o(z)) \mid L))

    BRULÈ (arXiv 2006.11643), §4, which writes ``L_d`` to be maximised.

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

    BRULÈ (arXiv 2006.11643), §4.

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


def style_consistency(style: Tensor, target: Tensor) -> Tensor:
    r"""``L_style``: the style read off a drawn image against the one it was drawn with.

    .. math:: L_{style} = \lVert S(G(L, S_o(z))) - S_o(z) \rVert_1

    BRULÈ (arXiv 2006.11643), §4.

    Args:
        style: ``(B, 2, D)``.
        target: likewise.

    Returns:
        ``(B,)``: the mean over the entries, zero at equality.
    """
    if style.shape != target.shape or style.ndim != 3:
        raise BruleError(f"L_style: expected styles of one shape, got {tuple(style.shape)}, {tuple(target.shape)}")
    return (style - target).abs().mean((1, 2))


def _difference(points: Tensor, target: Tensor) -> Tensor:
    check_points(points)
    if points.shape != target.shape:
        raise BruleError(f"landmarks: expected two sets of one shape, got {tuple(points.shape)}, {tuple(target.shape)}")
    return points - target
