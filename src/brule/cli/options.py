"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from brule.cli.output import is_distributed

Many = Parameter(consume_multiple=True)
Images = Annotated[
    list[str] | None,
    Parameter(name="--images", consume_multiple=True, help="Another way to give PATHS, the images.", show_default=False),
]
Data = Annotated[
    list[str] | None,
    Parameter(
        name=["--data", "--images"],
        consume_multiple=True,
        help="Another way to give PATHS, the annotated images.",
        show_default=False,
    ),
]
Output = Parameter(name=["--output", "-o"])
SkipBad = Annotated[bool, Parameter(help="Skip broken files and list them, instead of stopping at the first.", negative=())]
Device = Annotated[
    str | None,
    Parameter(
        help="Where to compute: `cpu`, `cuda`, `cuda:1`, `mps`. By default a CUDA device if there is one, else the CPU.",
        show_default=False,
    ),
]

Tta = Annotated[
    int,
    Parameter(
        name=["--tta", "--views"],
        help="Test-time augmentation: how many views of each crop to average, 1 to 6: unchanged, mirrored, rotated a little "
        "and so on. Their disagreement indicates the error. Each view takes as long as the first.",
    ),
]
Refine = Annotated[
    int | None,
    Parameter(
        help="Refinement passes: how many times to crop the image again around the landmarks just found, and predict again. By "
        "default 2 if the box was found, 0 if it was given.",
        show_default=False,
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """How a detector reads images.

    Args:
        batch_size: Images at a time; memory doesn't grow with their number.
    """

    refine: Refine = None
    tta: Tta = 1
    batch_size: int = 64


def images_of(paths: Sequence[str] | None, images: Sequence[str] | None, *, example: str = "") -> list[str]:
    """Images named with or without ``--images``.

    Args:
        paths: those without.
        images: those with.
        example: a command with images, for the message where they are required.

    Raises:
        ConfigError: there are none, and they are required.
    """
    from brule.errors import ConfigError

    found = [*(paths or ()), *(images or ())]
    if example and not found:
        raise ConfigError(f"expected images: files, folders or globs, as in `{example}`")
    return found


def checked_device(name: str | None) -> str | None:
    """The name of a device that is there. From here on this process computes, and so keeps its memory.

    Raises:
        ConfigError: it is unknown, or not there.
    """
    from brule.allocator import keep_freed_memory
    from brule.errors import ConfigError
    from brule.tensors import why_unusable

    keep_freed_memory()
    if name is None or name == "auto":
        return None
    own = os.environ.get("LOCAL_RANK") if name == "cuda" and is_distributed() else None
    # The others' GPUs are none of ours.
    if reason := why_unusable(name if own is None else f"cuda:{own}"):
        raise ConfigError(f"--device: {name!r} can't be used here ({reason}); --device cpu always can")
    return name
