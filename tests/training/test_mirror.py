"""Which landmarks change places: the user's pairs, else the shapes' own symmetry, else nothing."""

from __future__ import annotations

import pytest
import torch

from brule.data.shapes import to_crop
from brule.data.synthetic import IBUG_MIRROR, synthetic_faces
from brule.errors import ConfigError
from brule.training.config import TrainingConfig, config_from_dict, load_config
from brule.training.mirror import mirror_of

SHAPES = torch.stack([torch.as_tensor(to_crop(points)) for points in synthetic_faces(10).points]).float()


def found(config: TrainingConfig) -> list[int] | None:
    mirror = mirror_of(SHAPES.mean(0), SHAPES, config)
    return None if mirror is None else mirror.tolist()


def test_the_shapes_tell() -> None:
    assert found(load_config("cpu")) == IBUG_MIRROR.tolist()
    assert found(load_config("cpu", {"loss.mirror": False})) is None


def test_the_user_knows_better() -> None:
    config = load_config("cpu", {"loss.mirror_pairs": "[[36, 45], [48, 54]]"})
    pairs = {36: 45, 45: 36, 48: 54, 54: 48}
    assert found(config) == [pairs.get(index, index) for index in range(68)]
    assert config_from_dict(config.model_dump(mode="json")) == config  # as a detector keeps it


def test_pairs_without_mirroring_are_a_contradiction() -> None:
    with pytest.raises(ConfigError, match=r"loss\.mirror=true"):
        found(load_config("cpu", {"loss.mirror": False, "loss.mirror_pairs": [[36, 45]]}))


@pytest.mark.parametrize("pairs", [[[0, 68]], [[0, 1], [1, 2]]])
def test_pairs_that_do_not_fit_are_refused(pairs: list[list[int]]) -> None:
    with pytest.raises(ConfigError, match=r"loss\.mirror_pairs"):
        found(load_config("cpu", {"loss.mirror_pairs": pairs}))
