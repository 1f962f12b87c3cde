"""The settings of a run: frozen, checked, read from TOML presets, overridden by dotted keys, saved with every run."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brule.errors import ConfigError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]


_LENGTH = ("iterations", "time_limit")  # what may differ when a run is taken up again


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Crop(_Section):
    """How images become the encoder's input."""

    image_size: int = Field(256, ge=16, le=1024, description="Side of the crops the encoder sees, in pixels.")
    scale: float = Field(1.3, gt=0, description="Side of a crop over the longer side of the object's box.")
    context: float = Field(
        1.0, ge=1, le=2, description="Crops are stored this much wider, so that warps bring in real surroundings."
    )


class Encoder(_Section):
    """The landmark encoder."""

    head: Literal["convolution", "softmax"] = Field(
        "convolution", description="How score maps become coordinates: the paper's convolutions, or a spatial softmax."
    )
    backbone: Literal["hourglass", "compact"] = Field(
        "hourglass", description="The paper's stacked hourglass, or a single small one made for CPUs."
    )
    width: int = Field(256, ge=8, description="Channels inside the hourglass (compact: at its finest level).")
    stacks: int = Field(2, ge=1, le=8, description="Hourglasses in a row.")
    depth: int = Field(4, ge=1, le=6, description="Levels of an hourglass.")
    stem_stride: Literal[1, 2, 4] = Field(4, description="Image side over score-map side.")


class Warp(_Section):
    """The random map g of the geometric regulariser."""

    rotation: float = Field(15.0, ge=0, le=180, description="Largest angle, in degrees.")
    scale: float = Field(0.1, ge=0, description="Largest change of size: the factor lies in 1/(1+s) … 1+s.")
    translation: float = Field(0.0625, ge=0, description="Largest shift, in units of the crop.")
    elastic: float = Field(0.0095, ge=0, description="Standard deviation of the elastic displacement, units of the crop.")
    elastic_scale: float = Field(0.039, gt=0, description="Smoothing length of the elastic displacement, same units.")
    bends: float = Field(
        0.0, ge=0, description="Largest factor on deformations drawn from the annotated shapes (not in the paper)."
    )


class Appearance(_Section):
    """Random changes of colour, the same over an image, that landmarks must not depend on; all 0 in the paper."""

    brightness: float = Field(0.0, ge=0, description="Largest shift of brightness (1 = from grey to white).")
    contrast: float = Field(0.0, ge=0, le=1, description="Largest relative change of contrast.")
    saturation: float = Field(0.0, ge=0, le=1, description="Largest relative change of saturation.")
    tint: float = Field(0.0, ge=0, description="Largest shift of each colour channel.")
    noise: float = Field(0.0, ge=0, description="Largest standard deviation of pixel noise.")


class Decoder(_Section):
    """The networks that redraw an image from its landmarks: generator and styles; the discriminator is as wide."""

    image_size: int = Field(
        0, ge=0, le=1024, description="Side of the images that are redrawn, a power of two; 0 = that of the crop."
    )
    width: int = Field(32, ge=2, description="Channels at the images' size; twice as many at every halving.")
    max_width: int = Field(512, ge=8, description="Never more channels than this.")
    style_dim: int = Field(512, ge=1, description="Length of each of the two rows of a style.")
    noise_dim: int = Field(512, ge=1, description="Length of each of the two rows of noise that a random style is made of.")
    mapping_depth: int = Field(8, ge=1, description="Layers from noise to style.")
    mixing: float = Field(0.9, ge=0, le=1, description="Share of the random styles whose two rows are drawn apart.")


class Gan(_Section):
    """Algorithm 1: the training of the decoder and the discriminator."""

    enabled: bool = Field(True, description="Train the decoder; without it c5, c6 and c7 count for nothing.")
    every: int = Field(1, ge=1, description="Iterations between two steps of Algorithm 1.")
    start: float = Field(0.0, ge=0, lt=1, description="Share of the run after which the decoder comes in.")
    adversarial: float = Field(
        1.0, ge=0, description="Weight of L_d and L_g; 0 = no discriminator, c5 then counts for nothing."
    )
    reconstruction: float = Field(30.0, ge=0, description="c1 of Algorithm 1: L_rec^I.")
    style: float = Field(10.0, ge=0, description="c2 of Algorithm 1: L_style.")
    penalty: float = Field(80.0, ge=0, description="λ of Algorithm 1: weight of the discriminator's gradient.")
    penalty_every: int = Field(4, ge=1, description="Steps between two of these penalties.")
    style_from: Literal["image", "other view"] = Field(
        "image",
        description="Where the style of a redrawn image is read: off the image itself, as in the paper, or off the other "
        "one of I and gI, so that it can't carry positions.",
    )
    generator_rate: float = Field(2.5e-4, gt=0, description="Learning rate of the generator and the mapping network.")
    style_rate: float = Field(1e-5, gt=0, description="Learning rate of the style encoder.")
    discriminator_rate: float = Field(3.75e-4, gt=0, description="Learning rate of the discriminator.")
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.97, ge=0, lt=1)


