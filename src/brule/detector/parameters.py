"""The manners of an estimator: its parameters can be read, changed and copied, as scikit-learn's tools do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


class Parameters:
    """What a detector was constructed with; ``sklearn.base.clone`` and searches over settings work with it.

    Nothing is checked here: :meth:`brule.LandmarkDetector.fit` refuses settings that are unknown or out of range.
    """

    preset: str
    quiet: bool
    device: str | None
    overrides: dict[str, Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by the names that the constructor takes.

        Args:
            deep: accepted for scikit-learn; there are no estimators inside.

        Returns:
            ``preset``, ``quiet``, ``device`` and every setting that was given, sections reached with two underscores.

        Example:
            >>> from brule import LandmarkDetector
            >>> LandmarkDetector(encoder__width=32).get_params()
            {'preset': 'cpu', 'quiet': False, 'device': None, 'encoder__width': 32}
        """
        own = {"preset": self.preset, "quiet": self.quiet, "device": self.device}
        return own | {key.replace(".", "__"): value for key, value in self.overrides.items()}

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters; the next :meth:`~brule.LandmarkDetector.fit` reads them.

        Args:
            **parameters: as the constructor takes them.

        Returns:
            The detector itself.
        """
        for name, value in parameters.items():
            if name in ("preset", "quiet", "device"):
                setattr(self, name, value)
            else:
                self.overrides[name.replace("__", ".")] = value
        return self

    def __repr__(self) -> str:
        usual = {"quiet": False, "device": None}
        shown = {name: value for name, value in self.get_params().items() if name not in usual or value != usual[name]}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
