"""Opening image files: which suffixes are read, what opens them, and errors that name the file."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError, features

from brule.data.dicom import is_dicom, open_dicom
from brule.data.large import check_size, open_large
from brule.errors import ConfigError, DataError

_ALWAYS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pnm"),
    *((".avif",) if features.check("avif") else ()),
)
# Suffixes that a package of its own reads: an extra of the same name installs it.
_EXTRAS = {".heic": "heic", ".heif": "heic", ".dcm": "dicom", ".dicom": "dicom"}
_PACKAGES = {"heic": "pillow_heif", "dicom": "pydicom"}
_THERE = frozenset(extra for extra, package in _PACKAGES.items() if importlib.util.find_spec(package) is not None)
IMAGE_SUFFIXES = frozenset(_ALWAYS) | {suffix for suffix, extra in _EXTRAS.items() if extra in _THERE}

# Images of many pixels are read in parts (brule.data.large); a warning of Pillow's would reach the user raw.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A file opened by Pillow; any error inside is raised as a DataError that names the file."""
    try:
        if not path.is_file():
            raise DataError(f"{path}: expected an image, but there is no such file")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty; expected an image")
        _need_extra(path)
        if is_dicom_file(path):
            yield open_dicom(path)
            return
        with _open_file(path) as image:
            check_size(path, image)
            yield image
    except (DataError, ConfigError):
        raise
    except UnidentifiedImageError as error:
        way = "; convert it to JPEG or PNG" if path.suffix.lower() in _EXTRAS else ""
        raise DataError(f"{path}: not an image, or of a kind that Pillow can't read{way}") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, IndexError, …
        raise DataError(f"{path}: the image is broken or truncated ({error})") from error


def _open_file(path: Path) -> Image.Image:
    """An open file of any number of pixels. Pillow warns of many and refuses more: how they are decoded is decided here."""
    try:
        return Image.open(path)
    except Image.DecompressionBombError:
        return open_large(path)


def is_dicom_file(path: Path) -> bool:
    """Whether a file is DICOM, whose suffix may be anything but that of another kind of image."""
    return path.suffix.lower() not in _ALWAYS and path.is_file() and is_dicom(path)


def _need_extra(path: Path) -> None:
    """Register the reader of a file that Pillow can't read alone.

    Raises:
        DataError: its package isn't installed.
    """
    extra = _EXTRAS.get(path.suffix.lower())
    if extra is None:
        return
    if extra not in _THERE:
        raise DataError(
            f"{path}: {path.suffix} files need the package {_PACKAGES[extra]}: pip install 'brule-landmarks[{extra}]', "
            "or convert the file to PNG or JPEG"
        )
    if extra == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
