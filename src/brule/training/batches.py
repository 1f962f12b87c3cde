"""The batches of a run."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from brule.geometry import AugmentedPair, ShapeModel
from brule.tensors import Images, to_input
from brule.training.config import TrainingConfig
from brule.training.distributed import SINGLE, Distributed
from brule.training.schedule import finetune_config
from brule.training.views import draw_augmented_pair, draw_labelled, draw_moved

_LABELS = 2  # the stream of the seed for annotated images; unlabelled ones have none, styles 1, local regressions 3


@dataclass(frozen=True)
class LabelledImages:
    """Annotated crops.

    Attributes:
        images: as for the unlabelled ones.
        points: ``(n, N, 2)`` in the unit square of the crop itself, NaN where a landmark is missing.
    """

    images: Images
    points: Tensor


@dataclass(frozen=True)
class Batch:
    """What an iteration learns from: unlabelled images, annotated ones, or both.

    Attributes:
        views: two views of unlabelled images.
        labelled: annotated images ``(B, C, S, S)`` and their landmarks ``(B, N, 2)`` in the unit square, NaN where missing.
    """

    views: AugmentedPair | None
    labelled: tuple[Tensor, Tensor] | None = None


class BatchSource:
    """Draws the batches, each in a thread of its own while the iteration before it is computed.

    All randomness comes from (seed, iteration), so that a resumed run sees the batches that it would have seen.

    Args:
        images: the unlabelled crops; ``None`` if there are annotated ones alone.
        labelled: the annotated ones; ``None`` if there are unlabelled ones alone.
        shape_model: mirroring and deformations come from here.
        config: the settings.
        distributed: each process gets its share of every batch.
    """

    def __init__(
        self,
        images: Images | None,
        labelled: LabelledImages | None,
        shape_model: ShapeModel,
        *,
        config: TrainingConfig,
        distributed: Distributed = SINGLE,
    ) -> None:
        self.images, self.labelled, self._shape_model, self._config = images, labelled, shape_model, config
        self._distributed = distributed
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="brule-views")
        self._next: tuple[tuple[int, bool], Future[Batch]] | None = None

    def __enter__(self) -> BatchSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(cancel_futures=True)

    def batch(self, iteration: int, *, finetune: bool = False) -> Batch:
        """The batch of an iteration; preparation of the next one is started.

        Args:
            iteration: counted from 0.
            finetune: whether the run is in its fine-tuning phase.
        """
        if self._next is None or self._next[0] != (iteration, finetune):
            self._begin(iteration, finetune)
        assert self._next is not None
        drawn = self._next[1].result()
        self._begin(iteration + 1, finetune)
        return drawn

    def _begin(self, iteration: int, finetune: bool) -> None:
        self._next = ((iteration, finetune), self._worker.submit(self._draw, iteration, finetune))

    def _draw(self, iteration: int, finetune: bool) -> Batch:
        views = None if self.images is None else self._draw_views(self.images, iteration)
        turn, rest = divmod(iteration, self._config.labelled.every)
        if self.labelled is None or (rest and views is not None):
            return Batch(views, None)
        return Batch(views, self._draw_labelled(self.labelled, turn if views is not None else iteration, finetune=finetune))

    def _draw_views(self, images: Images, iteration: int) -> AugmentedPair:
        config = self._config
        generator = torch.Generator().manual_seed(mixed_seed(config.seed, iteration))
        crops = self._tensor(images[self._distributed.rows(batch_indices(len(images), iteration, config))])
        if config.warp.both:
            crops = draw_moved(crops, config, generator=generator, distributed=self._distributed)
        both = not (config.teacher.enabled and config.teacher.plain)
        return draw_augmented_pair(
            crops, self._shape_model, config, generator=generator, both=both, distributed=self._distributed
        )

    def _draw_labelled(self, labelled: LabelledImages, turn: int, *, finetune: bool) -> tuple[Tensor, Tensor]:
        shape_model, config = self._shape_model, finetune_config(self._config) if finetune else self._config
        if finetune and not config.finetune.mirror:
            shape_model = replace(shape_model, mirror=None)
        generator = torch.Generator().manual_seed(mixed_seed(config.seed, turn, _LABELS))
        chosen = self._distributed.rows(labelled_indices(len(labelled.images), turn, config))
        points = labelled.points[torch.from_numpy(chosen)].to(shape_model.barycenter.device)
        crops = self._tensor(labelled.images[chosen])
        return draw_labelled(crops, points, shape_model, config=config, generator=generator, distributed=self._distributed)

    def _tensor(self, crops: np.ndarray) -> Tensor:
        return to_input(torch.from_numpy(crops).to(self._shape_model.barycenter.device))


def mixed_seed(*numbers: int) -> int:
    """One seed of several numbers."""
    # PyTorch's CPU generator looks at 32 bits of a seed only, so the numbers have to be mixed into these.
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])


def batch_indices(count: int, iteration: int, config: TrainingConfig) -> np.ndarray:
    """Which images make the batch of an iteration: every epoch a new order, the remainder left out."""
    per_epoch = count // config.batch_size
    epoch, place = divmod(iteration, per_epoch)
    order = _epoch_order(count, config.seed, epoch)
    return np.sort(order[place * config.batch_size : (place + 1) * config.batch_size])


def labelled_indices(count: int, turn: int, config: TrainingConfig) -> np.ndarray:
    """Which annotated images make a batch: epoch after epoch in a new order, batches running on from one into the next."""
    size = config.labelled.batch_size or config.batch_size
    places = [divmod(place, count) for place in range(turn * size, (turn + 1) * size)]
    return np.array([_epoch_order(count, config.seed, epoch, _LABELS)[index] for epoch, index in places])


@lru_cache(maxsize=4)
def _epoch_order(count: int, *seed: int) -> np.ndarray:
    """The order of an epoch; kept, since a permutation of 200,000 takes longer than the reading of a batch."""
    order = np.random.default_rng(seed).permutation(count)
    order.setflags(write=False)
    return order
