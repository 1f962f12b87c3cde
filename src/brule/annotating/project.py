"""A project: images, what is to be annotated, and what is annotated, in plain files that every command reads."""

from __future__ import annotations

import os
import threading
from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from brule.annotating.folders import ImageEntry, ImageFolder, folders_for, indexed
from brule.annotating.marks import Marks
from brule.annotating.measuring import remapped
from brule.annotating.records import Conflict, Record
from brule.annotating.removed import archive_annotations, complete_removals, history_file, newly_removed, with_folders
from brule.annotating.settings import Settings
from brule.annotating.summaries import LAYERS, Summaries, annotated_images, annotated_names
from brule.annotating.template import Template
from brule.data.discovery import PROJECT_FILE, PROJECT_OWN, PROJECT_RUNS
from brule.data.renaming import Renaming, names_of, new_names
from brule.errors import BruleError, ConfigError, DataError
from brule.files import make_folder, write_text

RUNS, EXPORTS, UPLOADS, PREDICTIONS = PROJECT_RUNS, "exports", "images", "predictions"
OWN = PROJECT_OWN  # what other commands pass over: histories, caches, the lock
MAX_LOADED = 512  # records in memory


class StaleTemplate(BruleError):
    """A change of the landmarks was based on a version that isn't the current one."""


