"""Which landmarks swap in a mirrored image: given by the user, or found from the shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from brule.errors import BruleError, ConfigError
from brule.geometry import mirror_permutation, paired_permutation

if TYPE_CHECKING:
    from brule.training.config import TrainingConfig


def mirror_of(barycenter: Tensor, shapes: Tensor | None, config: TrainingConfig) -> Tensor | None:
    """The permutation ``(N,)`` under mirroring; ``None`` if there is none, or the settings mirror nothing.

    Args:
        barycenter: ``(N, 2)`` in the unit square of the crop.
        shapes: ``(K, N, 2)`` annotated shapes in the same frame and order, where there are.
        config: of its section ``loss``, ``mirror`` and ``mirror_pairs`` are read.

    Raises:
        ConfigError: if a pair names a landmark that isn't there, or that is in another pair; or if nothing is mirrored.
    """
    wanted, pairs = config.loss.mirror, config.loss.mirror_pairs
    if not pairs:
        return mirror_permutation(barycenter if shapes is None else shapes) if wanted else None
    if not wanted:
        raise ConfigError("loss.mirror_pairs names landmarks that change places, but nothing is mirrored: set loss.mirror=true")
    try:
        return paired_permutation(pairs, len(barycenter))
    except BruleError as error:
        raise ConfigError(f"loss.mirror_pairs: {error}") from None
