"""Data: files and arrays → :class:`Sample` → crops of one size.

Modules are imported when one of their names is asked for: the readers of all formats take longer than the rest of a detector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brule.lazy import exports

if TYPE_CHECKING:
    from brule.data.annotations import read_annotations, write_annotations
    from brule.data.conversion import Conversion, convert
    from brule.data.crops import CropCache, build_cache, cache_directory, cache_from_arrays
    from brule.data.cutting import Picture
    from brule.data.datasets import DATASETS, read_300w, read_celeba, read_cofw, read_dataset, read_mafl, read_wflw
    from brule.data.discovery import find_annotations, find_images
    from brule.data.edges import Edges, checked_edges, read_edges
    from brule.data.folder import read_folder
    from brule.data.formats import FORMATS, Annotation, Annotations, Format, read_pts, write_pts
    from brule.data.images import (
        as_image,
        crop_image,
        image_size,
        load_crop,
        load_image,
        load_picture,
        whole_image_crop,
    )
    from brule.data.inspection import Inspection, Sheet, contact_sheet, inspect_data
    from brule.data.samples import (
        CROP_SCALE,
        BadFile,
        BadFiles,
        Box,
        Layout,
        Sample,
        SampleList,
        Split,
        crop_box,
        landmark_box,
        split_by_name,
        turn_about,
        upright_box,
    )
    from brule.data.shapes import MIN_SHAPE_POINTS, Shapes, draw_shapes, read_shapes, to_crop, write_shapes
    from brule.data.sources import read_samples
    from brule.data.store_listing import StoreInfo, clear_store, list_stores

__all__ = [
    "CROP_SCALE",
    "DATASETS",
    "FORMATS",
    "MIN_SHAPE_POINTS",
    "Annotation",
    "Annotations",
    "BadFile",
    "BadFiles",
    "Box",
    "Conversion",
    "CropCache",
    "Edges",
    "Format",
    "Inspection",
    "Layout",
    "Picture",
    "Sample",
    "SampleList",
    "Shapes",
    "Sheet",
    "Split",
    "StoreInfo",
    "as_image",
    "build_cache",
    "cache_directory",
    "cache_from_arrays",
    "checked_edges",
    "clear_store",
    "contact_sheet",
    "convert",
    "crop_box",
    "crop_image",
    "draw_shapes",
    "find_annotations",
    "find_images",
    "image_size",
    "inspect_data",
    "landmark_box",
    "list_stores",
    "load_crop",
    "load_image",
    "load_picture",
    "read_300w",
    "read_annotations",
    "read_celeba",
    "read_cofw",
    "read_dataset",
    "read_edges",
    "read_folder",
    "read_mafl",
    "read_pts",
    "read_samples",
    "read_shapes",
    "read_wflw",
    "split_by_name",
    "to_crop",
    "turn_about",
    "upright_box",
    "whole_image_crop",
    "write_annotations",
    "write_pts",
    "write_shapes",
]

if not TYPE_CHECKING:  # type checkers know the names from above, and nothing else is there
    __getattr__, __dir__ = exports(
        __name__,
        {
            "annotations": ("read_annotations", "write_annotations"),
            "conversion": ("Conversion", "convert"),
            "crops": ("CropCache", "build_cache", "cache_directory", "cache_from_arrays"),
            "cutting": ("Picture",),
            "datasets": ("DATASETS", "read_300w", "read_celeba", "read_cofw", "read_dataset", "read_mafl", "read_wflw"),
            "discovery": ("find_annotations", "find_images"),
            "edges": ("Edges", "checked_edges", "read_edges"),
            "folder": ("read_folder",),
            "formats": ("Annotation", "Annotations", "FORMATS", "Format", "read_pts", "write_pts"),
            "images": ("as_image", "crop_image", "image_size", "load_crop", "load_image", "load_picture", "whole_image_crop"),
            "inspection": ("Inspection", "Sheet", "contact_sheet", "inspect_data"),
            "samples": (
                "BadFile",
                "BadFiles",
                "Box",
                "CROP_SCALE",
                "Layout",
                "Sample",
                "SampleList",
                "Split",
                "crop_box",
                "landmark_box",
                "split_by_name",
                "turn_about",
                "upright_box",
            ),
            "shapes": ("MIN_SHAPE_POINTS", "Shapes", "draw_shapes", "read_shapes", "to_crop", "write_shapes"),
            "sources": ("read_samples",),
            "store_listing": ("StoreInfo", "clear_store", "list_stores"),
        },
    )
