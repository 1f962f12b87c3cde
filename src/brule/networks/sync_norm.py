"""Batch norm over the images of several processes."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """A batch norm whose statistics are those of all processes' images, on any device.

    On GPUs :class:`torch.nn.SyncBatchNorm` does the same faster; it refuses CPUs.

    Args:
        norm: takes over its weights and statistics.
        mean: the mean of a tensor over the processes, differentiable; they have equal shares.
        count: how many processes there are.
    """

    def __init__(self, norm: nn.BatchNorm2d, mean: Callable[[Tensor], Tensor], *, count: int) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self._mean, self._count = mean, count
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W) → (B, C, H, W)``."""
        if not self.training:
            return super().forward(x)
        wide = x.float()
        mean = self._mean(wide.mean((0, 2, 3)))
        variance = self._mean((wide - mean[:, None, None]).square().mean((0, 2, 3)))
        self._remember(mean.detach(), variance.detach(), count=self._count * x.numel() // x.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (wide * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, *, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum)
        self.num_batches_tracked += 1
