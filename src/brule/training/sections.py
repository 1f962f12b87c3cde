"""The sections of a run's settings; the defaults are the paper's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import core_schema as schema

from brule.networks import BACKBONES, HEADS


class Section(BaseModel):
    """Frozen, and closed to unknown keys and to numbers that aren't finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class Weight(float):
    """Weight of a loss term with its schedule: a number that may change over the run.

    In settings it is a number, ``14``, or a table, ``{value = 14, anneal_from = 100, anneal_until = 0.4}``: 100 times as much
    at the start, falling geometrically to 14 at 40 % of the run. With an ``anneal_from`` below 1 the weight grows.

    Attributes:
        anneal_from: factor on the weight at the start of the run, above 0.
        anneal_until: fraction of the run after which the factor is 1; 0 = no schedule.
    """

    anneal_from: float
    anneal_until: float

    def __new__(cls, value: float, anneal_from: float = 1.0, anneal_until: float = 0.0) -> Weight:  # noqa: D102
        self = super().__new__(cls, value)
        self.anneal_from, self.anneal_until = anneal_from, anneal_until
        return self

    def __eq__(self, other: object) -> bool:
        return float(self) == other and (not isinstance(other, Weight) or self.plain == other.plain)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = float.__hash__

    def at(self, progress: float) -> float:
        """The weight when a fraction ``progress`` of the run is done."""
        if not self.anneal_until or progress >= self.anneal_until:
            return float(self)
        return float(self * self.anneal_from ** (1 - progress / self.anneal_until))

    @property
    def plain(self) -> float | dict[str, float]:
        """As settings hold it: a number without a schedule, else a table."""
        if self.anneal_from == 1 or not self.anneal_until:
            return float(self)
        return {"value": float(self), "anneal_from": self.anneal_from, "anneal_until": self.anneal_until}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> schema.CoreSchema:
        finite = partial(schema.float_schema, allow_inf_nan=False)  # what the section forbids doesn't reach in here
        table = schema.typed_dict_schema(
            {
                "value": schema.typed_dict_field(finite(ge=0)),
                "anneal_from": schema.typed_dict_field(finite(gt=0), required=False),
                "anneal_until": schema.typed_dict_field(finite(ge=0, le=1), required=False),
            },
            extra_behavior="forbid",
        )
        return schema.chain_schema(
            [
                schema.no_info_plain_validator_function(as_table),
                table,
                schema.no_info_plain_validator_function(lambda fields: cls(**fields)),
            ],
            serialization=schema.plain_serializer_function_ser_schema(lambda weight: weight.plain),
        )


def as_table(weight: Any) -> Any:
    """A weight as a table, if it is one or a number; else what was given."""
    weight = weight.plain if isinstance(weight, Weight) else weight
    return weight if isinstance(weight, Mapping) else {"value": weight}


def _one_of(registry: Mapping[str, object]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in registry:
            raise ValueError(f"expected one of {', '.join(registry)}")
        return name

    return check


class Crop(Section):
    """How images become the encoder's input."""

    image_size: int = Field(256, ge=16, le=1024, description="Side of the crops the encoder sees, in pixels.")
    scale: float = Field(1.3, gt=0, le=10, description="Side of a crop divided by the longer side of the object's box.")
    context: float = Field(
        1.0,
        ge=1,
        le=2,
        description="How many times wider stored crops are than what the encoder sees, so that warps show real surroundings "
        "instead of padding.",
    )
    fit_boxes: Literal["auto", "never"] | tuple[float, float, float] = Field(
        "auto",
        description="What to do with boxes that were drawn around other landmarks than those of the shapes. auto: boxes of "
        "five points of a face become boxes of 68 points; never: all boxes stay as they are; [scale, x, y]: scale and shift "
        "all boxes, in longer sides of the box, for example [2, 0, 0.12].",
    )

    @field_validator("fit_boxes", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        if value in ("auto", "never"):
            return value
        numbers = isinstance(value, list | tuple) and all(isinstance(one, int | float) and math.isfinite(one) for one in value)
        if not numbers or len(value) != 3 or not value[0] > 0:
            raise ValueError("expected auto, never, or [scale, x, y] with a positive scale")
        return tuple(value)


class Locating(Section):
    """The locator, which finds the object in whole images (not in the paper)."""

    enabled: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Learn a locator from the annotated images: if some images have no boxes (auto), always, or never.",
    )
    any_rotation: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Look for objects at any angle: if annotated ones are rotated by more than 20° (auto), always, or never.",
    )


class Encoder(Section):
    """The landmark encoder."""

    head: Annotated[str, AfterValidator(_one_of(HEADS))] = Field(
        "convolution",
        description="How score maps become coordinates: the paper's convolutions (convolution), or a spatial softmax "
        "(softmax).",
    )
    backbone: Annotated[str, AfterValidator(_one_of(BACKBONES))] = Field(
        "hourglass", description="The paper's stacked hourglass (hourglass), or a single small one made for CPUs (compact)."
    )
    width: int = Field(256, ge=8, le=4096, description="Channels inside the hourglass (backbone compact: at its finest level).")
    stacks: int = Field(2, ge=1, le=8, description="Number of hourglasses, one after the other.")
    depth: int = Field(4, ge=1, le=6, description="How many times an hourglass halves its maps.")
    stem_stride: Literal[1, 2, 4] = Field(
        4, description="How many times smaller the score maps are than the image (side over side)."
    )


