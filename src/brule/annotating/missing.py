"""What a project lacks: folders that were moved away, and the images of annotations."""

from __future__ import annotations

import os

from brule.annotating.project import Project
from brule.annotating.removed import ARCHIVE, not_restored
from brule.data.discovery import PROJECT_FILE


def missing_folders(project: Project) -> list[str]:
    """The folders of images that aren't there."""
    return [str(folder.path) for folder in project.settings.folders if not os.path.isdir(folder.path)]


def kept_without_images(project: Project) -> str:
    """How many annotations are kept without their image, in words; empty if none are."""
    lost = project.summaries.orphaned
    return f"{lost} annotation{' is' if lost == 1 else 's are'} kept" if lost else ""


def missing_notes(project: Project) -> list[str]:
    """What isn't there of a project's images, a plain sentence each; empty if all is there."""
    found = []
    gone = missing_folders(project)
    if gone:
        it, be = ("it", "it is") if len(gone) == 1 else ("them", "they are")
        are = "the folder of images {} isn't there" if len(gone) == 1 else "the folders of images {} aren't there"
        where = f"where {be} now: in the page (Set up), or as path in {project.folder / PROJECT_FILE}"
        found.append(f"{are.format(', '.join(gone))}: move {it} back, or say {where}")
    if lost := kept_without_images(project):
        found.append(f"{lost} whose images aren't there")
    if left := not_restored(project.folder, project.settings):
        are = "annotation of a removed folder is" if len(left) == 1 else "annotations of removed folders are"
        found.append(
            f"{len(left)} {are} still in {project.folder / ARCHIVE}, such as that of {left[0]}: the project has a newer "
            "annotation of that name, or another image"
        )
    return found


def with_missing(project: Project, text: str) -> str:
    """A message, followed by what isn't there."""
    return "; ".join([text, *missing_notes(project)])
