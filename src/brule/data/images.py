"""Images: any file or array → upright RGB, and the square crop at the size that a network wants.

Files are turned upright by their EXIF orientation; landmarks are in pixels of the upright image. Transparency is laid
on white. Images of more than 8 bits are brought to 8 (:func:`to_8bit`). Outside the image, a crop repeats the nearest
pixel of the edge: unlike a reflection, that never shows a second eye.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from brule.coordinates import box_edges, image_box
from brule.data.cutting import Picture
from brule.data.deep import deep_colour
from brule.data.dicom import dicom_header
from brule.data.large import LARGE, bands, block_for, check_memory, in_parts, is_large, region, stored_orientation
from brule.data.opening import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from brule.data.opening import is_dicom_file, opened
from brule.data.pixels import UPRIGHT, channels_last, rgb
from brule.data.pixels import to_8bit as to_8bit
from brule.data.samples import CROP_SCALE, Box, Sample, crop_box
from brule.errors import DataError, ImageTooLarge

_ORIENTATION_TAG = 0x0112
# JPEG decoders can halve an image for free while decoding; stop at twice the wanted size, so that the good filter that
# follows still decides what is seen.
_DRAFT_MARGIN = 2.0
_TURNED = 1.5  # side of an upright square that holds a turned one, whose diagonal is 1.41 of its side


def load_image(path: Path | str) -> Image.Image:
    """Load an image file as upright RGB.

    Raises:
        DataError: the file is missing, empty, truncated or no image; the message starts with its name.
    """
    with opened(Path(path)) as image:
        check_memory(Path(path), image, as_rgb=True)
        return upright(image)


@dataclass(frozen=True)
class ImageHeader:
    """What is known of an image file before it is decoded.

    Attributes:
        size: width and height of the upright image in pixels.
        orientation: how its EXIF data turns it, from 1 (not at all) to 8.
        spacing: millimetres per pixel along x and y, where it states them (DICOM).
        pictures: how many it holds, of which the first is read; 1 if they weren't counted.
    """

    size: tuple[int, int]
    orientation: int = 1
    spacing: tuple[float, float] | None = None
    pictures: int = 1


def image_header(path: Path | str, *, count: bool = False) -> ImageHeader:
    """Read the header of an image file; it is opened once.

    Args:
        path: the file.
        count: its pictures, which takes a while for some animations.

    Raises:
        DataError: as for :func:`load_image`, though damage behind the header stays unseen.
    """
    path = Path(path)
    if is_dicom_file(path):
        size, spacing = dicom_header(path)
        return ImageHeader(size, spacing=spacing)
    with opened(path) as image:
        # Pillow's PNG class decodes the whole image to look for EXIF data behind it; the base class only looks before.
        turned = _orientation(image, header_only=True)
        size = (image.height, image.width) if turned >= 5 else (image.width, image.height)
        # Pillow turns TIFF files itself, but states how they are stored.
        stated = getattr(image, "tag_v2", {}).get(_ORIENTATION_TAG, 1) if image.format == "TIFF" else turned
        # A JPEG of several pictures is a photograph with its preview, or with the view of a second lens.
        several = count and image.format not in ("MPO", "JPEG")
        return ImageHeader(size, stated if stated in UPRIGHT else 1, pictures=getattr(image, "n_frames", 1) if several else 1)


def image_size(path: Path | str) -> tuple[int, int]:
    """Width and height of the upright image in pixels, from the file's header alone.

    Raises:
        DataError: as for :func:`image_header`.
    """
    return image_header(path).size


def size_of(image: Path | str | Sample | Image.Image | np.ndarray) -> tuple[int, int]:
    """Width and height of a file, from its header alone, or of an image in memory.

    Raises:
        DataError: as for :func:`image_header` or :func:`as_image`.
    """
    if isinstance(image, Sample):
        image = image.path
    return image_size(image) if isinstance(image, (str, Path)) else as_image(image).size


def load_reduced(path: Path | str, side: int) -> Image.Image:
    """Load an image file as upright RGB, no larger than wanted; a JPEG is shrunk while it is decoded.

    Args:
        path: the file.
        side: of the result, at most, in pixels; a smaller image isn't enlarged.

    Raises:
        DataError: as for :func:`load_image`.
    """
    with opened(Path(path)) as image:
        orientation = _orientation(image, header_only=is_large(image))
        width, height = (image.height, image.width) if orientation >= 5 else image.size
        factor = min(1.0, side / max(width, height))
        if in_parts(image):
            block = block_for(width, height, factor)
            turn = stored_orientation(image, orientation)
            piece, _, _ = region(Path(path), image, (0, 0, width, height), block=block, orientation=turn)
            size = (max(1, round(width * factor)), max(1, round(height * factor)))
            return piece.resize(size, Image.Resampling.BICUBIC, box=(0, 0, width / block, height / block))
        _draft(image, orientation, factor * _DRAFT_MARGIN)
        check_memory(Path(path), image, as_rgb=True)
        whole = upright(image)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        return whole if whole.size == size else whole.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def image_spacing(path: Path | str) -> tuple[float, float] | None:
    """Millimetres per pixel along x and y, where an image file states them (DICOM); other files aren't opened.

    Raises:
        DataError: as for :func:`image_header`.
    """
    return image_header(path).spacing if is_dicom_file(Path(path)) else None


def check_image(path: Path | str) -> None:
    """Decode an image file, as coarsely as its kind allows, to see whether it is whole.

    Raises:
        DataError: as for :func:`load_image`.
    """
    with opened(Path(path)) as image:
        if is_large(image) and image.draft(None, (1, 1)) is None:
            for _ in bands(Path(path), image):
                pass
            return
        image.draft(None, (1, 1))
        image.load()


def upright(image: Image.Image, content: bytes | None = None) -> Image.Image:
    """An open image as upright RGB.

    Args:
        image: of a file, or of the bytes of one.
        content: these bytes.
    """
    orientation = _orientation(image)
    deep = deep_colour(image, content)  # loads it
    picture = rgb(image) if deep is None else Image.fromarray(to_8bit(deep))
    if orientation in UPRIGHT:
        picture = picture.transpose(UPRIGHT[orientation])
    picture.info = {}  # or the orientation would still be there, and somebody would apply it again
    return picture


def load_crop(sample: Sample, size: int, scale: float = CROP_SCALE, *, context: float = 1.0) -> tuple[np.ndarray, Box]:
    """Load the part of an image that its box or landmarks mark, at the size a network wants.

    Args:
        sample: the image; without box and points, the whole image is taken (:func:`whole_image_crop`).
        size: side of the result in pixels.
        scale: side of the crop over the longer side of the box.
        context: how many crops the result is to show across, about the centre of the crop; also where the crop is the
            whole image.

    Returns:
        ``(size, size, 3)`` uint8, and what it shows, in pixels of the upright image. A turned object is shown upright: the
        square is turned about its centre by the sample's angle.

    Raises:
        DataError: as for :func:`load_image`.
    """
    with opened(sample.path) as image:
        orientation = _orientation(image, header_only=is_large(image))
        width, height = (image.height, image.width) if orientation >= 5 else image.size
        box = crop_box(sample.crop(scale) or whole_image_crop(width, height), scale=context)
        if in_parts(image):
            block = max(1, int((box[2] - box[0]) / (4 * size)))
            turn = stored_orientation(image, orientation)
            around = crop_box(box, scale=_TURNED) if sample.angle else box
            piece, x, y = region(sample.path, image, box_edges(around), block=block, orientation=turn)
            left, top, right, bottom = box
            part = Picture(piece, (width, height), float(block))
            return part.cut((left - x, top - y, right - x, bottom - y), size, sample.angle), box
        shrunk = _draft(image, orientation, size * _DRAFT_MARGIN / (box[2] - box[0]))
        check_memory(sample.path, image, as_rgb=True)
        return Picture(upright(image), (width, height), shrunk).cut(box, size, sample.angle), box


def load_picture(path: Path | str, factor: Callable[[int, int], float] = lambda width, height: 1.0) -> Picture:
    """Load an image file to cut crops out of.

    Args:
        path: the file.
        factor: width and height of the upright image → the share of its size that is enough; JPEG files are then decoded
            at half, a quarter or an eighth of their size where that is no less.

    Raises:
        DataError: as for :func:`load_image`.
    """
    with opened(Path(path)) as image:
        orientation = _orientation(image, header_only=is_large(image))
        size = (image.height, image.width) if orientation >= 5 else image.size
        if in_parts(image):
            block = block_for(*size, factor(*size))
            turn = stored_orientation(image, orientation)
            piece, _, _ = region(Path(path), image, (0, 0, *size), block=block, orientation=turn)
            return Picture(piece, size, float(block))
        shrunk = _draft(image, orientation, factor(*size))
        check_memory(Path(path), image, as_rgb=True)
        return Picture(upright(image), size, shrunk)


def load_part(path: Path | str, window: tuple[int, int, int, int], *, block: int) -> Image.Image:
    """A part of a large image file as upright RGB, each block of pixels as one; only the part is decoded, if its kind allows.

    Args:
        path: the file.
        window: left, top, right and bottom in pixels of the upright image, from its corner; left and top are multiples of
            ``block``.
        block: pixels along each axis that become one.

    Raises:
        DataError: as for :func:`load_image`.
    """
    left, top, right, bottom = window
    size = (math.ceil((right - left) / block), math.ceil((bottom - top) / block))
    with opened(Path(path)) as image:
        orientation = _orientation(image, header_only=True)
        if in_parts(image):
            turn = stored_orientation(image, orientation)
            piece, x, y = region(Path(path), image, window, block=block, orientation=turn)
            column, row = (left - x) // block, (top - y) // block
            return piece.crop((column, row, column + size[0], row + size[1]))
        shrunk = _draft(image, orientation, 1 / block)
        check_memory(Path(path), image, as_rgb=True)
        whole = upright(image)
        left_, top_, right_, bottom_ = (edge / shrunk for edge in window)
        return whole.resize(size, box=(left_, top_, min(right_, whole.width), min(bottom_, whole.height)))


def whole_image_crop(width: int, height: int) -> Box:
    """The crop of an image of which nothing is known: the square of its *longer* side about its centre.

    Nothing of the image is lost; what is outside repeats its edge.
    """
    return crop_box(image_box(width, height), scale=1.0)


def crop_image(image: Image.Image, box: Box, size: int, *, angle: float = 0.0) -> np.ndarray:
    """Cut a box out of an image and bring it to ``size × size``, antialiased.

    Args:
        image: RGB.
        box: in pixels, to fractions of a pixel; it may reach outside, where the edge is repeated.
        size: side of the result in pixels.
        angle: by how many degrees the box is turned about its centre, clockwise on the screen; the result is upright.

    Returns:
        ``(size, size, 3)`` uint8; the unit square of the result is the unit square of the box.
    """
    return Picture(image, image.size).cut(box, size, angle)


def decode_image(content: bytes, name: str = "image", *, max_pixels: int = LARGE) -> Image.Image:
    """Decode the bytes of an image file as upright RGB.

    Args:
        content: the whole file, of any kind that Pillow reads.
        name: what to call it in an error.
        max_pixels: larger images are refused before they are decoded.

    Raises:
        DataError: it is no image, damaged, or too large (:class:`~brule.errors.ImageTooLarge`).
    """
    if not content:
        raise DataError(f"{name}: expected the bytes of an image file, got none")
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > max_pixels:
                size = f"{image.width:,} × {image.height:,}"
                raise ImageTooLarge(f"{name}: the image has {size} pixels; expected at most {max_pixels:,} in all")
            return upright(image, content)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not an image, or of a kind that Pillow can't read") from error
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"{name}: the image has too many pixels; expected at most {max_pixels:,}") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, IndexError, …
        raise DataError(f"{name}: the image is broken or truncated ({error})") from error


def as_image(image: object, name: str = "image") -> Image.Image:
    """An image in memory → RGB. EXIF orientation is applied to encoded images alone.

    Args:
        image: a Pillow image; an array ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)``; a tensor of these shapes or
            with its channels first: integers of 8 or more bits (:func:`to_8bit`), booleans, or floats from 0 to 1. Or an
            encoded image: the bytes of a file, or an open binary file.
        name: what to call it in an error.

    Raises:
        DataError: another shape or type, floats that aren't between 0 and 1, NaN, or bytes that are no image.
    """
    if hasattr(image, "read"):
        image = image.read()
        if not isinstance(image, bytes):
            raise DataError(f"{name}: expected a file opened in binary mode ('rb')")
    if isinstance(image, (bytes, bytearray, memoryview)):
        return decode_image(bytes(image), name)
    if hasattr(image, "detach"):
        try:
            image = channels_last(image)  # type: ignore[arg-type]
        except (RuntimeError, TypeError) as error:
            raise DataError(f"{name}: expected a dense tensor with values, got one that NumPy can't hold ({error})") from error
    if isinstance(image, Image.Image):
        if 0 in image.size:
            raise DataError(f"{name}: expected an image with pixels, got one of {image.width} × {image.height}")
        try:
            return rgb(image)
        except Exception as error:  # a lazily opened file may turn out to be broken only now
            raise DataError(f"{name}: can't be decoded ({error})") from error
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        hint = "; move the channels to the end" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        raise DataError(f"{name}: expected an image of shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}{hint}")
    return rgb(Image.fromarray(np.ascontiguousarray(to_8bit(array, name))))


def _orientation(image: Image.Image, *, header_only: bool = False) -> int:
    if image.format == "TIFF":
        # Pillow turns TIFF files itself while it loads them, and gives the upright size before.
        if not header_only:
            image.load()
        return 1
    try:
        exif = Image.Image.getexif(image) if header_only else image.getexif()
        value = exif.get(_ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF data doesn't concern the pixels
        return 1
    return value if isinstance(value, int) and value in UPRIGHT else 1


def _draft(image: Image.Image, orientation: int, factor: float) -> float:
    """Let the JPEG decoder shrink to no less than ``factor`` of the size; returns pixels per decoded pixel."""
    # The last decoded pixel may cover fewer than the others; turned upright it would come first and shift the rest.
    if orientation != 1 and (image.width % 8 or image.height % 8) and not is_large(image):
        return 1.0
    width = image.width
    factor = min(factor, math.sqrt(LARGE / (4 * image.width * image.height))) if is_large(image) else factor
    wanted = (math.ceil(image.width * factor), math.ceil(image.height * factor))
    drafted = image.draft(None, wanted) if factor < 1 else None
    return 1.0 if drafted is None else width / drafted[1][2]
