"""The conventions of scikit-learn's estimators: parameters that can be read, set and copied, and a readable repr."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from brule.detector.types import Setting

if TYPE_CHECKING:
    from typing_extensions import Self

_OWN = {"preset": "cpu", "quiet": False, "device": None}  # parameters that aren't settings of the training, and their defaults


class Parameters:
    """Keeps what an estimator was made with.

    ``sklearn.base.clone`` works with it, too.

    Args:
        preset: the preset.
        quiet: whether training prints nothing.
        device: where to compute.
        **overrides: settings that differ from the preset; sections are reached with two underscores or a dot.
    """

    def __init__(self, preset: str = "cpu", *, quiet: bool = False, device: str | None = None, **overrides: Setting) -> None:
        self.preset = preset
        self.quiet = quiet
        self.device = device
        self.overrides: dict[str, Setting] = {key.replace("__", "."): value for key, value in overrides.items()}

    def get_params(self, deep: bool = True) -> dict[str, Setting]:
        """What the estimator was made with, as keywords of the class; ``deep`` is there for scikit-learn and does nothing."""
        own: dict[str, Setting] = {name: getattr(self, name) for name in _OWN}
        return own | {key.replace(".", "__"): value for key, value in self.overrides.items()}

    def set_params(self, **parameters: Setting) -> Self:
        """Change the preset, the device or settings. What was learnt is kept; the next :meth:`fit` uses them.

        Args:
            **parameters: as for the class.

        Returns:
            The estimator itself.

        Raises:
            ConfigError: a setting is unknown or out of range; nothing is changed then.
        """
        from brule.training.config import load_config

        own = {name: value for name, value in parameters.items() if name in _OWN}
        settings = {key.replace("__", "."): value for key, value in parameters.items() if key not in _OWN}
        load_config(str(own.get("preset", self.preset)), {**self.overrides, **settings})
        vars(self).update(own)
        self.overrides.update(settings)
        return self

    def clone(self) -> Self:
        """An untrained estimator with the same parameters."""
        return type(self)(**copy.deepcopy(self.get_params()))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        changed = {name: value for name, value in self.get_params().items() if name == "preset" or value != _OWN.get(name)}
        given = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        return f"{type(self).__name__}({given})"