class Loss(_Section):
    """Weights of the terms; a term of weight 0 is not computed."""

    barycenter: float = Field(14.0, ge=0, description="c3 of Algorithm 2: R_b.")
    translation: float = Field(1.0, ge=0, description="c1 of R_b.")
    affine: float = Field(2.0, ge=0, description="c2 of R_b.")
    warp: float = Field(4.0, ge=0, description="c3 of R_b.")
    geometric: float = Field(1500.0, ge=0, description="c4 of Algorithm 2: R_g.")
    coordinates: float = Field(0.001, ge=0, description="c1 of R_g and of L_rec^L: their coordinate term.")
    adversarial: float = Field(0.4, ge=0, description="c5 of Algorithm 2: L_g.")
    image_reconstruction: float = Field(40.0, ge=0, description="c6 of Algorithm 2: L_rec^I.")
    landmark_reconstruction: float = Field(20.0, ge=0, description="c7 of Algorithm 2: L_rec^L.")
    drawn: float = Field(
        0.0,
        ge=0,
        description="Weight of the landmark distance between E(G(L, S)) and X, in % of the crop: L_rec^L without heatmaps "
        "(not in the paper).",
    )
    fakes: float = Field(
        1.0, gt=0, le=1, description="Share of a batch that is drawn with random styles for L_rec^L and `drawn`."
    )
    sigma: float = Field(4.0, gt=0, description="Width of the skeleton's lines, in pixels of the crop.")
    shape_prior: float = Field(
        0.0, ge=0, description="Weight of the Gaussian shape prior learnt from the annotated shapes (not in the paper)."
    )
    population: float = Field(
        0.0, ge=0, description="Weight of the shape prior on the mean over all images (not in the paper)."
    )
    equivariance: float = Field(
        0.0,
        ge=0,
        description="Weight of the landmark distance between E(gI) and gE(I), in % of the crop (not in the paper).",
    )
    anneal_from: float = Field(
        1.0,
        ge=1,
        description="Factor on the weights of R_b and the shape prior at the start; falls to 1 (not in the paper).",
    )
    anneal_until: float = Field(0.0, ge=0, le=1, description="Share of the run after which that factor is 1; 0 = at once.")
    mirror: bool = Field(
        False,
        description="Let g mirror half of the images, indices swapped by the shapes' own symmetry (not in the paper).",
    )


class Optimizer(_Section):
    """Adam and its schedule."""

    learning_rate: float = Field(2e-5, gt=0, description="Of the encoder.")
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.97, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = Field("constant", description="Of the learning rate over the run.")
    warmup: int = Field(0, ge=0, description="Iterations over which the learning rate rises from 0.")
    clip: float = Field(0.0, ge=0, description="Largest norm of the gradient; 0 = as it comes.")


class Averaging(_Section):
    """Accumulation of the weights (§4 of the paper)."""

    decay: float = Field(0.99, ge=0, lt=1, description="Share of the old average kept at each iteration.")
    write_back_every: int = Field(100, ge=0, description="Iterations between writing the average back; 0 = never.")


class Teacher(_Section):
    """Targets for E(gI) from the averaged encoder rather than from the encoder itself (not in the paper)."""

    enabled: bool = Field(
        False,
        description="Take E(I) from the averaged encoder; the encoder then sees gI alone, and the terms of the shape act on "
        "its landmarks carried back by g.",
    )
    centre: bool = Field(True, description="Shift the targets so that their mean over the images is the prior's mean.")
    noise: float = Field(
        0.0,
        ge=0,
        description="Noise that is taken to lie on the targets, which the shape prior then cleans; units of the crop.",
    )


