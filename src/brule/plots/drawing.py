"""Fast overlays with NumPy and Pillow alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from brule.arrays import Array
from brule.coordinates import image_box, pixels_to_unit, unit_to_pixels
from brule.errors import DataError
from brule.plots.checks import as_image, check_batch, check_columns, check_edges, check_landmarks
from brule.plots.colours import index_colours

SHEET_BACKGROUND = (24, 26, 30)


def draw_landmarks(
    image: Image.Image | ArrayLike,
    points: ArrayLike,
    *,
    radius: float | None = None,
    numbers: bool = False,
    edges: ArrayLike | None = None,
) -> Image.Image:
    """An image with its landmarks as small antialiased dots, coloured by index, with a dark rim.

    Args:
        image: a Pillow image, or ``(H, W)`` or ``(H, W, 3)`` uint8. It isn't changed.
        points: ``(N, 2)`` in pixels of the image; NaN and far-out points are left out.
        radius: of a dot, in pixels; by default it follows the size of the image and the room between the landmarks.
        numbers: write each landmark's index beside it.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.

    Returns:
        A new RGB image of the same size.

    Raises:
        DataError: shapes don't fit, or an edge names a landmark that doesn't exist.
    """
    picture = as_image(image)
    landmarks = check_landmarks(points)
    pairs = check_edges(edges, len(landmarks))
    if radius is None:
        radius = _default_radius(landmarks, picture.size)
    elif not radius > 0:
        raise DataError(f"the radius of a dot must be positive, got {radius}.")
    colours = index_colours(len(landmarks))
    canvas = np.asarray(picture, dtype=np.float32).copy()
    visible = np.asarray(np.isfinite(landmarks).all(axis=1))
    for i, j in pairs:
        if visible[i] and visible[j]:
            _paint_segment(canvas, landmarks[i], landmarks[j], colours=(colours[i], colours[j]), width=0.55 * radius)
    for i in np.flatnonzero(visible):
        _paint_dot(canvas, landmarks[i], colours[i], radius=radius)
    drawn = Image.fromarray(np.round(canvas).astype(np.uint8))
    if numbers:
        _write_numbers(drawn, landmarks, radius)
    return drawn


def draw_objects(
    image: Image.Image, sets: Iterable[ArrayLike], *, side: int, edges: ArrayLike | None = None, numbers: bool = False
) -> Image.Image:
    """An image at a size at which landmarks can be seen, with the landmarks of any number of objects.

    Args:
        image: RGB, of any size.
        sets: ``(N, 2)`` for each object, in pixels of the image; NaN points are left out.
        side: the longer side of the result, in pixels; small images are enlarged.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.
        numbers: write each landmark's index beside it.
    """
    scale = side / max(image.size)
    width, height = (max(1, round(scale * length)) for length in image.size)
    drawn = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    for points in sets:
        unit = pixels_to_unit(np.asarray(points, dtype=np.float64), image_box(*image.size))
        drawn = draw_landmarks(drawn, unit_to_pixels(unit, image_box(width, height)), edges=edges, numbers=numbers)
    return drawn


def landmark_pictures(
    images: Sequence[Image.Image],
    sets: Sequence[Sequence[ArrayLike] | Array],
    *,
    columns: int = 4,
    tile: int = 320,
    edges: ArrayLike | None = None,
    numbers: bool = False,
) -> Image.Image:
    """Images of any sizes with their objects' landmarks, in a grid; a single image is drawn alone, at its own size.

    Args:
        images: RGB.
        sets: for each image the landmarks ``(N, 2)`` of its objects, in pixels of the image.
        columns: images in a row.
        tile: the longer side of an image in the grid, in pixels; also the least of a single image.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.
        numbers: write each landmark's index beside it.
    """
    single = len(images) == 1
    tiles = []
    for image, own in zip(images, sets, strict=True):
        side = max(tile, *image.size) if single else tile
        picture = draw_objects(image, own, side=side, edges=edges, numbers=numbers)
        square = Image.new("RGB", (tile, tile), SHEET_BACKGROUND)
        square.paste(picture, ((tile - picture.width) // 2, (tile - picture.height) // 2))
        tiles.append(picture if single else square)
    return tiles[0] if single else contact_sheet(tiles, check_columns(columns, len(tiles)))


def draw_dots(image: Image.Image, points: ArrayLike, colour: tuple[int, int, int], *, radius: float) -> Image.Image:
    """An image with points ``(N, 2)`` in pixels as small dots of one colour; NaN points are left out."""
    canvas = np.asarray(image, dtype=np.float32).copy()
    for point in check_landmarks(points):
        if np.isfinite(point).all():
            _paint_dot(canvas, point, np.asarray(colour), radius=radius)
    return Image.fromarray(np.round(canvas).astype(np.uint8))


def draw_crosses(image: Image.Image, points: ArrayLike) -> Image.Image:
    """An image with points ``(N, 2)`` in pixels as small white crosses with a dark rim; NaN points are left out."""
    landmarks = check_landmarks(points)
    canvas = np.asarray(image, dtype=np.float32).copy()
    radius = 1.5 * _default_radius(landmarks, image.size)
    white = np.full(3, 255)
    for point in landmarks[np.isfinite(landmarks).all(axis=1)]:
        for arm in ((radius, radius), (radius, -radius)):
            _paint_segment(canvas, point - arm, point + arm, colours=(white, white), width=0.4 * radius)
    return Image.fromarray(np.round(canvas).astype(np.uint8))


def preview_sheet(
    images: ArrayLike,
    points: ArrayLike,
    columns: int = 6,
    *,
    tile: int = 192,
    edges: ArrayLike | None = None,
    redrawn: ArrayLike | None = None,
) -> Image.Image:
    """A contact sheet of images with their landmarks, each enlarged to a readable tile.

    Args:
        images: ``(B, H, W, 3)`` or ``(B, H, W)`` uint8.
        points: ``(B, N, 2)`` in the unit square of each image.
        columns: tiles in a row.
        tile: the longer side of a tile, in pixels.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.
        redrawn: ``(B, h, w, 3)`` or ``(B, h, w)`` uint8, put to the right of each image; such a pair counts as one column.

    Returns:
        An RGB image, tiles from left to right and from top to bottom, a narrow dark gap around each.
    """
    stack, landmarks = check_batch(images, points)
    scale = tile / max(stack.shape[1:3])
    height, width = (max(1, round(scale * side)) for side in stack.shape[1:3])
    columns = check_columns(columns, len(stack))
    tiles = []
    for i, (image, unit) in enumerate(zip(stack, landmarks, strict=True)):
        enlarged = as_image(image).resize((width, height), Image.Resampling.BICUBIC)
        tiles.append(draw_landmarks(enlarged, unit_to_pixels(unit, image_box(width, height)), edges=edges))
        if redrawn is not None:
            tiles.append(as_image(np.asarray(redrawn)[i]).resize((width, height), Image.Resampling.BICUBIC))
    return contact_sheet(tiles, columns * (1 if redrawn is None else 2), gap=max(2, tile // 48))


def contact_sheet(tiles: Sequence[Image.Image], columns: int, *, gap: int = 4) -> Image.Image:
    """Pictures of one size beside and below each other, a dark gap of ``gap`` pixels around each.

    Args:
        tiles: from left to right and from top to bottom.
        columns: pictures in a row.
        gap: in pixels.
    """
    width, height = tiles[0].size
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), SHEET_BACKGROUND)
    for i, picture in enumerate(tiles):
        row, column = divmod(i, columns)
        sheet.paste(picture, (gap + column * (width + gap), gap + row * (height + gap)))
    return sheet


def titled_sheets(sheets: Mapping[str, Image.Image]) -> Image.Image:
    """Contact sheets of one width below each other, a title above each.

    Args:
        sheets: title → picture.
    """
    band = 30
    font = ImageFont.load_default(size=17)
    width = max(sheet.width for sheet in sheets.values())
    whole = Image.new("RGB", (width, sum(sheet.height + band for sheet in sheets.values())), SHEET_BACKGROUND)
    top = 0
    for title, sheet in sheets.items():
        ImageDraw.Draw(whole).text((8, top + band / 2), title, fill="white", font=font, anchor="lm")
        whole.paste(sheet, (0, top + band))
        top += band + sheet.height
    return whole


def _window(canvas: Array, low: Array, high: Array) -> tuple[Array, Array, Array] | None:
    """The part of a canvas between two corners (a view), and the x and y of its pixels; None outside the canvas."""
    height, width = canvas.shape[:2]
    left, top = (int(v) for v in np.clip(np.floor(low), 0, (width, height)))
    right, bottom = (int(v) for v in np.clip(np.ceil(high) + 1, 0, (width, height)))
    if left >= right or top >= bottom:
        return None
    return canvas[top:bottom, left:right], np.arange(left, right), np.arange(top, bottom)[:, None]


def _blend(part: Array, colour: ArrayLike, coverage: Array) -> None:
    part += coverage[..., None] * (np.asarray(colour, dtype=np.float32) - part)


def _paint_dot(canvas: Array, centre: Array, colour: Array, *, radius: float) -> None:
    rim = radius + max(0.55, 0.3 * radius)
    window = _window(canvas, centre - rim - 1, centre + rim + 1)
    if window is None:
        return
    part, x, y = window
    distance = np.hypot(x - centre[0], y - centre[1])
    # Half a pixel on either side of the circle stands for the share of the pixel inside it: antialiased at any position.
    _blend(part, (12, 14, 18), 0.85 * np.clip(rim + 0.5 - distance, 0, 1))
    _blend(part, colour, np.clip(radius + 0.5 - distance, 0, 1))


def _paint_segment(canvas: Array, start: Array, end: Array, *, colours: tuple[Array, Array], width: float) -> None:
    margin = 0.5 * width + 2
    window = _window(canvas, np.minimum(start, end) - margin, np.maximum(start, end) + margin)
    if window is None:
        return
    part, x, y = window
    along = end - start
    t = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(float(along @ along), 1e-12)
    t = np.clip(t, 0, 1)
    distance = np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1])
    colour = (1 - t[..., None]) * colours[0] + t[..., None] * colours[1]
    _blend(part, (12, 14, 18), 0.4 * np.clip(0.5 * width + 1.3 - distance, 0, 1))
    _blend(part, colour, 0.85 * np.clip(0.5 * width + 0.5 - distance, 0, 1) * min(1.0, width))


def _write_numbers(picture: Image.Image, landmarks: Array, radius: float) -> None:
    size = max(9.0, 2.4 * radius)
    font = ImageFont.load_default(size=size)
    draw = ImageDraw.Draw(picture)
    offsets = (1.35 * radius + 0.62 * size) * outward(landmarks)
    # Pillow overflows on text at absurd distances; a number within its own size of the image may still show.
    near = (np.isfinite(landmarks) & (np.abs(landmarks) < max(picture.size) + 10 * size)).all(axis=1)
    for i in np.flatnonzero(near):
        x, y = landmarks[i] + offsets[i] + 0.5  # Pillow's text counts from the image's corner
        draw.text(
            (x, y),
            str(i),
            fill="white",
            font=font,
            anchor="mm",
            stroke_width=max(1, round(size / 9)),
            stroke_fill="black",
        )


def outward(landmarks: Array) -> Array:
    """Where a number has room beside each point: ``(N, 2)``, unit vectors away from its near neighbours (NaN stay NaN)."""
    visible = np.asarray(np.isfinite(landmarks).all(axis=1))
    directions = np.full_like(landmarks, np.nan)
    points = landmarks[visible]
    if not len(points):
        return directions
    gaps = points[:, None] - points[None]
    lengths = np.linalg.norm(gaps, axis=2)
    # Neighbours push with 1/d², the middle of all points a little: numbers leave a contour to the outside.
    push = (gaps / (lengths**3 + 1e-9)[..., None]).sum(axis=1)
    push /= np.linalg.norm(push, axis=1, keepdims=True) + 1e-9
    centred = points - points.mean(axis=0)
    push += 0.8 * centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-9)
    norms = np.linalg.norm(push, axis=1, keepdims=True)
    directions[visible] = np.where(norms > 1e-6, push / np.maximum(norms, 1e-6), (0.0, -1.0))
    return directions


def _default_radius(landmarks: Array, size: tuple[int, int]) -> float:
    """0.7 % of the image's side, less where the landmarks are crowded, never too small to see."""
    radius = 0.007 * float(np.sqrt(size[0] * size[1]))
    points = landmarks[np.isfinite(landmarks).all(axis=1)]
    if len(points) > 1:
        lengths = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(lengths, np.inf)
        radius = min(radius, 0.36 * float(np.median(lengths.min(axis=1))))
    return max(1.5, radius)
