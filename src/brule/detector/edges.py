"""The lines between landmarks in a detector's pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from brule.data.edges import Edges
from brule.geometry import nearest_neighbour_edges


def usual_edges(barycenter: Tensor) -> Edges:
    """The default lines: the contours of 68 facial points, else the paper's skeleton.

    Args:
        barycenter: ``(N, 2)``.

    Returns:
        Pairs of indices; for other objects every point is joined to its two nearest in the barycenter.
    """
    from brule.evaluation import contours

    known = contours(len(barycenter))
    if known:
        return tuple(known)
    pairs, once = nearest_neighbour_edges(torch.as_tensor(barycenter)[None].float())
    return tuple((int(a), int(b)) for a, b in pairs[0][once[0]].tolist() if a != b)  # a single point has no line
