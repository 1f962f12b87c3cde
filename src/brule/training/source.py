"""Where the batches of a run come from."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch

from brule.training.config import TrainingConfig
from brule.training.steps import Guide
from brule.training.views import TwoViews, draw_views, to_input


class Images(Protocol):
    """What the loop needs of a store of crops: ``(n, W, W, C)`` bytes, indexable by an array."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: np.ndarray) -> np.ndarray: ...


class ViewSource:
    """Draws the views of an iteration, in a thread of its own while the iteration before it is computed.

    All randomness comes from (seed, iteration), so that a run that is taken up again sees what it would have seen.
    """

    def __init__(self, images: Images, guide: Guide, config: TrainingConfig) -> None:
        self._images, self._guide, self._config = images, guide, config
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="brule-views")
        self._next: tuple[int, Future[TwoViews]] | None = None

    def __enter__(self) -> ViewSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(cancel_futures=True)

    def views(self, iteration: int) -> TwoViews:
        """The views of an iteration; those of the next one are begun."""
        if self._next is None or self._next[0] != iteration:
            self._next = (iteration, self._worker.submit(self._draw, iteration))
        drawn = self._next[1].result()
        self._next = (iteration + 1, self._worker.submit(self._draw, iteration + 1))
        return drawn

    def _draw(self, iteration: int) -> TwoViews:
        config, guide = self._config, self._guide
        generator = torch.Generator().manual_seed(mixed_seed(config.seed, iteration))
        crops = self._images[batch_indices(len(self._images), iteration, config)]
        batch = to_input(torch.from_numpy(crops)).to(guide.barycenter.device)
        return draw_views(batch, config, generator=generator, mirror=guide.mirror, prior=guide.prior)


def mixed_seed(*numbers: int) -> int:
    """One seed of several numbers."""
    # PyTorch's CPU generator looks at 32 bits of a seed only, so the numbers have to be mixed into these.
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])


def batch_indices(count: int, iteration: int, config: TrainingConfig) -> np.ndarray:
    """Which images make the batch of an iteration: every epoch a new order, the remainder left out."""
    per_epoch = count // config.batch_size
    epoch, place = divmod(iteration, per_epoch)
    order = np.random.default_rng([config.seed, epoch]).permutation(count)
    return np.sort(order[place * config.batch_size : (place + 1) * config.batch_size])
