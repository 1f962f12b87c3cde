"""What a project's file holds: its images, landmarks and measures."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brule.annotating.folders import ImageFolder, RemovedFolder
from brule.annotating.summaries import annotated_images
from brule.annotating.template import Template, template_from
from brule.data.discovery import PROJECT_FILE, PROJECT_FORMAT
from brule.data.renaming import Renaming
from brule.errors import DataError
from brule.files import read_json, write_text


@dataclass(frozen=True)
class Settings:
    """What a project's file holds.

    Args:
        name: of the project.
        folders: the images.
        template: the landmarks.
        version: of the template; increases with every change of it.
        annotator: who annotates.
        measurements: distances and angles between landmarks, by :class:`brule.annotating.measuring.Measurements`.
        scale: millimetres per pixel of all images that have no scale of their own.
        renamings: the changes of the landmarks' names, number and order, oldest first.
        waiting: the images, by id, whose annotations weren't brought to the present landmarks yet, since they couldn't be read
            or weren't there; with the version of the template that they are of.
        removed: the folders that were removed, whose annotations are kept.
    """

    name: str
    folders: tuple[ImageFolder, ...] = ()
    template: Template = field(default_factory=Template)
    version: int = 1
    annotator: str | None = None
    measurements: dict[str, Any] = field(default_factory=dict)
    scale: float | None = None
    renamings: tuple[Renaming, ...] = ()
    waiting: dict[str, int] = field(default_factory=dict)
    removed: tuple[RemovedFolder, ...] = ()

    @property
    def landmarks_version(self) -> int:
        """The version of the template that changed the landmarks' names, number or order last; 0 if none did."""
        return self.renamings[-1].version if self.renamings else 0

    def write(self, project: Path) -> None:
        """Write the project's file, on the disk before this returns.

        Raises:
            OutputError: it can't be written.
        """
        content: dict[str, Any] = {
            "format": PROJECT_FORMAT,
            "name": self.name,
            "images": [folder.to_json(project) for folder in self.folders],
            "annotator": self.annotator,
            "measurements": self.measurements,
            "version": self.version,
            "template": self.template.model_dump(mode="json"),
        }
        if self.scale is not None:
            content["scale"] = self.scale
        if self.renamings:
            content["renamings"] = [one.to_json() for one in self.renamings]
        if self.waiting:
            content["waiting"] = self.waiting
        if self.removed:
            content["removed"] = [one.to_json(project) for one in self.removed]
        write_text(project / PROJECT_FILE, json.dumps(content, ensure_ascii=True, indent=1) + "\n", flush=True)

    @classmethod
    def read(cls, project: Path) -> Settings:
        """Read a project's file.

        Raises:
            DataError: it is missing, damaged, or of another kind.
        """
        path = project / PROJECT_FILE
        content = read_json(path, "the file of an annotation project; restore it")
        if not isinstance(content, dict) or content.get("format") != PROJECT_FORMAT:
            raise DataError(f"{path}: expected an annotation project ({PROJECT_FORMAT}), this is something else")
        folders, removed = content.get("images"), content.get("removed", [])
        if not isinstance(folders, list) or not isinstance(removed, list):
            raise DataError(f"{path}: damaged: expected lists of folders as 'images' and 'removed'; restore it")
        measurements, template = content.get("measurements"), template_from(content.get("template", {}), f"{path}: template")
        annotator, version, scale = content.get("annotator"), content.get("version"), content.get("scale")
        return cls(
            str(content.get("name") or project.name),
            tuple(ImageFolder.from_json(folder, project) for folder in folders),
            template,
            version if isinstance(version, int) else 1,
            annotator if isinstance(annotator, str) else None,
            measurements if isinstance(measurements, dict) else {},
            float(scale) if isinstance(scale, int | float) and 0 < scale < float("inf") else None,
            *_renamed(path, content, template),
            tuple(RemovedFolder.from_json(folder, project) for folder in removed),
        )


def _renamed(path: Path, content: dict[str, Any], template: Template) -> tuple[tuple[Renaming, ...], dict[str, int]]:
    """The changes of the landmarks, and what waits for them."""
    try:
        if isinstance(unfinished := content.get("renaming"), dict):  # of an earlier version of brule, which was interrupted
            before, version = tuple(map(str, unfinished)), int(content["version"])
            place = {name: k for k, name in enumerate(unfinished.values())}
            renaming = Renaming(version, before, tuple(place.get(name) for name in template.names))
            return (renaming,), dict.fromkeys(annotated_images(path.parent), version - 1)
        waiting = {str(image): int(since) for image, since in content.get("waiting", {}).items()}
        return tuple(Renaming.from_json(one) for one in content.get("renamings", ())), waiting
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: damaged: expected the changes of the landmarks as 'renamings' and 'waiting' ({error}); restore it"
        ) from None
