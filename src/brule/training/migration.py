"""Settings and stored states of earlier versions under their present names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from brule.errors import ConfigError

RENAMED_SECTIONS = {"appearance": "augmentation", "averaging": "ema", "ending": "finetune"}
RENAMED_SETTINGS = {
    "appearance.occlusion": "augmentation.erasing",
    "ending.share": "finetune.fraction",
    "ending.warps": "finetune.warp_scale",
}
RENAMED_STATES = {"average/": "ema/", "decoder_average/": "decoder_ema/", "means/average": "means/ema"}


def current_key(key: str) -> str:
    """The present dotted key of a setting; a key that was never renamed comes back as it is."""
    if key in RENAMED_SETTINGS:
        return RENAMED_SETTINGS[key]
    section, dot, rest = key.partition(".")
    return RENAMED_SECTIONS.get(section, section) + dot + rest


def current_settings(settings: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """Nested settings with every renamed section and key under its present name.

    Args:
        settings: as a preset, or the ``config`` of a stored detector, holds them.
        quiet: without a :class:`FutureWarning` that names the old keys; for files that brule wrote itself.

    Raises:
        ConfigError: an old and a new name of one setting are both there.
    """
    current: dict[str, Any] = {}
    renamed = []
    for name, value in settings.items():
        is_section = isinstance(value, Mapping)
        section: dict[str, Any] = current.setdefault(RENAMED_SECTIONS.get(name, name), {}) if is_section else current
        for key, one in value.items() if is_section else [(name, value)]:
            old = f"{name}.{key}" if is_section else key
            new = current_key(old)
            leaf = new.rsplit(".", 1)[-1]
            if leaf in section:
                raise ConfigError(f"setting: {old!r} is the former name of {new!r}, and both are given; keep {new!r}")
            section[leaf] = one
            if new != old:
                renamed.append((old, new))
    if renamed and not quiet:
        warn_renamed(renamed)
    return current


def warn_renamed(renamed: list[tuple[str, str]]) -> None:
    """Issue one :class:`FutureWarning` that lists settings under their old and new names."""
    listed = ", ".join(f"{old} is now {new}" for old, new in renamed)
    warnings.warn(f"settings were renamed: {listed}; the old names still work", FutureWarning, stacklevel=4)


def current_state_name(name: str) -> str:
    """The present name of a tensor of a checkpoint."""
    for old, new in RENAMED_STATES.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
