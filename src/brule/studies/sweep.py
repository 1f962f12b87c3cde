"""One setting at several values, and what its extremes do to the landmarks (the paper's Figs. 10 and 11)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from PIL import Image

from brule.arrays import evenly_spread
from brule.data import SampleList, load_crop
from brule.detector import LandmarkDetector
from brule.errors import ConfigError
from brule.files import write_text
from brule.plots import preview_sheet, save_picture, titled_sheets
from brule.plots.svg import captioned, sweep_chart
from brule.studies.failures import Failure, failed_content, failed_table
from brule.studies.runs import Arm, Protocol, Score, scores_by_arm
from brule.studies.switches import switched_off
from brule.training.config import TrainingConfig, dotted_keys, load_config, setting

# The paper's names, and what some presets have in the place of three of them.
TERMS: dict[str, str] = {
    "R_b": "loss.barycenter",
    "R_g": "loss.geometric",
    "L_rec^I": "loss.image_reconstruction",
    "L_rec^L": "loss.landmark_reconstruction",
    "L_g": "loss.adversarial",
    "L_style": "gan.style",
    "lambda": "gan.penalty",
    "sigma": "loss.sigma",
}
STAND_INS = {"R_b": "loss.shape_prior", "R_g": "loss.equivariance", "L_rec^L": "loss.drawn"}
PICTURES = 8


@dataclass(frozen=True)
class Sweep:
    """One setting at several values.

    Attributes:
        term: as it was asked for.
        key: the setting.
        values: as the settings have them, lowest first where they are numbers.
    """

    term: str
    key: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """For titles: the term, and the setting if that has another name."""
        return self.term if self.term == self.key else f"{self.term} ({self.key})"

    @property
    def arms(self) -> list[Arm]:
        """One arm per value; none is refused for lacking a term that ties landmarks to the shape: a sweep shows that, too."""
        return [Arm(f"{self.key} = {value}", {self.key: value, "loss.tied": False}) for value in self.values]


def resolve_sweep(term: str, values: Sequence[Any], *, preset: str, overrides: Mapping[str, Any]) -> Sweep:
    """Find the setting that a term means, and check its values, before anything is trained.

    A name of the paper (those of :data:`TERMS`; case, ``_`` and ``^`` don't matter) means the paper's own weight, and is
    refused if the settings have that at 0. A dotted key means itself, even if it is 0. Neither may be a setting that has no
    effect because another is switched off.

    Args:
        term: a name of the paper, or a dotted key.
        values: of the setting; text is read as TOML would.
        preset: where settings start.
        overrides: settings that all runs share.

    Raises:
        ConfigError: the term is unknown or switched off, a value is out of range, there are fewer than two different ones, or
            the overrides set what is to be swept.
    """
    config = load_config(preset, overrides)
    key = _key(term, config)
    if key in overrides:
        raise ConfigError(f"--set {key}: this is the setting that the study sweeps; give its values with --values")
    if key in ("seed", "iterations", "time_limit"):
        raise ConfigError(f"sweep: {key} can't be swept: all runs have the same iterations, and each seed is a run of its own")
    _refuse_without_effect(term, key, config)
    found = [setting(load_config(preset, {**overrides, key: value}), key) for value in values]
    distinct = list(dict.fromkeys(found))
    if len(distinct) < 2:
        raise ConfigError(f"--values: expected at least two different values of {key}, got {', '.join(map(str, values))}")
    numbers = all(_is_number(value) for value in distinct)
    return Sweep(term, key, tuple(sorted(distinct) if numbers else distinct))


def report_sweep(
    directory: Path,
    sweep: Sweep,
    scores: Sequence[Score],
    *,
    measured: SampleList,
    protocol: Protocol,
    failed: Sequence[Failure] = (),
) -> str:
    """Write ``sweep.json``, ``sweep.md``, the plot ``sweep.svg``, and ``predictions.png``.

    The last shows predictions on some of the measured images, evenly spread, of the runs with the first seed: at the lowest
    value, at the best and at the highest.

    Args:
        directory: of the study, in which the runs are.
        sweep: what was swept.
        scores: of all runs.
        measured: the images they were measured on.
        protocol: how the runs were made.
        failed: the runs without a score.

    Returns:
        The table, as Markdown, and the protocol below it.
    """
    description = protocol.describe(scores)
    table = f"{sweep_table(sweep, scores)}{failed_table(failed)}\n{description}\n"
    content = {
        "term": sweep.term,
        "setting": sweep.key,
        "values": sweep.values,
        "protocol": asdict(protocol),
        "runs": [asdict(score) for score in scores],
    } | failed_content(failed)
    write_text(directory / "sweep.json", json.dumps(content, indent=1) + "\n")
    write_text(directory / "sweep.md", table)
    errors = {value: [score.nme for score in own] for value, own in _by_value(sweep, scores).items()}
    floor = median(score.floor_nme for score in scores)
    save_picture(captioned(sweep_chart(errors, name=sweep.name, floor=floor), description), directory / "sweep.svg")
    save_picture(_pictures(directory, sweep, scores, measured=measured), directory / "predictions.png")
    return table


def sweep_table(sweep: Sweep, scores: Sequence[Score]) -> str:
    """One row per value: NME of every seed, their median, mean W₁ and floor."""
    lines = [
        f"| {sweep.name} | NME (%) per seed | median | mean W₁ (%) | constant prediction, floor (%) | iterations |",
        "|---|---|---|---|---|---|",
    ]
    for value, found in _by_value(sweep, scores).items():
        each = ", ".join(f"{score.nme:.2f}" for score in found)
        w1, floor = mean(score.w1 for score in found), median(score.floor_nme for score in found)
        counts = ", ".join(str(count) for count in sorted({score.iterations for score in found}))
        lines.append(f"| {value} | {each} | {median(score.nme for score in found):.2f} | {w1:.2f} | {floor:.2f} | {counts} |")
    return "\n".join(lines) + "\n"


def _key(term: str, config: TrainingConfig) -> str:
    name = _name(term)
    if name is not None:
        return TERMS[name]
    if term not in dotted_keys():
        try:
            load_config(config.preset, {term: 0})  # says which setting is nearest
        except ConfigError as error:
            raise ConfigError(f"{error}; of the paper's terms there are {', '.join(TERMS)}") from None
    return term


def _name(term: str) -> str | None:
    """The paper's name that a term is another spelling of."""
    return next((name for name in TERMS if _plain(name) == _plain(term)), None)


def _refuse_without_effect(term: str, key: str, config: TrainingConfig) -> None:
    """A sweep of what the settings have switched off would train the same run again and again, or another method."""
    where = f"with these settings of the preset {config.preset}"
    if key.startswith("labelled."):
        raise ConfigError(f"sweep: {key} has no effect: the runs of a sweep learn from no annotated images")
    switch = switched_off(key, config)
    if switch is not None:
        raise ConfigError(
            f"sweep: {key} has no effect {where}, since {switch} is {setting(config, switch)}; switch it on "
            f"(--set {switch}=…), or take a preset that has it (--preset paper-small)"
        )
    name = _name(term)
    if name is None or setting(config, key):
        return
    stand_in = STAND_INS.get(name, "")
    used = f", or sweep what this preset has in its place: {stand_in}" if stand_in and setting(config, stand_in) else ""
    raise ConfigError(
        f"sweep: {name} ({key}) is switched off {where}: its weight is 0; take a preset that has it "
        f"(--preset paper-small){used}"
    )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.replace("λ", "lambda").replace("σ", "sigma").casefold() if letter.isalnum())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_value(sweep: Sweep, scores: Sequence[Score]) -> dict[Any, list[Score]]:
    by_arm = scores_by_arm(scores)
    return {value: by_arm[arm.name] for value, arm in zip(sweep.values, sweep.arms, strict=True) if arm.name in by_arm}


def _pictures(directory: Path, sweep: Sweep, scores: Sequence[Score], *, measured: SampleList) -> Image.Image:
    """A row of predictions for the lowest, the best and the highest value."""
    by_value = _by_value(sweep, scores)
    best = min(by_value, key=lambda value: median(score.nme for score in by_value[value]))
    arms = dict(zip(sweep.values, sweep.arms, strict=True))
    chosen = evenly_spread(len(measured), PICTURES)
    rows = {}
    for value in dict.fromkeys([next(iter(by_value)), best, list(by_value)[-1]]):
        score = by_value[value][0]
        detector = LandmarkDetector.load(arms[value].run(directory, score.seed))
        crop = detector.config_.crop
        crops = np.stack([load_crop(measured[i], crop.image_size, crop.scale)[0] for i in chosen])
        points = detector.predict_crops(crops).points.numpy()
        mark = ", the best" if value == best else ""
        rows[f"{sweep.key} = {value}{mark}: {score.nme:.2f} %"] = preview_sheet(
            crops, points, columns=PICTURES, edges=detector.edges_
        )
    return titled_sheets(rows)
