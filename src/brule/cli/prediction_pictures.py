"""Pictures of predictions: landmarks over the image, and the crop beside its skeleton heatmap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from brule.data import Edges
    from brule.training.config import TrainingConfig

OVERLAY_SIDE = 1280  # pixels: larger overlays would take longer to draw than the landmarks to find
LEAST_SIDE = 480  # pixels: on smaller ones landmarks cover what they mark


def draw_overlay(image: Path, points: np.ndarray, *, target: Path, edges: Edges) -> None:
    """Draw landmarks ``(N, 2)``, in pixels, on their image."""
    from brule.coordinates import image_box, pixels_to_unit, unit_to_pixels
    from brule.data.images import image_size, load_reduced
    from brule.plots import draw_objects, save_picture

    picture = load_reduced(image, OVERLAY_SIDE)
    unit = pixels_to_unit(points, image_box(*image_size(image)))
    side = max(*picture.size, LEAST_SIDE)
    save_picture(draw_objects(picture, [unit_to_pixels(unit, image_box(*picture.size))], side=side, edges=edges), target)


def draw_heatmap(image: Path, points: np.ndarray, *, target: Path, edges: Edges, config: TrainingConfig) -> None:
    """Draw the crop about landmarks ``(N, 2)``, in pixels, beside their skeleton heatmap."""
    import numpy as np
    from PIL import Image

    from brule.coordinates import image_box, unit_to_pixels
    from brule.data import load_picture
    from brule.detector.heatmaps import SIDE, landmark_heatmap
    from brule.plots import contact_sheet, draw_landmarks, save_picture

    found = landmark_heatmap(points, config)
    left, _, right, _ = found.box
    crop = load_picture(image, lambda width, height: 2 * SIDE / (right - left)).cut(found.box, SIDE)
    overlay = draw_landmarks(crop, unit_to_pixels(found.points, image_box(SIDE, SIDE)), edges=edges)
    lines = np.round(255 * found.heatmap.clip(0, 1)).astype(np.uint8)  # where lines cross they add up to more than one
    save_picture(contact_sheet([overlay, Image.fromarray(lines).convert("RGB")], 2), target)