class TrainingConfig(_Section):
    """Everything that decides a run, but for its data."""

    preset: str = Field("paper", description="The preset this came from.")
    seed: int = Field(0, ge=0, description="Of everything random.")
    iterations: int = Field(300_000, ge=1, description="Length of the run.")
    time_limit: float = Field(
        0.0,
        ge=0,
        description="Minutes after which the run ends, its schedule complete; 0 = none. The clock then has a say in the "
        "schedule, and two runs are alike only up to that.",
    )
    batch_size: int = Field(8, ge=1, description="Images an iteration.")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Of the networks' activations.")
    threads: int = Field(0, ge=0, description="CPU threads; 0 = PyTorch's choice.")
    checkpoint_every: int = Field(1000, ge=1, description="Iterations between checkpoints.")
    preview_every: int = Field(1000, ge=0, description="Iterations between preview pictures; 0 = none.")
    log_every: int = Field(20, ge=1, description="Iterations between lines of the log.")
    crop: Crop = Crop()
    encoder: Encoder = Encoder()
    warp: Warp = Warp()
    appearance: Appearance = Appearance()
    decoder: Decoder = Decoder()
    gan: Gan = Gan()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    averaging: Averaging = Averaging()
    teacher: Teacher = Teacher()

    def to_json(self) -> str:
        """The resolved settings, as ``config.json`` of a run holds them."""
        return json.dumps(self.model_dump(), indent=2) + "\n"


def preset_names() -> list[str]:
    """The presets that come with brule."""
    folder = resources.files("brule.training") / "presets"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_config(preset: str = "cpu", overrides: Mapping[str, Any] | None = None) -> TrainingConfig:
    """A preset with overrides.

    Args:
        preset: the name of a preset that comes with brule, or the path of a TOML file of one's own.
        overrides: dotted keys to values, for example ``{"encoder.width": 32, "seed": 1}``; text is read as TOML would.

    Raises:
        ConfigError: on an unknown preset, an unknown key (the nearest one is named), or a value out of range.
    """
    settings = _read_preset(preset)
    settings["preset"] = preset
    return _overridden(settings, overrides or {})


def lengthened(config: TrainingConfig, overrides: Mapping[str, Any]) -> TrainingConfig:
    """The settings of a run that is taken up again: only how long it lasts may change.

    Raises:
        ConfigError: naming the first setting that would change otherwise.
    """
    wanted = _overridden(config.model_dump(), overrides)
    for key in overrides:
        had, asked = setting(config, key), setting(wanted, key)
        if key not in _LENGTH and had != asked:
            raise ConfigError(
                f"resume: the run was started with {key}={had}, which can't become {asked} now; only iterations and "
                "time_limit may change. For other settings start another run"
            )
    return wanted


def setting(config: TrainingConfig, key: str) -> Any:
    """The value of a setting by its dotted key."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _overridden(settings: dict[str, Any], overrides: Mapping[str, Any]) -> TrainingConfig:
    for key, value in overrides.items():
        _assign(settings, key, _parsed(value))
    return config_from_dict(settings)


def config_from_dict(settings: Mapping[str, Any]) -> TrainingConfig:
    """Check nested settings and freeze them.

    Raises:
        ConfigError: with one line a wrong setting.
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
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= dotted_keys(field.annotation, f"{prefix}{name}.")
        else:
            keys[prefix + name] = field.description or ""
    return keys


def _read_preset(preset: str) -> dict[str, Any]:
    if preset in preset_names():
        text = (resources.files("brule.training") / "presets" / f"{preset}.toml").read_text(encoding="utf-8")
    elif preset.endswith(".toml"):
        try:
            text = Path(preset).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"preset: can't read {preset}: {error.strerror}") from None
    else:
        names = preset_names()
        raise ConfigError(
            f"preset: {preset!r} is unknown{_nearest(preset, names)}; there are {', '.join(names)}, or a .toml file"
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"preset: {preset} is no valid TOML: {error}") from None


def _assign(settings: dict[str, Any], key: str, value: Any) -> None:
    known = dotted_keys()
    if key == "preset":
        raise ConfigError("setting: preset can't be changed as a setting; choose another with --preset (in Python: preset=…)")
    if key not in known:
        raise ConfigError(f"setting: {key!r} is unknown{_nearest(key, list(known))}; `brule train --list-settings` shows all")
    *sections, last = key.split(".")
    place = settings
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"setting: {section!r} is a section with settings of its own, got {place!r} for it")
    place[last] = value


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value  # bare words, such as softmax


def _explained(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"setting: {key!r} is unknown{_nearest(key, list(dotted_keys()))}; `brule train --list-settings` shows all"
    return f"setting {key}: {problem['msg'].lower()}, got {problem['input']!r}"


def _nearest(word: str, known: list[str]) -> str:
    leaf = {name.rsplit(".", 1)[-1]: name for name in known}
    close = difflib.get_close_matches(word, known, 1) or [
        leaf[name] for name in difflib.get_close_matches(word.rsplit(".", 1)[-1], list(leaf), 1)
    ]
    return f", did you mean {close[0]!r}?" if close else ""
