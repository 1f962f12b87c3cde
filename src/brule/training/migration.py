"""Settings and stored states of earlier versions: what was renamed, and what was cut."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from brule.errors import ConfigError, SettingsWarning

RENAMED_SECTIONS = {"appearance": "augmentation", "averaging": "ema", "ending": "finetune"}
RENAMED_SETTINGS = {
    "appearance.occlusion": "augmentation.erasing",
    "ending.share": "finetune.fraction",
    "ending.warps": "finetune.warp_scale",
}
# A schedule belongs to its weight now; these two set that of all terms that tie landmarks to the shape.
ANNEALING = ("loss.anneal_from", "loss.anneal_until")
ANNEALED = {"loss.barycenter": 14.0, "loss.shape_prior": 0.0}  # with their defaults
RENAMED_STATES = {"average/": "ema/", "decoder_average/": "decoder_ema/", "means/average": "means/ema"}
# Settings that docs/experiments.md calls useless or untried, with the value that changed nothing, and why they were cut.
_UNTRIED = "no measurement has shown that it helps"
CUT: dict[str, tuple[float | str, str]] = {
    "loss.fake_bends": (0.0, _UNTRIED),
    "loss.fake_styles": ("random", _UNTRIED),
    "gan.start": (0.0, _UNTRIED),
    "gan.teach": (0.0, _UNTRIED),
    "teacher.gate": (0.0, "the error was the same with and without it (docs/experiments.md)"),
}


def current_key(key: str) -> str:
    """The present dotted key of a setting; a key that was never renamed is returned unchanged."""
    if key in RENAMED_SETTINGS:
        return RENAMED_SETTINGS[key]
    section, dot, rest = key.partition(".")
    return RENAMED_SECTIONS.get(section, section) + dot + rest


def current_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted settings under their present names, without those that were cut.

    Warns (:class:`~brule.errors.SettingsWarning`) of all old names in one line, and of all cut settings in another.

    Raises:
        ConfigError: a cut setting has a value that would change something.
    """
    current, renamed, cut = {}, [], []
    for key, value in overrides.items():
        if key in CUT:
            _check_cut(key, value)
            cut.append(key)
            continue
        new = [f"{term}.{key.removeprefix('loss.')}" for term in ANNEALED] if key in ANNEALING else [current_key(key)]
        current.update(dict.fromkeys(new, value))
        if new != [key]:
            renamed.append((key, " and ".join(new)))
    _warn(renamed, cut, "they have no effect")
    return current


def current_settings(settings: Mapping[str, Any], *, stored: bool = False) -> dict[str, Any]:
    """Nested settings with every renamed section and key under its present name, without those that were cut.

    Args:
        settings: as a preset, or the ``config`` of a stored detector, holds them.
        stored: they are of a file that brule wrote itself: users can't rename what is in it, so old names are no cause for a
            warning; and a run that was trained with a cut setting is read, with one line about that.

    Raises:
        ConfigError: an old and a new name of one setting are both there, a cut setting has a value that would change
            something, or a section is no table.
    """
    current: dict[str, Any] = {}
    renamed, cut = [], []
    for name, value in settings.items():
        is_section = isinstance(value, Mapping)
        section: dict[str, Any] = current.setdefault(RENAMED_SECTIONS.get(name, name), {}) if is_section else current
        if not isinstance(section, dict):
            raise not_a_section(RENAMED_SECTIONS.get(name, name), section)
        for key, one in value.items() if is_section else [(name, value)]:
            old = f"{name}.{key}" if is_section else key
            if old in CUT:
                if not stored:
                    _check_cut(old, one)
                if not stored or one != CUT[old][0]:
                    cut.append(old)
                continue
            new = current_key(old)
            leaf = new.rsplit(".", 1)[-1]
            if leaf in section:
                raise ConfigError(f"setting: {old!r} is the former name of {new!r}, and both are given; keep {new!r}")
            section[leaf] = one
            if new != old:
                renamed.append((old, new))
    renamed += _with_schedules(current)
    if stored and isinstance(current.get("crop"), dict):
        current["crop"].setdefault("fit_boxes", "never")  # what runs did before there was a choice
    _warn(
        [] if stored else renamed,
        cut,
        "this run was trained with them, and they are ignored now" if stored else "they have no effect",
    )
    return current


def _with_schedules(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Move the old, common schedule into the weights; the names that were replaced."""
    loss = settings.get("loss", {})
    if not isinstance(loss, dict):
        raise not_a_section("loss", loss)
    schedule = {key.removeprefix("loss."): loss.pop(key.removeprefix("loss.")) for key in ANNEALING if key[5:] in loss}
    for term, default in ANNEALED.items() if schedule else ():
        weight = loss.get(term[5:], default)
        loss[term[5:]] = schedule | (dict(weight) if isinstance(weight, Mapping) else {"value": weight})
    return [(f"loss.{key}", " and ".join(f"{term}.{key}" for term in ANNEALED)) for key in schedule]


def not_a_section(name: str, value: Any) -> ConfigError:
    """The error about a single value in the place of a table of settings."""
    return ConfigError(f"setting: {name!r} is a section with settings of its own, got {value!r} for it")


def _check_cut(key: str, value: Any) -> None:
    harmless, reason = CUT[key]
    try:
        same = str(value).strip("\"' ") == harmless if isinstance(harmless, str) else float(value) == harmless
    except (TypeError, ValueError):
        same = False
    if not same:
        raise ConfigError(f"setting: {key} was removed: {reason}; leave it out, got {value!r}")


def _warn(renamed: Iterable[tuple[str, str]], cut: Iterable[str], effect: str) -> None:
    """Issue a :class:`~brule.errors.SettingsWarning` about settings under their old and new names, and one about those cut."""
    if listed := ", ".join(f"{old} is now {new}" for old, new in renamed):
        warnings.warn(f"settings were renamed: {listed}; the old names still work", SettingsWarning, stacklevel=4)
    if listed := ", ".join(cut):
        warnings.warn(f"settings were removed: {listed}; {effect}", SettingsWarning, stacklevel=4)


def current_state_name(name: str) -> str:
    """The present name of a tensor of a checkpoint."""
    for old, new in RENAMED_STATES.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