class Warp(Section):
    """The random map g of the geometric regulariser."""

    rotation: float = Field(15.0, ge=0, le=180, description="Largest rotation, in degrees.")
    scale: float = Field(0.1, ge=0, description="Largest change of size s: between 1/(1+s) and 1+s times.")
    translation: float = Field(0.0625, ge=0, description="Largest shift, in sides of the crop.")
    elastic: float = Field(0.0095, ge=0, description="Standard deviation of the elastic displacement, in sides of the crop.")
    elastic_scale: float = Field(0.039, gt=0, description="Smoothing length of the elastic displacement, in sides of the crop.")
    bends: float = Field(
        0.0,
        ge=0,
        description="Largest factor on further deformations, drawn like the differences between the annotated shapes; 0 = none "
        "(not in the paper).",
    )
    both: bool = Field(
        False,
        description="Also rotate, scale and shift the image itself at random before the warp g is applied, so that neither "
        "view shows the crop as it was cut (not in the paper).",
    )

    def strengths(self) -> dict[str, Any]:
        """What :meth:`brule.geometry.SynchronizedWarp.sample` takes of it."""
        return self.model_dump(exclude={"bends", "both"})


class Augmentation(Section):
    """Photometric augmentation and random erasing; landmarks are unaffected. All 0 in the paper."""

    brightness: float = Field(0.0, ge=0, description="Largest shift of brightness (1 = from grey to white).")
    contrast: float = Field(0.0, ge=0, le=1, description="Largest relative change of contrast.")
    saturation: float = Field(0.0, ge=0, le=1, description="Largest relative change of saturation.")
    tint: float = Field(0.0, ge=0, description="Largest shift of each colour channel.")
    noise: float = Field(0.0, ge=0, description="Largest standard deviation of pixel noise.")
    shading: float = Field(0.0, ge=0, le=1, description="Largest relative change of light, different from place to place.")
    erasing: float = Field(0.0, ge=0, le=1, description="Longest side of a randomly erased rectangle, in sides of the crop.")


class Decoder(Section):
    """The networks that redraw an image from its landmarks: generator and styles; the discriminator is as wide."""

    image_size: int = Field(0, ge=0, le=1024, description="Side of the redrawn images, a power of two; 0 = that of the crop.")
    width: int = Field(32, ge=2, le=4096, description="Channels at the images' size; doubled at every halving of the size.")
    max_width: int = Field(512, ge=8, le=4096, description="Largest number of channels of any layer of the decoder.")
    style_dim: int = Field(
        512, ge=1, le=8192, description="Length of a style vector; a style has two, one for coarse and one for fine layers."
    )
    noise_dim: int = Field(512, ge=1, le=8192, description="Length of each noise vector that a random style is made from.")
    mapping_depth: int = Field(
        8, ge=1, le=64, description="Number of layers of the mapping network, which turns noise into a random style."
    )
    mixing: float = Field(
        0.9, ge=0, le=1, description="Share of the random styles whose two vectors come from different noise (style mixing)."
    )


class Gan(Section):
    """Algorithm 1: the training of the decoder and the discriminator."""

    enabled: bool = Field(
        True,
        description="Train the decoder, which redraws images. Without it, loss.adversarial, loss.image_reconstruction, "
        "loss.landmark_reconstruction and loss.drawn have no effect.",
    )
    every: int = Field(1, ge=1, description="Iterations between two steps of the decoder and the discriminator (Algorithm 1).")
    adversarial: Weight = Field(
        Weight(1.0),
        description="Weight of the decoder's adversarial loss (L_g in Algorithm 1). 0 = no discriminator; loss.adversarial "
        "then has no effect.",
    )
    reconstruction: Weight = Field(
        Weight(30.0), description="Weight of the difference between an image and its redrawing (L_rec^I, c1 of Algorithm 1)."
    )
    style: Weight = Field(Weight(10.0), description="Weight of the style's consistency (L_style, c2 of Algorithm 1).")
    warped_style: bool = Field(
        True,
        description="Also ask that a drawn image keeps its style when it is warped (the second half of L_style).",
    )
    penalty: Weight = Field(
        Weight(80.0), description="Weight of the penalty on the discriminator's gradient (λ of Algorithm 1)."
    )
    penalty_every: int = Field(4, ge=1, description="Steps of Algorithm 1 between two steps with this penalty.")
    style_from: Literal["image", "other view"] = Field(
        "image",
        description="Where the style of a redrawn image is read from: the image itself, as in the paper (image), or its other "
        "view, warped or not (other view), so that the style can't carry positions.",
    )
    generator_rate: float = Field(2.5e-4, gt=0, description="Learning rate of the generator and the mapping network.")
    style_rate: float = Field(1e-5, gt=0, description="Learning rate of the style encoder.")
    discriminator_rate: float = Field(3.75e-4, gt=0, description="Learning rate of the discriminator.")
    beta1: float = Field(0.5, ge=0, lt=1, description="Decay rate β₁ of Adam's mean of the gradient.")
    beta2: float = Field(0.97, ge=0, lt=1, description="Decay rate β₂ of Adam's mean of the squared gradient.")


