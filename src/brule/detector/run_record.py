"""What a run was trained on, as its folder keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from brule.data.training_data import TrainingData
from brule.detector.exclusive import LOCK, sole_use
from brule.detector.storage import CONFIG
from brule.errors import CheckpointError
from brule.files import write_text

RECORD = "data.json"


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
        examples: where the annotated images came from that show where the object is, and aren't learnt from otherwise.
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
                if new and {path.name for path in run.iterdir()} <= {RECORD, CONFIG, LOCK}:
                    for name in (RECORD, CONFIG):
                        (run / name).unlink(missing_ok=True)
                raise

    @classmethod
    def of(
        cls,
        material: TrainingData,
        *,
        device: str,
        images: list[str] | None = None,
        labelled: list[str] | None = None,
        exclude_validation: bool = False,
        boxes: list[str] | None = None,
        data: list[str] | None = None,
        examples: list[str] | None = None,
    ) -> RunRecord:
        """The record of a run on this material, which was read from these paths; arguments as the attributes."""
        return cls(
            list(images or ()),
            exclude_validation,
            len(material.images or ()),
            material.shape_names,
            device,
            list(labelled or ()),
            len(material.labelled or ()),
            boxes=list(boxes or ()),
            data=list(data or ()),
            examples=list(examples or ()),
        )

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
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{path}: damaged: {error}") from None
