"""The settings of a run: frozen, checked, read from TOML presets, overridden by dotted keys, saved with every run."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from importlib import resources
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_origin

from pydantic import BaseModel, Field, ValidationError

from brule.errors import ConfigError
from brule.files import parse_toml, read_text
from brule.training.migration import current_overrides, current_settings, not_a_section
from brule.training.sections import (
    Augmentation,
    Crop,
    Decoder,
    Ema,
    Encoder,
    Finetune,
    Gan,
    Labelled,
    Locating,
    Optimizer,
    Section,
    Teacher,
    Warp,
    Weight,
    as_table,
)
from brule.training.terms import Loss

_LENGTH = ("iterations", "time_limit")  # what may differ when a run is resumed


class TrainingConfig(Section):
    """All settings of a run."""

    preset: str = Field("paper", description="The preset this came from.")
    seed: int = Field(0, ge=0, le=2**62, description="Random seed.")
    iterations: int = Field(300_000, ge=1, description="Length of the run, in iterations.")
    time_limit: float = Field(
        0.0,
        ge=0,
        description="Minutes after which the run ends, its schedule complete; 0 = none. The schedule then depends on the "
        "clock, so two runs are only nearly the same.",
    )
    batch_size: int = Field(8, ge=1, description="Images per iteration, over all processes together.")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Precision of the networks' activations.")
    compile: bool = Field(
        False, description="Compile encoder and generator first. It takes a minute or two, which long runs on a GPU win back."
    )
    threads: int = Field(0, ge=0, le=1024, description="CPU threads per process; 0 = PyTorch's choice.")
    split: int = Field(
        1,
        ge=1,
        description="Parts of a batch that the encoder processes in parallel, one thread each: faster on several CPU "
        "cores. Ignored on GPUs and with several processes.",
    )
    checkpoint_every: int = Field(1000, ge=1, description="Iterations between checkpoints.")
    preview_every: int = Field(1000, ge=0, description="Iterations between preview pictures; 0 = none.")
    log_every: int = Field(20, ge=1, description="Iterations between lines of the log metrics.jsonl.")
    crop: Crop = Crop()
    locator: Locating = Locating()
    encoder: Encoder = Encoder()
    warp: Warp = Warp()
    augmentation: Augmentation = Augmentation()
    decoder: Decoder = Decoder()
    gan: Gan = Gan()
    loss: Loss = Loss()
    labelled: Labelled = Labelled()
    finetune: Finetune = Finetune()
    optimizer: Optimizer = Optimizer()
    ema: Ema = Ema()
    teacher: Teacher = Teacher()

    def to_json(self) -> str:
        """The resolved settings, as ``config.json`` of a run holds them."""
        return json.dumps(self.model_dump(), indent=2) + "\n"


def preset_names() -> list[str]:
    """The presets that come with brule."""
    folder = resources.files("brule.training") / "presets"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_config(preset: str | os.PathLike[str] = "cpu", overrides: Mapping[str, Any] | None = None) -> TrainingConfig:
    """A preset with overrides.

    Args:
        preset: the name of a preset that comes with brule, or the path of your own TOML file.
        overrides: dotted keys to values, for example ``{"encoder.width": 32, "seed": 1}``; text is read as TOML would.

    Raises:
        ConfigError: on an unknown preset, an unknown key (the nearest one is named), or a value out of range.
    """
    if not isinstance(preset, (str, os.PathLike)):
        raise ConfigError(f"preset: expected the name of one or the path of a .toml file, got {preset!r}")
    preset = os.fspath(preset)
    settings = current_settings(_read_preset(preset))
    settings["preset"] = preset
    return _overridden(settings, overrides or {})


def changed_settings(config: TrainingConfig) -> tuple[str, dict[str, Any]]:
    """A preset that comes with brule, and the settings that differ from it, by dotted key; the seed left out.

    It is the preset of the settings, or ``cpu`` where they started from a file, which may not be here any more.
    """
    preset = config.preset if config.preset in preset_names() else "cpu"
    usual = _flat(load_config(preset))
    own = _flat(config)
    return preset, {key: value for key, value in own.items() if key not in ("preset", "seed") and usual.get(key) != value}


def _flat(settings: BaseModel, prefix: str = "") -> dict[str, Any]:
    """All settings by dotted key; a weight with its schedule, as that of a preset stays unless it is changed, too."""
    found: dict[str, Any] = {}
    for key, value in settings:
        if isinstance(value, BaseModel):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
            if isinstance(value, Weight):
                found |= {f"{prefix}{key}.{name}": getattr(value, name) for name in ("anneal_from", "anneal_until")}
    return {key: float(value) if isinstance(value, Weight) else value for key, value in found.items()}


def lengthened(config: TrainingConfig, overrides: Mapping[str, Any]) -> TrainingConfig:
    """The settings of a run that is resumed: only its length may change.

    Raises:
        ConfigError: naming the first setting that would change otherwise.
    """
    wanted = _overridden(config.model_dump(), overrides)
    for key in current_overrides(overrides):
        had, asked = setting(config, key), setting(wanted, key)
        if key not in _LENGTH and had != asked:
            raise ConfigError(
                f"resume: the run was started with {key}={had}, which can't become {asked} now; only iterations and "
                "time_limit may change. For other settings start another run"
            )
    return wanted


def with_batch_for(config: TrainingConfig, n_images: int, *, processes: int = 1) -> TrainingConfig:
    """The same settings with batches no larger than the number of images, and a multiple of the number of processes."""
    size = n_images - n_images % processes
    if n_images >= config.batch_size or size < 1:
        return config
    return config.model_copy(update={"batch_size": size})


def setting(config: TrainingConfig, key: str) -> Any:
    """The value of a setting by its dotted key."""
    return attrgetter(key)(config)


def _overridden(settings: dict[str, Any], overrides: Mapping[str, Any]) -> TrainingConfig:
    for key, value in current_overrides(overrides).items():
        _assign(settings, key, _parsed(value))
    return config_from_dict(settings)


def config_from_dict(settings: Mapping[str, Any]) -> TrainingConfig:
    """Check nested settings and freeze them.

    Raises:
        ConfigError: with one line per wrong setting.
    """
    try:
        return TrainingConfig.model_validate(settings)
    except ValidationError as error:
        raise ConfigError("\n".join(_explained(problem) for problem in error.errors())) from None


def parse_overrides(pairs: list[str]) -> dict[str, str]:
    """``["key=value", …]`` of the command line → a mapping.

    Raises:
        ConfigError: on a pair without ``=``.
    """
    split = [pair.partition("=") for pair in pairs]
    for key, equals, _ in split:
        if not equals:
            raise ConfigError(f"--set: expected key=value, got {key!r}; for example --set encoder.width=32")
    return {key.strip(): value.strip() for key, _, value in split}


def dotted_keys(model: type[BaseModel] = TrainingConfig, prefix: str = "") -> dict[str, str]:
    """Every setting's dotted key with its description: the table behind the command's help."""
    keys: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if prefix + name == "preset":  # says where the settings came from; it isn't one of them
            continue
        if _is_section(field.annotation):
            keys |= dotted_keys(field.annotation, f"{prefix}{name}.")
        else:
            keys[prefix + name] = field.description or ""
    return keys


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    # Python 3.10 takes tuple[int, ...] for a type, and fails to see whether it is a subclass.
    return get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _read_preset(preset: str) -> dict[str, Any]:
    if preset in preset_names():
        text = (resources.files("brule.training") / "presets" / f"{preset}.toml").read_text(encoding="utf-8")
    elif preset.endswith(".toml"):
        try:
            text = read_text(preset)
        except OSError as error:
            raise ConfigError(f"preset: can't read {preset}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"preset: {preset} is not UTF-8 text ({error.reason}, byte {error.start}); save it as UTF-8"
            ) from None
        except ValueError as error:
            raise ConfigError(f"preset: {preset} is no file of settings: {error}") from None
    else:
        names = preset_names()
        raise ConfigError(
            f"preset: {preset!r} is unknown{_nearest(preset, names)} there are {', '.join(names)}, or a .toml file"
        )
    try:
        return parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"preset: {preset} is no valid TOML: {error}") from None


def _assign(settings: dict[str, Any], key: str, value: Any) -> None:
    known = dotted_keys()
    if key == "preset":
        raise ConfigError("setting: preset can't be changed as a setting; choose another with --preset (in Python: preset=…)")
    weight, _, part = key.rpartition(".")
    if weight in known and part in Weight.__annotations__ and isinstance(setting(TrainingConfig(), weight), Weight):
        key = weight  # its schedule
    if key not in known:
        raise ConfigError(f"setting: {key!r} is unknown{_nearest(key, list(known))} `brule train --list-settings` shows all")
    *sections, last = key.split(".")
    place = settings
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise not_a_section(section, place)
    if key == weight:
        place[last] = {**as_table(place.get(last, setting(TrainingConfig(), key))), part: value}
    elif isinstance(place.get(last), Mapping) and not isinstance(value, Mapping):
        place[last] = {**place[last], "value": value}  # a weight keeps its schedule
    else:
        place[last] = value


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_toml(f"value = {value}")["value"]
    except ValueError:
        return value  # bare words, such as softmax


def _explained(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]).removesuffix(".value")  # of a weight
    if problem["type"] == "extra_forbidden":
        return f"setting: {key!r} is unknown{_nearest(key, list(dotted_keys()))} `brule train --list-settings` shows all"
    if problem["type"] in ("model_type", "model_attributes_type"):
        return str(not_a_section(key, problem["input"]))
    return f"setting {key}: {problem['msg'].lower().removeprefix('value error, ')}, got {problem['input']!r}"


def _nearest(word: str, known: list[str]) -> str:
    leaf = {name.rsplit(".", 1)[-1]: name for name in known}
    close = difflib.get_close_matches(word, known, 1) or [
        leaf[name] for name in difflib.get_close_matches(word.rsplit(".", 1)[-1], list(leaf), 1)
    ]
    return f", did you mean {close[0]!r}?" if close else ";"