class Labelled(Section):
    """Learning from annotated images (§6.2), beside the unlabelled ones or alone."""

    batch_size: int = Field(
        0, ge=0, description="Annotated images per iteration, over all processes together; 0 = as many as unlabelled ones."
    )
    every: int = Field(1, ge=1, description="Iterations between two batches of annotated images.")
    start: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Fraction of the run after which the encoder learns from annotated images, if there are unlabelled ones "
        "too. Until then only their shapes are used, and the teacher's error on them shows how far their mean shape is from "
        "that of all images (not in the paper).",
    )
    together: bool = Field(
        False,
        description="Put annotated and unlabelled images into one batch and one step, rather than alternate (not in the "
        "paper).",
    )
    heatmap: Weight = Field(
        Weight(1500.0), description="Weight of the cross-entropy H between the landmarks' heatmap and that of the annotation."
    )
    distance: Weight = Field(
        Weight(1.0), description="Weight of the distance between landmarks and annotation, in % of the crop (not in the paper)."
    )


class Finetune(Section):
    """The fine-tuning phase at the end of a run: annotated images are warped less, as in prediction (not in the paper)."""

    fraction: float = Field(0.0, ge=0, le=1, description="Last fraction of the run that is fine-tuning; 0 = none.")
    warp_scale: float = Field(
        1.0, ge=0, le=1, description="Factor on the strength of the warps of annotated images in this phase."
    )
    mirror: bool = Field(
        True,
        description="Keep mirroring annotated images in this phase. Without mirroring, the detector learns where annotations "
        "aren't symmetric.",
    )


class Optimizer(Section):
    """Adam, Muon if wanted, and the schedule of their learning rates."""

    learning_rate: float = Field(
        2e-5,
        gt=0,
        description="Adam's learning rate for the encoder (with optimizer.muon, only for the weights that Muon leaves).",
    )
    muon: float = Field(
        0.0,
        ge=0,
        description="Learning rate of Muon, which updates the encoder's convolutions by orthogonalised momentum (not in the "
        "paper); 0 = Adam updates them, too.",
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="Decay rate β₁ of Adam's mean of the gradient.")
    beta2: float = Field(0.97, ge=0, lt=1, description="Decay rate β₂ of Adam's mean of the squared gradient.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of the encoder; 0 = none.")
    schedule: Literal["constant", "cosine"] = Field("constant", description="How the learning rate changes over the run.")
    warmup: int = Field(0, ge=0, description="Iterations over which the learning rate rises from 0.")
    clip: float = Field(0.0, ge=0, description="Largest norm of the encoder's gradient; 0 = not clipped.")


class Ema(Section):
    """Exponential moving average (EMA) of the weights (§4 of the paper)."""

    decay: float = Field(0.99, ge=0, lt=1, description="Share of the old average that is kept at each iteration.")
    write_back_every: int = Field(
        100, ge=0, description="The average replaces the encoder's weights every this many iterations; 0 = never."
    )


class Teacher(Section):
    """Targets for E(gI) from the averaged encoder rather than from the encoder itself (not in the paper)."""

    enabled: bool = Field(
        False,
        description="Compute the landmarks of the image with the averaged encoder (mean teacher). The encoder itself then sees "
        "the warped image only, and the shape terms act on its landmarks mapped back.",
    )
    plain: bool = Field(
        False,
        description="Feed the teacher unaugmented images; only the student's are flipped, colour-jittered and partly erased.",
    )
    centre: bool = Field(
        True, description="Shift the targets so that their mean over all images equals the mean of the annotated shapes."
    )
    noise: float = Field(
        0.0,
        ge=0,
        description="Assumed noise of the targets, in sides of the crop; the shape prior removes it. 0 = none.",
    )
    align: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Fraction of the run after which the mean of the annotated shapes is moved to where it fits the "
        "unlabelled images best, as far as the mean of so few shapes may be off; 0 = never. If a quarter of the "
        "landmarks, and at least four, lie between two near neighbours, as along contours, edges and lines decide; otherwise "
        "corners and blobs do. The mean is found anew whenever teacher.regress learns. Where there are annotated images, it is "
        "found by these first (labelled.start), then moved once, when teacher.regress learns, and only if the landmarks trace "
        "contours.",
    )
    regress: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Fraction of the run after which each target is moved to where its surroundings look as in the other "
        "images, by local regressions that are learnt without labels, four times at equal intervals; they take the place of "
        "teacher.noise. 0 = never. They need the shape prior.",
    )
    regress_final: float = Field(
        0.6,
        ge=0,
        le=1,
        description="How far predictions move towards what such regressions, learnt once more at the end of training from 200 "
        "unlabelled images or more, say: 1 = all the way, 0 = not at all. It has no effect without teacher.regress.",
    )
