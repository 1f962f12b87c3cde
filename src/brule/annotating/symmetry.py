"""Left–right pairs that a project's annotated shapes show."""

from __future__ import annotations

import numpy as np

from brule.annotating.project import Project
from brule.coordinates import pixels_to_unit
from brule.data.samples import crop_box, landmark_box
from brule.errors import DataError
from brule.geometry import complete_shapes, mirror_permutation

MAX_SHAPES = 20


def project_pairs(project: Project) -> tuple[tuple[int, int], ...] | None:
    """The left–right pairs of the landmarks, from the newest finished annotations.

    Returns:
        Pairs of indices, each once; None without finished annotations, or if their shapes have no left–right symmetry.
    """
    _, shapes = project.annotated(MAX_SHAPES)
    units = []
    for points in shapes:
        try:
            units.append(pixels_to_unit(points, crop_box(landmark_box(points))))
        except DataError:
            continue
    if not units:
        return None
    import torch

    permutation = mirror_permutation(complete_shapes([torch.from_numpy(np.asarray(unit)) for unit in units]))
    return None if permutation is None else tuple((i, j) for i, j in enumerate(permutation.tolist()) if i < j)
