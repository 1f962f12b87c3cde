"""What a run was trained on, as its folder keeps it."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from brule.data.sources import dataset_of
from brule.data.training_data import TrainingData
from brule.detector.exclusive import LOCK, sole_use
from brule.errors import CheckpointError
from brule.files import parse_json, write_text
from brule.tracking.run_files import RECORD, SETTINGS

EVERY_CHECKPOINT = -1


@dataclass(frozen=True)
class RunRecord:
    """What a run was trained on: kept as ``data.json`` beside its settings.

    Attributes:
        images: the paths of the unlabelled images that were given.
        exclude_validation: whether images and shapes were held out by name.
        n_images: how many images were found.
        shapes: the names of the annotated shapes.
        device: where it was trained.
        labelled: the paths of the annotated images that were given.
        n_labelled: how many of these were used.
        boxes: the files that boxes of the unlabelled images were read from.
        data: annotated images that the detector is measured on when training ends.
        examples: paths of the annotated images that only show the locator where the object is.
        working_directory: the folder that relative paths start from; empty where an earlier version wrote the record.
        start_from: the earlier run or detector whose weights training began with; empty where they were drawn.
        measure_every: iterations between two measurements on ``data`` during training; 0 for none,
            :data:`EVERY_CHECKPOINT` for those between checkpoints.
    """

    images: list[str]
    exclude_validation: bool
    n_images: int
    shapes: list[str]
    device: str
    labelled: list[str] = field(default_factory=list)
    n_labelled: int = 0
    boxes: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    working_directory: str = ""
    start_from: str = ""
    measure_every: int = EVERY_CHECKPOINT

    @contextmanager
    def kept(self, run: Path) -> Iterator[None]:
        """Keep it in a run whose folder is held meanwhile; a new run that never begins leaves nothing behind.

        Raises:
            CheckpointError: another training holds the folder.
        """
        with sole_use(run):
            new = {path.name for path in run.iterdir()} <= {LOCK}
            write_text(run / RECORD, json.dumps(asdict(self), indent=1) + "\n")
            try:
                yield
            except BaseException:
                if new and run.is_dir() and {path.name for path in run.iterdir()} <= {RECORD, SETTINGS, LOCK}:
                    for name in (RECORD, SETTINGS):
                        (run / name).unlink(missing_ok=True)
                raise

    @classmethod
    def of(
        cls,
        training_data: TrainingData,
        *,
        device: str,
        images: list[str] | None = None,
        labelled: list[str] | None = None,
        exclude_validation: bool = False,
        boxes: list[str] | None = None,
        data: list[str] | None = None,
        examples: list[str] | None = None,
    ) -> RunRecord:
        """The record of a run on this data, which was read from these paths; arguments as the attributes."""
        return cls(
            list(images or ()),
            exclude_validation,
            len(training_data.images or ()),
            training_data.shape_names,
            device,
            list(labelled or ()),
            len(training_data.labelled or ()),
            boxes=list(boxes or ()),
            data=list(data or ()),
            examples=list(examples or ()),
            working_directory=_working_directory(),
        )

    def found_from_here(self) -> RunRecord:
        """The same with paths that lead to the data from any working directory.

        A relative path starts from the folder where the run was started. Where nothing is there any more, it is left as it is,
        so that it starts from the present folder: everything may have been moved together.
        """
        if not self.working_directory:
            return self
        names = ("images", "labelled", "boxes", "data", "examples")
        found: dict[str, Any] = {name: [_from(self.working_directory, one) for one in getattr(self, name)] for name in names}
        return replace(self, **found)

    @classmethod
    def read(cls, run: Path) -> RunRecord | None:
        """That of a run; ``None`` if it has none.

        Raises:
            CheckpointError: it is damaged.
        """
        path = run / RECORD
        if not path.is_file():
            return None
        try:
            return _checked(cls(**parse_json(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{path}: damaged: {error}; restore it from a copy, or remove it and give --images again"
            ) from None


def _checked(record: RunRecord) -> RunRecord:
    like = RunRecord([], False, 0, [], "")
    for name, value in vars(record).items():
        wanted = type(getattr(like, name))
        if type(value) is not wanted or (wanted is list and not all(isinstance(one, str) for one in value)):
            raise TypeError(f"{name}: expected {'a list of texts' if wanted is list else wanted.__name__}")
    return record


def is_there(path: str) -> bool:
    """Whether a path, a glob or a data set, as it was given on the command line, leads to anything."""
    spelled = dataset_of(path)
    place = path if spelled is None else str(spelled[2])
    return os.path.exists(place) or any(True for _ in glob.iglob(place, recursive=True))


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # somebody has removed it
        return ""


def absolute(path: str, folder: str | None = None) -> str:
    """A path, a glob or a data set with its place spelled from the root; ``folder``: where it starts, by default here."""
    start, spelled = folder or _working_directory(), dataset_of(path)
    return os.path.join(start, path) if spelled is None else ":".join((*spelled[:2], os.path.join(start, spelled[2])))


def _from(folder: str, path: str) -> str:
    there = absolute(path, folder)
    return there if is_there(there) else path
