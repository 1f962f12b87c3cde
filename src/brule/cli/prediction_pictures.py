"""Pictures of predictions: landmarks over the image, and the crop beside its skeleton heatmap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from brule.data import Edges
    from brule.training.config import TrainingConfig

MAX_OVERLAY_SIDE = 1280  # pixels: larger overlays would take longer to draw than the landmarks to find
MIN_OVERLAY_SIDE = 480  # pixels: on smaller ones landmarks cover what they mark
_FLAGGED = (230, 40, 40)


class Overlays:
    """Writes a picture per image with the landmarks of all its objects; those of flagged ones in a red frame.

    Args:
        folder: where to write.
        names: of each image's picture, without suffix.
        edges: pairs of landmarks that are joined.
    """

    def __init__(self, folder: Path, names: Mapping[Path, Path], edges: Edges) -> None:
        self._folder, self._names, self._edges = folder, names, edges
        self._image: Path | None = None
        self._objects: list[tuple[np.ndarray, bool]] = []

    def __enter__(self) -> Overlays:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._write()

    def add(self, image: Path, points: np.ndarray, *, flagged: bool) -> None:
        """One object: ``(N, 2)`` in pixels. The objects of an image follow each other."""
        if image != self._image:
            self._write()
            self._image, self._objects = image, []
        self._objects.append((points, flagged))

    def _write(self) -> None:
        from brule.coordinates import image_box, pixels_to_unit, unit_to_pixels
        from brule.data.images import image_size, load_reduced
        from brule.plots import draw_objects, save_picture

        if self._image is None:
            return
        picture, full = load_reduced(self._image, MAX_OVERLAY_SIDE), image_box(*image_size(self._image))
        units = [pixels_to_unit(points, full) for points, _ in self._objects]
        shown = [unit_to_pixels(unit, image_box(*picture.size)) for unit in units]
        drawn = draw_objects(picture, shown, side=max(*picture.size, MIN_OVERLAY_SIDE), edges=self._edges)
        for unit, (_, flagged) in zip(units, self._objects, strict=True):
            if flagged:
                _frame(drawn, unit_to_pixels(unit, image_box(*drawn.size)))
        save_picture(drawn, self._folder / f"{self._names[self._image]}.jpg")


def _frame(picture: Image.Image, points: np.ndarray) -> None:
    """A red frame about landmarks ``(N, 2)``."""
    import numpy as np
    from PIL import ImageDraw

    margin = max(picture.size) / 100
    (left, top), (right, bottom) = np.nanmin(points, axis=0) - margin, np.nanmax(points, axis=0) + margin
    ImageDraw.Draw(picture).rectangle((left, top, right, bottom), outline=_FLAGGED, width=max(2, round(margin / 3)))


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
