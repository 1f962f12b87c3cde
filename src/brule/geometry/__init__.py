"""Skeleton heatmaps, random warps that move images and landmarks together, and the statistics of shapes."""

from brule.geometry.augmented_pair import AugmentedPair, flipped_where
from brule.geometry.completion import complete_shapes
from brule.geometry.curves import evenly_spaced
from brule.geometry.shape_model import ShapeModel
from brule.geometry.shape_prior import ShapePrior
from brule.geometry.skeleton import nearest_neighbour_edges, skeleton_heatmap, skeleton_heatmap_plain
from brule.geometry.symmetry import mirror_permutation, mirrored, paired_permutation
from brule.geometry.warps import SynchronizedWarp

__all__ = [
    "AugmentedPair",
    "ShapeModel",
    "ShapePrior",
    "SynchronizedWarp",
    "complete_shapes",
    "evenly_spaced",
    "flipped_where",
    "mirror_permutation",
    "mirrored",
    "nearest_neighbour_edges",
    "paired_permutation",
    "skeleton_heatmap",
    "skeleton_heatmap_plain",
]
