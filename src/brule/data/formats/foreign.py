"""Files that people have beside their images and that aren't read: what they are, and the way out."""

from __future__ import annotations

from collections.abc import Collection, Container
from pathlib import Path
from typing import Any

from brule.data.formats.columns import lacking
from brule.data.formats.hdf5 import ADVICE, READABLE
from brule.data.images import IMAGE_SUFFIXES

_RAW = frozenset({".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw"})
_PHONE = frozenset({".heic", ".heif", ".avif"})
_VIDEO = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".wmv", ".h264"})
_SLIDES = frozenset({".svs", ".ndpi", ".czi", ".lif", ".nd2", ".mrxs", ".scn", ".vsi", ".lsm", ".oib"})
_SCANS = frozenset({".dcm", ".dicom", ".ima"})
HDF5_SUFFIXES = frozenset({".h5", ".hdf5", ".slp"})
_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"})
_VOLUMES = frozenset({".nii", ".mha", ".mhd", ".nrrd"})
_PICTURES = frozenset({".psd", ".svg", ".pdf", ".eps", ".jxl", ".jp2", ".j2k", ".exr"})

_KINDS: tuple[tuple[frozenset[str], str, str], ...] = (
    (_RAW, "a raw photograph", "convert it to JPEG or PNG"),
    (
        _PHONE,
        "a photograph as phones take it",
        "install brule-landmarks[heic] for .heic, or convert it to JPEG or PNG",
    ),
    (_VIDEO, "a video", "save its frames as images (`brule data frames` does for labels of SLEAP and CVAT)"),
    (_SLIDES, "a microscope's or slide scanner's file", "export the picture as TIFF or PNG"),
    (_SCANS, "a DICOM file", "install brule-landmarks[dicom] to read it"),
    (_ARCHIVES, "an archive", "unpack it, and give the folder"),
    (_VOLUMES, "a volume", "export the slice as PNG or TIFF"),
    (_PICTURES, "a picture of another kind", "convert it to PNG or JPEG"),
    (HDF5_SUFFIXES, "HDF5 of DeepLabCut or SLEAP", f"install brule-landmarks[hdf5] to read it, or {ADVICE}"),
    (frozenset({".mat"}), "a MATLAB file", "write its landmarks as CSV: image,x0,y0,x1,y1,…"),
    (frozenset({".roi"}), "a selection of ImageJ", "tick 'Display label', then Analyze, Measure, and save the Results as CSV"),
    (frozenset({".cat"}), "landmarks of the cat data set", "write them as CSV: image,x0,y0,x1,y1,…"),
    (frozenset({".npy", ".npz", ".pkl", ".pickle"}), "Python's own storage", "write its landmarks as CSV: image,x0,y0,x1,y1,…"),
    (frozenset({".xls", ".xlsx", ".xlsm", ".ods", ".numbers"}), "a spreadsheet", "save it as CSV"),
    (
        frozenset({".rds", ".rda", ".rdata"}),
        "R's own storage",
        "write its landmarks as CSV: image,x0,y0,x1,y1,…, or as TPS (geomorph: writeland.tps)",
    ),
    (
        frozenset({".parquet", ".feather", ".arrow", ".sqlite", ".sav", ".dta", ".nwb", ".tfrecord"}),
        "a table or store of another program",
        "write its landmarks as CSV: image,x0,y0,x1,y1,…",
    ),
    (frozenset({".jsonl", ".ndjson"}), "lines of JSON", "write their landmarks as CSV: image,x0,y0,x1,y1,…, or as COCO"),
    (frozenset({".nts"}), "a file of NTSYS", "convert it to TPS (tpsUtil)"),
    (
        frozenset({".land", ".pp", ".lmk", ".asf", ".pts3d", ".lm"}),
        "a landmark file of another program",
        "export TPS or CSV",
    ),
)
# What people and programs keep beside images, and what holds no landmarks.
_HARMLESS = frozenset(
    {
        "",
        ".md",
        ".rst",
        ".rtf",
        ".doc",
        ".docx",
        ".odt",
        ".ppt",
        ".pptx",
        ".html",
        ".htm",
        ".css",
        ".js",
        ".tex",
        ".bib",
        ".url",
    }
    | {".lnk", ".db", ".ini", ".cfg", ".conf", ".toml", ".yaml", ".yml", ".lock", ".log", ".xsl", ".sh", ".bat", ".ps1", ".py"}
    | {".ipynb", ".r", ".rmd", ".rproj", ".m", ".java", ".c", ".cpp", ".h", ".exe", ".dll", ".so", ".onnx", ".pt", ".pth"}
    | {".ckpt", ".safetensors", ".pb", ".index", ".meta", ".cache", ".names", ".xmp", ".aae", ".thm", ".tmp", ".part"}
)
_UNKNOWN = (
    "of no kind that is read; if it holds landmarks, export them as CSV (image,x0,y0,x1,y1,…), COCO or TPS; if it is a "
    "picture, convert it to PNG or JPEG"
)
_READ = IMAGE_SUFFIXES | (HDF5_SUFFIXES if READABLE else frozenset())
_WAYS_OUT = {suffix: (what, way) for suffixes, what, way in _KINDS for suffix in suffixes - _READ}
FOREIGN_SUFFIXES = frozenset(_WAYS_OUT)


