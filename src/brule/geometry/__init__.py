"""Skeleton heatmaps, random warps that move images and landmarks together, and the statistics of shapes."""

from brule.geometry.shape_prior import ShapePrior
from brule.geometry.skeleton import nearest_neighbour_edges, skeleton_heatmap, skeleton_heatmap_plain
from brule.geometry.symmetry import mirror_permutation, mirrored
from brule.geometry.warps import SynchronizedWarp

__all__ = [
    "ShapePrior",
    "SynchronizedWarp",
    "mirror_permutation",
    "mirrored",
    "nearest_neighbour_edges",
    "skeleton_heatmap",
    "skeleton_heatmap_plain",
]
