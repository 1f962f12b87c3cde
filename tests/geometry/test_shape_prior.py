"""The Gaussian over shapes: calibrated, zero at its mean, and cheap where the shapes vary."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from brule.data.shapes import to_crop
from brule.data.synthetic import IBUG_MIRROR, synthetic_faces
from brule.errors import BruleError
from brule.geometry import ShapePrior, mirrored


def faces(n: int, start: int = 0) -> Tensor:
    points = synthetic_faces(n, start=start).points
    return torch.stack([torch.as_tensor(to_crop(one)) for one in points]).float()


@pytest.fixture(scope="module")
def prior() -> ShapePrior:
    return ShapePrior.fit(faces(10))


def test_zero_at_the_mean_and_nowhere_else(prior: ShapePrior) -> None:
    assert float(prior.energy(prior.mean[None])) == 0.0
    assert (prior.energy(prior.mean + 0.01 * torch.randn(8, 68, 2, generator=torch.Generator().manual_seed(0))) > 0).all()
    assert torch.allclose(prior.mean, faces(10).mean(0), atol=1e-6)


def test_samples_of_the_gaussian_have_energy_one_on_average(prior: ShapePrior) -> None:
    """A χ² of 2N degrees of freedom over 2N: mean 1, variance 1/N."""
    covariance = torch.linalg.inv(prior.precision.double())
    root = torch.linalg.cholesky((covariance + covariance.T) / 2)
    white = torch.randn(2000, 136, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    samples = prior.mean + (white @ root.T).view(-1, 68, 2).float()
    energy = prior.energy(samples)
    assert float(energy.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(energy.var()) == pytest.approx(1 / 68, rel=0.3)


def test_the_energy_is_the_quadratic_form(prior: ShapePrior) -> None:
    points = faces(2, start=50)
    apart = (points - prior.mean).flatten(1).double()
    expected = (apart @ prior.precision.double() * apart).sum(-1) / 136
    assert torch.allclose(prior.energy(points).double(), expected, rtol=1e-4)


def test_precision_is_symmetric_and_positive(prior: ShapePrior) -> None:
    precision = prior.precision.double()
    assert torch.allclose(precision, precision.T, rtol=1e-3, atol=1e-2)
    assert float(torch.linalg.eigvalsh((precision + precision.T) / 2).min()) > 0


def test_new_shapes_are_likely_and_shuffled_ones_are_not(prior: ShapePrior) -> None:
    new = faces(20, start=100)
    shuffled = new[:, torch.randperm(68, generator=torch.Generator().manual_seed(0))]
    assert float(prior.energy(new).max()) < 5
    assert float(prior.energy(shuffled).min()) > 50


def test_what_the_shapes_do_is_cheaper_than_what_they_never_do() -> None:
    """Shapes of a square that differ in one corner: moving that corner costs less than moving another."""
    square = torch.tensor([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]])
    shapes = square.repeat(11, 1, 1)
    shapes[:, 0, 0] += torch.linspace(-0.1, 0.1, 11)
    prior = ShapePrior.fit(shapes)
    nudged = prior.mean.repeat(2, 1, 1)
    nudged[0, 0, 0] += 0.1
    nudged[1, 2, 0] += 0.1
    usual, unusual = prior.energy(nudged).tolist()
    assert 2 * usual < unusual


def test_a_shift_is_cheaper_than_the_same_step_of_one_landmark_a_point(prior: ShapePrior) -> None:
    step = torch.zeros(2, 68, 2)
    step[0, :, 0] = 0.03
    step[1, ::2, 0], step[1, 1::2, 0] = 0.03, -0.03  # as far, to and fro
    together, apart = prior.energy(prior.mean + step).tolist()
    assert 10 * together < apart


def test_with_a_mirror_the_gaussian_is_symmetric() -> None:
    mirror = torch.as_tensor(IBUG_MIRROR).long()
    prior = ShapePrior.fit(faces(5), mirror=mirror)
    assert torch.allclose(mirrored(prior.mean, mirror), prior.mean, atol=1e-6)
    new = faces(5, start=30)
    assert torch.allclose(prior.energy(mirrored(new, mirror)), prior.energy(new), rtol=1e-2)


@pytest.mark.parametrize("mirror", [None, torch.tensor([1, 0, 2])])
def test_one_shape_is_enough(mirror: Tensor | None) -> None:
    shape = torch.tensor([[[0.3, 0.3], [0.7, 0.3], [0.5, 0.8]]])
    prior = ShapePrior.fit(shape, mirror=mirror)
    assert torch.allclose(prior.mean, shape[0], atol=1e-6)
    assert torch.isfinite(prior.precision).all()


def test_gradients(prior: ShapePrior) -> None:
    assert torch.autograd.gradcheck(prior.energy, (faces(1, start=3).double().requires_grad_(),), rtol=1e-2)


def test_fields_deform_as_asked() -> None:
    """Control values for a warp: none at strength 0, more with more, the generator's and nobody else's."""
    prior = ShapePrior.fit(faces(10))

    def field(strength: float, seed: int = 0) -> Tensor:
        return prior.sample_field(16, strength=strength, generator=torch.Generator().manual_seed(seed))

    assert field(1.0).shape[:2] == (16, 2)
    assert float(field(0.0).abs().max()) == 0.0
    assert torch.equal(field(1.0), field(1.0))
    assert not torch.allclose(field(1.0), field(1.0, seed=1))
    assert torch.allclose(field(2.0), 2 * field(1.0), atol=1e-5)


@pytest.mark.parametrize("shapes", [torch.zeros(0, 5, 2), torch.zeros(5, 2), torch.full((2, 5, 2), float("nan"))])
def test_bad_shapes_are_refused(shapes: Tensor) -> None:
    with pytest.raises(BruleError, match="shape prior"):
        ShapePrior.fit(shapes)


def test_denoising_is_the_posterior_mean(prior: ShapePrior) -> None:
    """Against the textbook formula; and what it gives minimises energy plus misfit."""
    covariance = torch.linalg.inv(prior.precision.double())
    gain = covariance @ torch.linalg.inv(covariance + 0.02**2 * torch.eye(136).double())
    points = faces(3, start=70)
    expected = prior.mean.double() + ((points - prior.mean).flatten(1).double() @ gain.T).view(3, 68, 2)
    cleaned = prior.denoise(points, noise=0.02)
    assert torch.allclose(cleaned.double(), expected, atol=1e-4)
    cleaned = cleaned.double().requires_grad_()
    misfit = (cleaned - points).square().sum() / 0.02**2
    slope = torch.autograd.grad(136 * prior.energy(cleaned).sum() + misfit, cleaned)[0]
    assert float(slope.abs().max()) < 0.01 * float((points - prior.mean).abs().max()) / 0.02**2


def test_denoising_helps(prior: ShapePrior) -> None:
    truth = faces(40, start=100)
    noisy = truth + 0.02 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    before, after = ((points - truth).norm(dim=-1).mean() for points in (noisy, prior.denoise(noisy, noise=0.02)))
    assert after < 0.8 * before