class Project:
    """A project that is open. All methods may be called from any thread.

    Args:
        folder: of the project; it is made, and the project with it, where it isn't there.
        images: folders, files or globs of images to add.
        template: the landmarks of a new project.

    Attributes:
        folder: as an absolute path.
        settings: what the project's file holds.
        entries: the images by id, sorted by name.
        summaries: status and number of placed landmarks of every image.
        changes: how often something was changed since it was opened.

    Raises:
        DataError: the folder holds something else, the project is damaged, or there are no such images.
        OutputError: the folder can't be written to.
    """

    def __init__(
        self, folder: Path, images: Sequence[str | os.PathLike[str]] = (), *, template: Template | None = None
    ) -> None:
        self.folder = Path(os.path.abspath(folder))
        self._guard = threading.RLock()  # for all of it: further locks could make two threads wait for each other
        self._records: OrderedDict[tuple[str, str], Record] = OrderedDict()
        self._listeners: list[Callable[[str, dict[str, Any]], object]] = []
        self.changes = 0
        new = not (self.folder / PROJECT_FILE).exists()
        if new and self.folder.exists() and any(self.folder.iterdir()):
            raise DataError(f"{folder}: holds files, but is no annotation project; choose a new folder for the project")
        self.settings = Settings(self.folder.name) if new else Settings.read(self.folder)
        added = self._new_folders(images)
        if template is not None and not new and template.names != self.settings.template.names:
            raise ConfigError("--template: this project has landmarks already; change them in the page")
        if new or added:
            start = self.settings.template if template is None else template
            self._keep(replace(with_folders(self.folder, self.settings, added), template=start))
        self._ignore()
        self.entries = indexed(self.settings.folders)
        complete_removals(self.folder, self.settings, self.entries)
        self.summaries = Summaries(self.folder, self.entries)
        self._rename_all()  # what couldn't be read or written before

    @property
    def template(self) -> Template:
        """The landmarks."""
        return self.settings.template

    @property
    def own(self) -> Path:
        """The folder for what other commands pass over."""
        return self.folder / OWN

    def listen(self, listener: Callable[[str, dict[str, Any]], object]) -> None:
        """Have ``listener(event, facts)`` called after every change: ``image`` and ``project``."""
        self._listeners.append(listener)

    def entry(self, image: str) -> ImageEntry:
        """The image of an id.

        Raises:
            KeyError: there is none.
        """
        return self.entries[image]

    def record(self, image: str, layer: str = "first") -> Record:
        """The annotation of an image, as it is on the disk.

        Raises:
            KeyError: there is no such image or layer.
            DataError: the annotation is damaged.
        """
        key = (image, layer)
        with self._guard:
            record = self._records.get(key)
            known = record
            if record is None or not record.current:
                since = self.settings.waiting.get(image, self.settings.version)
                record = Record.read(
                    self.entry(image), self.annotation_file(image, layer), self._log(image, layer), template=since
                )
            if self._rename(record) or record is not known:
                record.catch_up(self.template)
                if layer == "first" and record.stamp is not None:
                    self.summaries.set(image, record.marks.status, record.marks.placed, stamp=record.stamp)
            self._records[key] = record
            self._records.move_to_end(key)
            while len(self._records) > MAX_LOADED:
                self._records.popitem(last=False)
            return record

    def annotation_file(self, image: str, layer: str = "first") -> Path:
        """Where the annotation of an image is kept."""
        return self.folder / LAYERS[layer] / f"{self.entry(image).name}.json"

    def change(self, image: str, version: int, marks: Marks, *, action: str = "change", layer: str = "first") -> Record:
        """Set what is annotated in one image; on the disk when this returns.

        Args:
            image: its id.
            version: that the change is based on.
            marks: what is to be annotated.
            action: what the person did, in words.
            layer: ``first``, or ``repeat`` for the second annotation of the same image.

        Raises:
            Conflict: the version isn't the current one.
            OutputError: it can't be written; nothing has changed.
        """
        return self._do(
            image,
            version,
            layer,
            act=lambda record: record.changed(marks, action, self.template, version=self.settings.version),
        )

    def undo(self, image: str, version: int, *, layer: str = "first", redo: bool = False) -> Record:
        """Take the last step of an image back, or make it again; as :meth:`change`.

        Raises:
            ConfigError: there is no such step.
        """
        return self._do(
            image, version, layer, act=lambda record: record.step(self.template, version=self.settings.version, redo=redo)
        )

    def scale(self, marks: Marks) -> float | None:
        """Millimetres per pixel of an image: its own scale, or the project's; None if neither is known."""
        return self.settings.scale if marks.scale is None else marks.scale

    def set_template(self, version: int, template: Template, kept: Sequence[int | None] | None = None) -> list[str]:
        """Change the landmarks, and bring all annotations and measures to them.

        Finished images become drafts where a landmark is new, and are finished again if it is removed before they are changed.

        Args:
            version: of the template that the change is based on.
            template: the new one.
            kept: for each new landmark the index it had; by default it is found by name.

        Returns:
            The names of the measures that are gone, since they need a landmark that is.

        Raises:
            StaleTemplate: the version isn't the current one.
            DataError: ``kept`` doesn't fit; or an image can't be read. Then the annotations of all others are changed, and its
                own once it can be read again.
            OutputError: something can't be written. The change is completed when the project is opened again.
        """
        with self._guard:
            if version != self.settings.version:
                raise StaleTemplate(f"the landmarks were changed in the meantime (version {self.settings.version}); look again")
            old, waited = self.template, set(self.settings.waiting)
            kept = old.checked(old.matching(template.names) if kept is None else kept, template.names)
            changed = replace(self.settings, template=template, version=version + 1)
            gone: list[str] = []
            if old.names and (old.names != template.names or kept != list(range(len(old.names)))):
                measurements, gone = remapped(self.settings.measurements, kept)
                changed = replace(
                    changed,
                    renamings=(*changed.renamings, Renaming(changed.version, old.names, tuple(kept))),
                    waiting=dict.fromkeys(annotated_images(self.folder), version) | changed.waiting,
                    measurements=measurements,
                )
            self._keep(changed)
            failed = self._rename_all(silent=waited)
        self._notify("project", {})
        if failed is not None:
            raise failed
        return gone

    def set_settings(self, **changes: Any) -> None:
        """Change the project's name, annotator, measurements or scale.

        Raises:
            OutputError: that can't be written.
        """
        with self._guard:
            self._keep(replace(self.settings, **changes))
        self._notify("project", {})

    def add(self, paths: Sequence[str | os.PathLike[str]]) -> int:
        """Add folders of images.

        Returns:
            How many images were added.

        Raises:
            DataError: a path leads nowhere, or there is no image.
        """
        with self._guard:
            added = self._new_folders(paths)
            if added:
                self._keep(with_folders(self.folder, self.settings, added))
        return self.refresh()

    def rearrange(self, change: Callable[[Settings], Settings]) -> None:
        """Change the folders of images: :mod:`brule.annotating.moving` knows how. Annotations of removed ones are archived.

        Args:
            change: gives the new settings for those of now; nobody else changes the project meanwhile.

        Raises:
            OutputError: something can't be written or moved; moving is completed when the project is opened again.
        """
        try:
            with self._guard:
                before = self.settings
                self._keep(change(self.settings))
                self._records.clear()  # they know where their images were
                try:
                    for removed in newly_removed(before, self.settings):
                        archive_annotations(self.folder, removed)
                finally:
                    self._look()  # before anyone asks for an annotation that is gone, which its history would bring back
        finally:
            self._notify("project", {})

    def refresh(self) -> int:
        """Look for images again; returns how many are new."""
        with self._guard:
            before = len(self.entries)
            self._look()
            found = len(self.entries) - before
        self._notify("project", {})
        return found

    def _look(self) -> None:
        self.entries = indexed(self.settings.folders)
        self.summaries.use(self.entries)
        self._rename_all()  # images that were missing when landmarks were renamed may be back

    def include(self, entry: ImageEntry) -> None:
        """Take a new file of one of the folders in, without looking at all others."""
        with self._guard:
            known = entry.id in self.entries
            if not known:
                entries = list(self.entries.values())
                insort(entries, entry, key=lambda one: one.name)
                self.entries = {one.id: one for one in entries}
                self.summaries.show(self.entries)
        if not known and self.annotation_file(entry.id).exists():
            self.refresh()  # it is back
        elif not known:
            self._notify("project", {})

    def accepted(self) -> list[str]:
        """The ids of the images whose annotation is finished, in the order of their names."""
        return [image for image in self.entries if self.summaries[image].status == "accepted"]

    def annotated(self, newest: int | None = None) -> tuple[list[str], np.ndarray]:
        """The finished images, and their landmarks.

        Args:
            newest: only this many, those that were changed last.

        Returns:
            Their ids in the order of their names, with ``newest`` in that of their last change, the newest last; and
            ``(K, N, 2)`` in pixels, NaN where a landmark is missing.
        """
        names, ids, shapes = self.template.names, [], []
        accepted = self.accepted()
        if newest is not None:
            accepted = sorted(accepted, key=lambda image: self.summaries[image].stamp or (0, 0))[-newest:]
        for image in accepted:
            try:
                marks = self.record(image).marks
            except (DataError, KeyError):  # damaged, or removed meanwhile
                continue
            if marks.status == "accepted" and marks.placed:
                ids.append(image)
                shapes.append(marks.array(names))
        return ids, np.stack(shapes) if shapes else np.empty((0, len(names), 2))

    def close(self) -> None:
        """Keep what makes the next opening fast."""
        self.summaries.keep()

    def _do(self, image: str, version: int, layer: str, *, act: Callable[[Record], None]) -> Record:
        with self._guard:
            record = self.record(image, layer)
            if version != record.version:
                raise Conflict(record)
            act(record)
            facts = {"id": image, "version": record.version, "status": record.marks.status, "layer": layer}
            if layer == "first":
                self.summaries.set(image, record.marks.status, record.marks.placed, stamp=record.stamp)
            else:
                self.summaries.repeated.add(image)
        if record.version != version:
            self._notify("image", facts)
        return record

    def _rename_all(self, *, silent: Collection[str] = ()) -> BruleError | None:
        """Bring the annotations that wait for it to the present landmarks.

        Args:
            silent: images whose failure isn't returned.

        Returns:
            Why it couldn't be done for the first of those that are left; they are tried again when the project is opened.
        """
        failed: BruleError | None = None
        left: dict[str, int] = {}
        for image, since in self.settings.waiting.items():
            if image not in self.entries:
                left[image] = since
                continue
            for layer in LAYERS:
                if self.annotation_file(image, layer).exists():
                    try:
                        self.record(image, layer)
                    except BruleError as error:
                        left[image] = since
                        failed = failed or (None if image in silent else error)
        if left != self.settings.waiting:
            self._keep(replace(self.settings, waiting=left))
        return failed

    def _rename(self, record: Record) -> bool:
        """Bring an annotation to the present landmarks; whether it was of earlier ones."""
        settings, present = self.settings, self.template.names
        since = record.history.template
        names = new_names(since, settings.renamings, present) if record.version else None
        if names is not None:
            # Earlier versions of brule didn't say which landmarks a change was made with: new names stay.
            unknown = {name: name for name in present if name not in names_of(since, settings.renamings, present)}
            added = set(present) - set(names.values())
            record.rename(unknown | names, self.template, version=settings.version, added=added)
        return names is not None

    def _new_folders(self, paths: Sequence[str | os.PathLike[str]]) -> list[ImageFolder]:
        annotated = annotated_names(self.folder) if paths else ()
        return folders_for(paths, self.settings.folders, self.settings.removed, annotated=annotated)

    def _keep(self, settings: Settings) -> None:
        make_folder(self.folder)
        settings.write(self.folder)
        self.settings = settings

    def _ignore(self) -> None:
        path = self.own / ".gitignore"
        if not path.exists():
            make_folder(self.own)
            write_text(path, "/cache/\n/lock\n/summaries.json\n", flush=True)

    def _log(self, image: str, layer: str) -> Path:
        return history_file(self.folder, image, layer)

    def _notify(self, event: str, facts: dict[str, Any]) -> None:
        self.changes += 1
        for listener in list(self._listeners):
            listener(event, facts)
