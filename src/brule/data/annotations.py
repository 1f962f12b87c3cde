"""Read and write annotation files of any format."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from brule.data.formats import Annotation, Annotations, Format, format_for
from brule.data.image_lookup import ImageFinder
from brule.data.predictions import read_if_predictions
from brule.data.reading import parse_annotations
from brule.errors import ConfigError, DataError
from brule.files import check_name, write_text


def read_annotations(
    path: Path | str, *, format: Format | None = None, images: Iterable[Path] = (), skip_bad: bool = False
) -> Annotations:
    """Read an annotation file.

    Args:
        path: the file.
        format: its format; by default recognised by suffix and content.
        images: where images may be, beside those below the file's folder; only formats that depend on an image's size
            look for them.
        skip_bad: leave records out that are bad; ``problems`` of the result lists them. The file as a whole has to be right
            all the same.

    Returns:
        Its records; images are named as in the file.

    Raises:
        DataError: the file is damaged or of no known format, or, without ``skip_bad``, a record is bad.
    """
    path = Path(path)
    found = parse_annotations(path, ImageFinder(path, images).size, format=format, other=read_if_predictions)
    if found is None:
        raise DataError(f"{path}: no annotation of a known format for {path.suffix.lower()} files; name its format")
    if found.problems and not skip_bad:
        raise DataError(f"{path}: {found.problems[0]}")
    return found


def write_annotations(
    path: Path | str, annotations: Annotations, *, format: Format | None = None, force: bool = False
) -> list[Path]:
    """Write annotations; missing folders are made.

    Args:
        path: the file to write; the folder, for a format with one file per image: there, the images' names decide.
        annotations: the records; their images' names are written as they are, but for one file per image: there, they are
            names of files relative to ``path``.
        format: the format; by default from the suffix.
        force: replace files that are there.

    Returns:
        The files written.

    Raises:
        ConfigError: no format, or several, have the suffix; or a file is there and ``force`` is not given.
        DataError: the format can't hold a record at all. Nothing has been written then.
        OutputError: a file's name would be too long. Nothing has been written then.
    """
    path = Path(path)
    format = format or format_for(path)
    if not annotations.items:
        raise DataError(f"{path}: there is nothing to write")
    files = _one_each(path, annotations, format) if format.one_image else [(path, annotations)]
    texts = [(file, _text(file, own, format)) for file, own in files]
    if format.companions is not None:
        texts += [(path / name, text) for name, text in format.companions(annotations).items()]
    for file, _ in texts:
        check_name(file)
    if taken := [file for file, _ in texts if file.exists()]:
        if not force:
            raise ConfigError(f"{taken[0]}: exists already; choose another name, or replace it with --force (force=True)")
        if directories := [file for file in taken if file.is_dir()]:
            raise ConfigError(f"{directories[0]}: expected the name of a file to write, this is a folder")
    for file, text in texts:
        write_text(file, text)
    return [file for file, _ in texts]


def relative_name(image: Path, folder: Path) -> str:
    """An image's path from a folder, with slashes; absolute where there is none, as between drives."""
    try:
        return Path(os.path.relpath(image, folder)).as_posix()
    except ValueError:
        return Path(os.path.abspath(image)).as_posix()


def _text(path: Path, annotations: Annotations, format: Format) -> str:
    try:
        text = format.dump(annotations)
        text.encode("utf-8")
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except UnicodeEncodeError as error:
        raise DataError(f"{path}: a name holds characters that aren't Unicode; rename that file or landmark") from error
    return text


def _one_each(folder: Path, annotations: Annotations, format: Format) -> list[tuple[Path, Annotations]]:
    """One file per image, named as the image is, in the same folders below ``folder``."""
    by_image: dict[str, list[Annotation]] = {}
    for item in annotations.items:
        if item.labelled or item.box is not None:
            by_image.setdefault(item.image, []).append(item)
    if not by_image:
        raise DataError(f"{folder}: no image has landmarks, so there is nothing to write")
    absolute = [os.path.dirname(image) for image in by_image if os.path.isabs(image)]
    root = os.path.commonpath(absolute) if absolute else ""
    files: dict[Path, str] = {}
    result = []
    for image, items in by_image.items():
        if len(items) > 1 and "several" not in format.holds:
            raise DataError(f"{folder}: {format.title} holds one object per image, and {image} has {len(items)}")
        inside = Path(os.path.relpath(image, root)) if os.path.isabs(image) else Path(image)
        file = format.own_file(folder.joinpath(*[part for part in inside.parts if part != ".."]))
        if file in files:
            raise DataError(f"{folder}: {image} and {files[file]} would both become {file.name}; rename one of them")
        files[file] = image
        name = relative_name(Path(image) if os.path.isabs(image) else folder / image, file.parent)
        result.append((file, replace(annotations, items=[replace(item, image=name) for item in items])))
    return result
