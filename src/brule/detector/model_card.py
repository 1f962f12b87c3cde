"""Model cards: what a saved detector is, what it was trained on, how good it is, and what it reveals of its training images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brule.detector.origin import last_part
from brule.detector.provenance import Provenance
from brule.detector.run_record import RunRecord
from brule.detector.storage import Stored, read_detector
from brule.files import write_text
from brule.tracking.run_files import CARD, PREVIEWS, RECORD, TRAINING_IMAGES, WEIGHTS
from brule.training.config import changed_settings

_MARK = "<!-- written by brule; remove this line to keep a text of your own -->"
_NOT_RECORDED = "not recorded"
_PROTOCOL = (
    "NME is the mean distance of a landmark from its true place, in % of the distance named. The floor is the NME of a "
    "constant prediction: the mean of the annotated shapes, placed in the true box. docs/evaluation.md defines every figure."
)
_USE = "\n".join(
    [
        "```python",
        "from brule import LandmarkDetector  # pip install brule-landmarks",
        "",
        'detector = LandmarkDetector.load("THIS FOLDER")',
        'found = detector.predict("photos/")  # found.points: (M, N, 2) pixels',
        "```",
    ]
)

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class ModelCard:
    """A description of a detector that shows no training image.

    Attributes:
        detector: what it is: name and text of each fact.
        training: what it was trained on, and how.
        figures: how good it is, one row per data set.
        reveals: what the folder shows of the training images.
        facts: all of it as JSON values.
        provenance: where training and figures are from.
    """

    detector: Rows
    training: Rows
    figures: Rows
    reveals: Rows
    facts: dict[str, Any]
    provenance: Provenance

    @classmethod
    def of(cls, stored: Stored, folder: Path) -> ModelCard:
        """The card of a detector that is, or is about to be, in a folder.

        Args:
            stored: what the folder holds.
            folder: a run's folder may hold more: evaluations, previews, the paths of the data.
        """
        known = _completed(stored, folder)
        reveals = _reveals(stored, folder)
        facts = {
            "landmarks": len(stored.trained.model.barycenter),
            "names": stored.names,
            "image_size": stored.config.crop.image_size,
            "finds_objects": stored.whereabouts.locator is not None,
            "calibrated": stored.calibration is not None,
            "decoder": stored.trained.decoder is not None,
            "iterations": stored.trained.progress.iteration,
            "training_seconds": stored.trained.progress.elapsed,
            "finished": stored.trained.finished,
            "preset": last_part(stored.config.preset),
            "seed": stored.config.seed,
            "changed_settings": changed_settings(stored.config)[1],
            "trained_on": known.to_dict(),
            "appearance": stored.appearance is not None,
            "reveals": {name: text for name, text in reveals},
        }
        figures = [(one.data, one.text()) for one in known.figures]
        return cls(_detector_rows(stored), _training_rows(stored, known), figures, reveals, facts, known)

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """That of a run or a saved detector.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        return cls.of(read_detector(folder), folder)

    def sections(self) -> list[tuple[str, Rows]]:
        """The rows under their headings."""
        none = [("none yet", "brule evaluate RUN --data ANNOTATED measures it")]
        return [
            ("Detector", self.detector),
            ("Trained on", self.training),
            ("Figures", self.figures or none),
            ("What it reveals of its training images", self.reveals),
        ]

    def markdown(self, name: str) -> str:
        """The card as a page that model hubs show, with their fields at its top."""
        parts = [
            "---\nlibrary_name: brule\npipeline_tag: keypoint-detection\ntags: [landmarks, keypoints, brule]\n---",
            _MARK,
            f"# {name}: {len(self.facts['names'] or ()) or self.facts['landmarks']} landmarks (keypoints)",
            _USE,
        ]
        for heading, rows in self.sections():
            lines = "\n".join(f"| {_cell(key)} | {_cell(text)} |" for key, text in rows)
            parts.append(f"## {heading}\n\n| | |\n|---|---|\n{lines}")
            if heading == "Figures":
                parts.append(_PROTOCOL)
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``README.md``; a text that isn't brule's stays as it is."""
        path = folder / CARD
        if path.is_file() and _MARK not in path.read_text(encoding="utf-8", errors="replace"):
            return
        write_text(path, self.markdown(folder.resolve().name or "detector"))


def _completed(stored: Stored, folder: Path) -> Provenance:
    """What is known of the training, completed by the run's record and evaluations where the folder is that of a run."""
    known = stored.provenance
    record = RunRecord.read(folder)
    if record is not None:
        known = replace(
            known,
            device=record.device,
            images=record.n_images if known.images is None else known.images,
            labelled=record.n_labelled if known.labelled is None else known.labelled,
            shapes=known.shapes or len(record.shapes) or None,
        )
    if known.shapes is None and stored.shapes is not None:
        known = replace(known, shapes=len(stored.shapes))
    return known.with_evaluations(folder)


def _detector_rows(stored: Stored) -> Rows:
    config, names = stored.config, stored.names
    count = len(stored.trained.model.barycenter)
    return [
        (
            "landmarks",
            f"{count}: {', '.join(names[:4])}{', …' if len(names) > 4 else ''}" if names else f"{count}, without names",
        ),
        ("crops", f"{config.crop.image_size} × {config.crop.image_size} pixels, RGB"),
        ("whole images", stored.whereabouts.describe()),
        ("spread", "calibrated: the expected error" if stored.calibration else "not calibrated: its size means little"),
        ("redraws images", "yes" if stored.trained.decoder is not None else "no"),
    ]


def _training_rows(stored: Stored, known: Provenance) -> Rows:
    progress = stored.trained.progress
    usual, differing = changed_settings(stored.config)
    changed = ", ".join(f"{key}={value}" for key, value in differing.items())
    trained = f"{progress.iteration:,} iterations, {progress.elapsed / 60:.1f} minutes on {known.device or 'an unknown device'}"
    return [
        ("images without labels", _count(known.images)),
        ("annotated images", _count(known.labelled)),
        ("annotated shapes", _count(known.shapes)),
        ("training", trained + ("" if stored.trained.finished else "; NOT finished")),
        ("preset, seed", f"{last_part(stored.config.preset)}, {stored.config.seed}"),
        ("changed settings" if usual == stored.config.preset else f"settings unlike {usual}", changed or "none"),
        ("brule", known.version or _NOT_RECORDED),
    ]


def _reveals(stored: Stored, folder: Path) -> Rows:
    """Which parts of the folder reveal something about single training images."""
    shapes = stored.shapes
    rows = [
        ("annotated shapes", f"yes: {len(shapes)} landmark sets in {WEIGHTS}" if shapes is not None else "no"),
        (
            "names of files",
            f"as hashes of name and size in {TRAINING_IMAGES}: anyone who has an image can see that it was used"
            if stored.training_images.recorded
            else "no",
        ),
        (
            "appearance",
            "mean and covariance over all images (appearance.json), of no single image" if stored.appearance else "no",
        ),
        (
            "paths of folders",
            f"yes, in {RECORD}; `brule export --hub` leaves it out" if (folder / RECORD).is_file() else "no",
        ),
    ]
    pictures = any((folder / PREVIEWS).glob("*")) if (folder / PREVIEWS).is_dir() else False
    rows.append(("pictures", f"yes, in {PREVIEWS}/; `brule export --hub` leaves them out" if pictures else "no"))
    if stored.trained.decoder is not None:
        rows.append(("decoder", "redraws what training images look like; it may remember some"))
    return rows


def _count(number: int | None) -> str:
    return _NOT_RECORDED if number is None else f"{number:,}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
