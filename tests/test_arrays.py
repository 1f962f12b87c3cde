"""What several packages share about NumPy arrays."""

import numpy as np
import pytest

from brule.arrays import evenly_spread


@pytest.mark.parametrize(("count", "most"), [(1, 1), (5, 5), (3, 10), (100, 7), (1793, 512)])
def test_evenly_spread_indices(count: int, most: int) -> None:
    chosen = evenly_spread(count, most)
    assert len(chosen) == min(count, most)
    assert chosen[0] == 0 and (most == 1 or chosen[-1] == count - 1)
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 1 else True


def test_of_nothing_nothing_is_chosen() -> None:
    assert evenly_spread(0, 5).tolist() == []
