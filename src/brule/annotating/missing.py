"""What a project lacks: folders that were moved away, and the images of annotations."""

from __future__ import annotations

import os

from brule.annotating.project import Project
from brule.data.discovery import PROJECT_FILE


def missing_notes(project: Project) -> list[str]:
    """What isn't there of a project's images, a plain sentence each; empty if all is there."""
    found = []
    gone = [str(folder.path) for folder in project.settings.folders if not os.path.isdir(folder.path)]
    if gone:
        are = "the folder of images {} isn't there" if len(gone) == 1 else "the folders of images {} aren't there"
        found.append(f"{are.format(', '.join(gone))}: move it back, or change its path in {project.folder / PROJECT_FILE}")
    lost = project.summaries.orphaned
    if lost:
        found.append(f"{lost} annotation{' is' if lost == 1 else 's are'} kept whose images aren't there")
    return found


def with_missing(project: Project, text: str) -> str:
    """A message, followed by what isn't there."""
    return "; ".join([text, *missing_notes(project)])
