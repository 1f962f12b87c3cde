"""DICOM images, through pydicom: the first frame as it is shown on a screen, and the size of a pixel in millimetres.

Nothing of the patient leaves the file: only pixels, their size and the window are read.
"""

from __future__ import annotations

import importlib.util
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from brule.errors import DataError

_MARK = b"DICM"  # after 128 bytes
_PREAMBLE = 132  # bytes before the meta information, the mark included
_MAX_PIXELS = 2**27  # pixels of a frame
_MAX_INFLATED = 2**30  # bytes of a file that is deflated as a whole
_BAND = 2**20  # pixels that are made grey at a time
_DEFLATED = "1.2.840.10008.1.2.1.99"
_META = 2  # the group of the meta information, which is never deflated


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its content."""
    with path.open("rb") as file:
        return file.read(_PREAMBLE)[128:] == _MARK


def dicom_header(path: Path) -> tuple[tuple[int, int], tuple[float, float] | None]:
    """Width and height of a DICOM image without its pixels, and the millimetres per pixel along x and y, if it states them.

    The length of a pixel is that at the object, else that at the detector.

    Raises:
        DataError: as for :func:`open_dicom`.
    """
    found = _read(path, header_only=True)
    return _size(path, found), _spacing(found)


def open_dicom(path: Path) -> Image.Image:
    """The first frame of a DICOM file.

    Grey values go through the file's window, else from the least to the largest; MONOCHROME1 is inverted. Indices into a
    palette become its colours.

    Raises:
        DataError: pydicom isn't installed, or the file holds no image that it can decode.
    """
    found = _read(path, header_only=False)
    _size(path, found)
    try:
        return Image.fromarray(_first_frame(found))
    except Exception as error:  # pydicom and its decoders raise whatever they like
        raise DataError(
            f"{path}: the DICOM image can't be decoded ({_line(error)}); convert it to uncompressed DICOM or PNG"
        ) from error


def _size(path: Path, found: Any) -> tuple[int, int]:
    try:
        size = (int(found.Columns), int(found.Rows))
    except Exception as error:  # missing, or damaged: pydicom decodes values when they are asked for
        raise DataError(f"{path}: a DICOM file without an image (Rows, Columns); expected an image") from error
    if min(size) < 1 or size[0] * size[1] > _MAX_PIXELS:
        raise DataError(f"{path}: expected an image of 1 to {_MAX_PIXELS:,} pixels, got {size[0]} × {size[1]}")
    return size


def _spacing(found: Any) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            y, x = (float(value) for value in getattr(found, name, None) or ())  # rows first
        except Exception:  # damaged
            continue
        if 0 < x < 1e6 and 0 < y < 1e6:
            return x, y
    return None


def _read(path: Path, *, header_only: bool) -> Any:
    if importlib.util.find_spec("pydicom") is None:
        raise DataError(f"{path}: DICOM files need the package pydicom; install it (pip install 'brule-landmarks[dicom]')")
    import pydicom

    try:
        _check_inflated(path)
        return pydicom.dcmread(path, stop_before_pixels=header_only)
    except DataError:
        raise
    except Exception as error:  # damaged files raise whatever the parser meets
        raise DataError(f"{path}: not DICOM, or cut off ({_line(error)})") from error


def _check_inflated(path: Path) -> None:
    """Refuse a file that is deflated behind its meta information and inflates to more than brule takes.

    Raises:
        DataError: it does.
    """
    from pydicom.filereader import read_dataset, read_file_meta_info

    if read_file_meta_info(path).get("TransferSyntaxUID") != _DEFLATED:
        return
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(_PREAMBLE)
        # As pydicom's reader does: up to the first tag of another group, whatever length the file states for this one.
        read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != _META)  # explicit types, little endian
        pending = file.read(_BAND)
        while pending and not inflater.eof and inflated <= _MAX_INFLATED:
            inflated += len(inflater.decompress(pending, _BAND))
            pending = inflater.unconsumed_tail or file.read(_BAND)
    if inflated > _MAX_INFLATED:
        raise DataError(f"{path}: takes more than {_MAX_INFLATED >> 30} GiB once it is inflated; save it without deflate")


def _first_frame(found: Any) -> np.ndarray:
    from pydicom.pixels.utils import pixel_array

    values = pixel_array(found, index=0) if int(found.get("NumberOfFrames") or 1) > 1 else pixel_array(found)
    step = max(1, _BAND // values.shape[1])
    bands = [values[start : start + step] for start in range(0, len(values), step)]  # one at a time: they become float64
    if found.PhotometricInterpretation == "PALETTE COLOR":
        return np.concatenate([_palette_colours(band, found) for band in bands])
    if values.ndim == 3:  # colour, which pydicom gives as RGB
        return np.concatenate([_stretched(band, 0, 2 ** int(found.BitsStored) - 1) for band in bands])
    if _windowed(found):
        low, high = _range(found)
    else:
        ends = [(float(shown.min()), float(shown.max())) for shown in (_shown(band, found) for band in bands)]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
    grey = np.concatenate([_stretched(_shown(band, found), low, high) for band in bands])
    return 255 - grey if found.PhotometricInterpretation == "MONOCHROME1" else grey


def _palette_colours(values: np.ndarray, found: Any) -> np.ndarray:
    """Indices ``(H, W)`` → the RGB colours of the file's palette."""
    from pydicom.pixels.processing import apply_color_lut

    colours = apply_color_lut(values, found)[..., :3]  # a fourth one is alpha
    # Entries of 8 bits may be kept in 16, and some files state 16 for entries that have 8.
    bits = min(int(found.RedPaletteColorLookupTableDescriptor[2]), 8 * colours.dtype.itemsize)
    return _stretched(colours, 0, 2**bits - 1)


def _shown(values: np.ndarray, found: Any) -> np.ndarray:
    """Stored values through the file's modality and, where there is one, its window."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(values, found)
    if _windowed(found):
        values = apply_voi_lut(values, found)
    return np.asarray(values, dtype=np.float64)


def _windowed(found: Any) -> bool:
    return _has_window(found) or _states(found, "VOILUTSequence")


def _has_window(found: Any) -> bool:
    return _states(found, "WindowWidth") and _states(found, "WindowCenter")


def _states(found: Any, name: str) -> bool:
    """Whether an element has a value: programs that remove personal data leave some of them there, empty."""
    value = found.get(name)
    return value is not None and str(value) != "" and (not hasattr(value, "__len__") or len(value) > 0)


def _range(found: Any) -> tuple[float, float]:
    """The values that a window gives, from black to white."""
    if _states(found, "VOILUTSequence") and not _has_window(found):
        return 0.0, float(2 ** int(found.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    bits, signed = int(found.BitsStored), int(found.get("PixelRepresentation") or 0)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(found.get("RescaleSlope") or 1), float(found.get("RescaleIntercept") or 0)
    return low * slope + intercept, high * slope + intercept


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.rint((values - low) * (255.0 / max(high - low, 1e-12))), 0, 255).astype(np.uint8)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
