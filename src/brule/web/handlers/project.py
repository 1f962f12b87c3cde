"""The project as a whole: landmarks, settings, images."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from brule.annotating.exporting import described_formats
from brule.annotating.folders import ImageEntry, image_id
from brule.annotating.importing import add_images
from brule.annotating.measured import measurements_of
from brule.annotating.missing import kept_without_images, missing_folders, missing_notes
from brule.annotating.outlines import contour_from_outlines
from brule.annotating.project import UPLOADS, Project
from brule.annotating.symmetry import project_pairs
from brule.annotating.template import BUILT_IN, template_from
from brule.coordinates import pixels_to_unit
from brule.data.images import IMAGE_SUFFIXES, image_size
from brule.data.samples import crop_box, landmark_box
from brule.data.synthetic.shape import N_LANDMARKS
from brule.data.synthetic.shape import TEMPLATE as FACE
from brule.errors import DataError
from brule.files import atomic_write, make_folder
from brule.web.bodies import FoldersBody, OutlinesBody, SettingsBody, TemplateBody, left_out_facts
from brule.web.calls import Call
from brule.web.errors import Refused
from brule.web.page import Page

_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')


def show(call: Call) -> dict[str, Any]:
    """``GET /api/project``."""
    return described(call.page)


def described(page: Page) -> dict[str, Any]:
    """The project, as the page shows it."""
    project, settings = page.project, page.project.settings
    return {
        "name": settings.name,
        "folder": str(project.folder),
        "images": _shown_folders(project),
        "folders": _folders(project),
        "problems": missing_notes(project),
        "n_images": len(project.entries),
        "empty": not project.entries,
        "counts": project.summaries.counts(),
        "template": template_json(page),
        "landmarks": settings.landmarks_version,
        "annotator": settings.annotator,
        "annotators": [settings.annotator] if settings.annotator else [],
        "scale": settings.scale,
        "guess": page.guesses.state(),
        "train": page.training.state(),
        "predict": page.training.predicting(),
        "runs": page.training.runs(),
        "can": {
            "add_folders": page.local,
            "start_from": page.training.last_detector() is not None,
            "redraw": page.redrawing.run is not None,
        },
        "choice": page.choices.state(),
        "formats": described_formats(),
        "measurements": measurements_of(project).model_dump(mode="json"),
        "outlines": page.outlines(),
    }


def _shown_folders(project: Project) -> list[str]:
    """The folders of images as the page lists them."""
    gone, lost = set(missing_folders(project)), kept_without_images(project)
    why = f" (isn't there; {lost} without images)" if lost else " (isn't there)"
    return [path + why if path in gone else path for path in (str(folder.path) for folder in project.settings.folders)]


def _folders(project: Project) -> list[dict[str, Any]]:
    """The folders of images, and which of them can't be found."""
    return [{"id": one.id, "path": _text(one.path), "missing": not one.path.is_dir()} for one in project.settings.folders]


def _text(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()


def template_json(page: Page) -> dict[str, Any]:
    """The landmarks, as the page shows them."""
    settings = page.project.settings
    statistics = page.guesses.fitted.statistics
    known = None
    if statistics is not None and len(statistics.mean) == len(settings.template.names):
        known = statistics.mean
    elif settings.template.names == BUILT_IN["face68"][1].names:
        known = FACE[:N_LANDMARKS, :2]  # before anything is annotated, a drawn face
    shape = None if known is None else pixels_to_unit(known, crop_box(landmark_box(known))).round(5).tolist()
    return {"version": settings.version, **settings.template.model_dump(mode="json"), "shape": shape}


def set_template(call: Call) -> dict[str, Any]:
    """``PUT /api/project/template``."""
    body = call.body(TemplateBody)
    template = template_from(body.template(), "the landmarks")
    if template.pairs is None and template.names == call.page.project.template.names:
        found = project_pairs(call.page.project)
        template = template.model_copy(update={} if found is None else {"pairs": found, "pairs_from": "found"})
    gone = call.page.project.set_template(body.version, template, body.kept)
    return {"template": template_json(call.page), "measures_gone": gone}


def templates(_: Call) -> dict[str, Any]:
    """``GET /api/templates``."""
    known = [{"id": key, "title": title, **own.model_dump(mode="json")} for key, (title, own) in BUILT_IN.items()]
    return {"templates": known}


def set_settings(call: Call) -> dict[str, Any]:
    """``PUT /api/project/settings``."""
    changes = call.body(SettingsBody).model_dump(exclude_unset=True)
    if changes.get("name", "") is None:
        raise Refused("bad_request", "name: expected a name of the project, got null")
    call.page.project.set_settings(**changes)
    return {"project": described(call.page)}


def add_folders(call: Call) -> dict[str, Any]:
    """``POST /api/project/folders``."""
    if not call.page.local:
        raise Refused("forbidden", "folders can be added on the machine of the server only; use brule annotate there")
    project = call.page.project
    paths = [Path(path).expanduser() for path in call.body(FoldersBody).paths]
    added, found = add_images(project, paths)
    return {
        "added": added,
        "n_images": len(project.entries),
        "imported": found.n_images,
        "kept": found.kept,
        "outlined": found.outlined,
        "predicted": found.predicted,
        **left_out_facts(found.left_out),
    }


def place_outlines(call: Call) -> dict[str, Any]:
    """``POST /api/project/contours``."""
    body = call.body(OutlinesBody)
    placed = contour_from_outlines(call.page.project, body.label, count=body.n, start=body.start)
    return {"placed": placed.n_images, "kept": placed.kept, "template": template_json(call.page)}


def upload(call: Call) -> dict[str, Any]:
    """``POST /api/upload``."""
    project = call.page.project
    name = _safe_name(call.query.get("name", ""))
    folder = project.folder / UPLOADS
    path = folder / name
    if path.exists():
        if path.read_bytes() != call.content:
            raise Refused("busy", f"another image is called {name} already; rename one of the two")
    else:
        if not path.resolve().is_relative_to(project.folder.resolve()):
            raise Refused("forbidden", "the name leads out of the project")
        make_folder(path.parent)
        with atomic_write(path, flush=True) as temporary:
            temporary.write_bytes(call.content)
            try:
                image_size(temporary)
            except DataError as error:
                raise DataError(f"{name}: {str(error).removeprefix(f'{temporary}: ')}") from None
    if not any(one.path == folder for one in project.settings.folders):
        project.add([folder])
    known = next(one for one in project.settings.folders if one.path == folder)
    full = PurePosixPath(known.prefix, name).as_posix()
    project.include(ImageEntry(image_id(full), full, path))
    return {"id": image_id(full), "name": full}


def _safe_name(given: str) -> str:
    """A name below the folder of uploads.

    Raises:
        Refused: it is none.
    """
    parts = given.split("/")
    bad = not given or len(given) > 500 or _UNFIT.search(given) or any(part.strip(" .") != part or not part for part in parts)
    if bad or PurePosixPath(given).suffix.lower() not in IMAGE_SUFFIXES:
        raise Refused("bad_request", f"expected the name of an image ({', '.join(sorted(IMAGE_SUFFIXES))}), got {given[:80]!r}")
    return given