class _Unknown:
    """The suffixes of which nothing is known."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known

    def __contains__(self, suffix: object) -> bool:
        return suffix not in self._known


def unknown_suffixes(read: Collection[str]) -> Container[str]:
    """The suffixes that are neither ``read``, nor of other programs that are known, nor harmless."""
    return _Unknown(_HARMLESS | FOREIGN_SUFFIXES | frozenset(read))


_SAMPLE_ROWS = 5  # rows
_COORDINATES = 2  # numbers in a row of text that may be a landmark

# What tools keep beside their files, and what is read with those.
COMPANIONS = frozenset(
    {"meta.json", "data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "obj_class_to_machine_color.json", "license.txt"}
    | {"classes.txt", "notes.json"}  # of Label Studio's YOLO
)


def way_out(path: Path) -> str | None:
    """What a file that isn't read is, and what to do with it.

    Args:
        path: the file; only its name is looked at.

    Returns:
        A sentence without the file's name; None for a file that is read, or that holds no landmarks.
    """
    suffix = path.suffix.lower()
    if suffix in _HARMLESS | _READ:
        return None
    if suffix not in _WAYS_OUT:
        return _UNKNOWN
    what, way = _WAYS_OUT[suffix]
    return f"{what}, which isn't read; {way}"


def odd_content(path: Path, content: Any) -> str | None:
    """What an annotation's suffix holds that no format recognises, in a sentence without the file's name.

    Args:
        path: the file.
        content: as :func:`brule.data.formats.load` gives it.

    Returns:
        None for what is no annotation beyond doubt, such as plain text.
    """
    suffix = path.suffix.lower()
    if path.name.lower() in COMPANIONS:
        return None
    if suffix in HDF5_SUFFIXES:
        what = "SLEAP's analysis, which holds predictions" if "analysis" in path.name else "HDF5 of no known kind"
        return f"{what}; DeepLabCut's labels and SLEAP's .slp are read, predictions of a video aren't; {ADVICE}"
    if suffix == ".json":
        return "JSON of no known annotation format; docs/formats.md lists those that are read"
    if suffix == ".xml":
        boxes = getattr(content, "find", lambda name: None)("object/bndbox") is not None
        what = "boxes of Pascal VOC, without landmarks" if boxes else "XML of no known annotation format"
        return f"{what}; expected CVAT for images 1.1 or imglab"
    if suffix == ".txt":
        rows = [row for row in content.text.split("\n", 20)[:20] if row.strip()]
        numbers = [row for row in rows if _is_place(row.replace(",", " ").split())]
        if not numbers or len(numbers) < len(rows) / 2:
            return None
        return "numbers that are no known annotation; expected YOLO-pose (class, box, points), or a CSV image,x0,y0,x1,y1,…"
    if any(one.lstrip().startswith(('[{"', '{"')) for row in content.head(_SAMPLE_ROWS) for one in row):
        return "a table with JSON in its cells, as Label Studio writes CSV, which isn't read; export JSON or JSON-MIN"
    lacks = "".join(f": {lacking(row)}" for row in content.head(1))
    return f"a table of no known annotation format{lacks}; expected a first row image,x0,y0,x1,y1,… or image,nose_x,nose_y,…"


def _is_place(cells: list[str]) -> bool:
    """Whether a row of text may be a landmark: numbers, perhaps with its name."""
    numbers = sum(map(_is_number, cells))
    return numbers >= _COORDINATES and len(cells) - numbers <= 1


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
