"""Packages that import their modules only when one of their names is used (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def exports(package: str, names: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose names live in modules that are imported on first use.

    The package imports the same names under ``TYPE_CHECKING``, for type checkers and editors.

    Args:
        package: ``__name__`` of the package.
        names: for each module, relative to the package, the names that the package takes from it.

    Example:
        >>> get, listed = exports("json", {"decoder": ("JSONDecoder",)})
        >>> get("JSONDecoder").__module__
        'json.decoder'
    """
    module_of = {name: module for module, own in names.items() for name in own}

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)  # the next access is an ordinary one
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return get, listed
