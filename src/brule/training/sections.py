"""The sections of a run's settings; the defaults are the paper's."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Crop(Section):
    """How images become the encoder's input."""

    image_size: int = Field(256, ge=16, le=1024, description="Side of the crops the encoder sees, in pixels.")
    scale: float = Field(1.3, gt=0, description="Side of a crop over the longer side of the object's box.")
    context: float = Field(
        1.0, ge=1, le=2, description="Crops are stored this much wider, so that warps bring in real surroundings."
    )


class Encoder(Section):
    """The landmark encoder."""

    head: Literal["convolution", "softmax"] = Field(
        "convolution", description="How score maps become coordinates: the paper's convolutions, or a spatial softmax."
    )
    backbone: Literal["hourglass", "compact"] = Field(
        "hourglass", description="The paper's stacked hourglass, or a single small one made for CPUs."
    )
    width: int = Field(256, ge=8, le=4096, description="Channels inside the hourglass (compact: at its finest level).")
    stacks: int = Field(2, ge=1, le=8, description="Hourglasses in a row.")
    depth: int = Field(4, ge=1, le=6, description="Levels of an hourglass.")
    stem_stride: Literal[1, 2, 4] = Field(4, description="Image side over score-map side.")


class Warp(Section):
    """The random map g of the geometric regulariser."""

    rotation: float = Field(15.0, ge=0, le=180, description="Largest angle, in degrees.")
    scale: float = Field(0.1, ge=0, description="Largest change of size: the factor lies in 1/(1+s) … 1+s.")
    translation: float = Field(0.0625, ge=0, description="Largest shift, in units of the crop.")
    elastic: float = Field(0.0095, ge=0, description="Standard deviation of the elastic displacement, units of the crop.")
    elastic_scale: float = Field(0.039, gt=0, description="Smoothing length of the elastic displacement, same units.")
    bends: float = Field(
        0.0, ge=0, description="Largest factor on deformations drawn from the annotated shapes (not in the paper)."
    )


class Augmentation(Section):
    """Photometric augmentation and random erasing; landmarks are unaffected. All 0 in the paper."""

    brightness: float = Field(0.0, ge=0, description="Largest shift of brightness (1 = from grey to white).")
    contrast: float = Field(0.0, ge=0, le=1, description="Largest relative change of contrast.")
    saturation: float = Field(0.0, ge=0, le=1, description="Largest relative change of saturation.")
    tint: float = Field(0.0, ge=0, description="Largest shift of each colour channel.")
    noise: float = Field(0.0, ge=0, description="Largest standard deviation of pixel noise.")
    shading: float = Field(0.0, ge=0, le=1, description="Largest relative change of light, which differs over an image.")
    erasing: float = Field(0.0, ge=0, le=1, description="Longest side of a randomly erased rectangle, in units of the crop.")


class Decoder(Section):
    """The networks that redraw an image from its landmarks: generator and styles; the discriminator is as wide."""

    image_size: int = Field(
        0, ge=0, le=1024, description="Side of the images that are redrawn, a power of two; 0 = that of the crop."
    )
    width: int = Field(32, ge=2, le=4096, description="Channels at the images' size; twice as many at every halving.")
    max_width: int = Field(512, ge=8, le=4096, description="Never more channels than this.")
    style_dim: int = Field(512, ge=1, le=8192, description="Length of each of the two rows of a style.")
    noise_dim: int = Field(
        512, ge=1, le=8192, description="Length of each of the two rows of noise that a random style is made of."
    )
    mapping_depth: int = Field(8, ge=1, le=64, description="Layers from noise to style.")
    mixing: float = Field(0.9, ge=0, le=1, description="Share of the random styles whose two rows are drawn apart.")


class Gan(Section):
    """Algorithm 1: the training of the decoder and the discriminator."""

    enabled: bool = Field(True, description="Train the decoder; without it c5, c6 and c7 count for nothing.")
    every: int = Field(1, ge=1, description="Iterations between two steps of Algorithm 1.")
    start: float = Field(0.0, ge=0, lt=1, description="Share of the run after which the decoder comes in.")
    teach: float = Field(
        0.0, ge=0, lt=1, description="Share of the run after which c5, c6 and c7 count: a decoder has to learn to draw first."
    )
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


class Loss(Section):
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
    fake_styles: Literal["random", "images"] = Field(
        "random",
        description="Styles of these: drawn at random, as in the paper, or read off other images of the batch.",
    )
    fake_bends: float = Field(
        0.0,
        ge=0,
        description="Largest factor on random deformations, like those of the annotated shapes, of the landmarks that these "
        "are drawn from (not in the paper).",
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
    tied: bool = Field(
        True, description="Refuse to train without a term that ties landmarks to the shape; only an ablation does without."
    )
    mirror: bool = Field(
        False,
        description="Let g mirror half of the images, indices swapped as mirror_pairs or the shapes' own symmetry say (not in "
        "the paper).",
    )
    mirror_pairs: tuple[tuple[int, int], ...] = Field(
        (), description="Which landmarks change places then, [[0, 1], [3, 4]]; all others stay. Empty: found from the shapes."
    )


class Labelled(Section):
    """Learning from annotated images (§6.2), beside the unlabelled ones or alone."""

    batch_size: int = Field(
        0, ge=0, description="Annotated images an iteration, those of all processes together; 0 = as many as unlabelled ones."
    )
    every: int = Field(1, ge=1, description="Iterations between two batches of annotated images.")
    start: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the run from which on annotated images teach, beside unlabelled ones. Until then their shapes "
        "alone do; what a teacher has of them by then tells how far their mean shape is from that of all (not in the paper).",
    )
    together: bool = Field(
        False,
        description="Put them into one batch, and one step, with the unlabelled images, rather than alternate (not in the "
        "paper).",
    )
    heatmap: float = Field(1500.0, ge=0, description="Weight of H and the coordinate term (as in R_g), against the annotation.")
    distance: float = Field(1.0, ge=0, description="Weight of the landmark distance to the annotation, in % of the crop.")


class Finetune(Section):
    """The fine-tuning phase at the end of a run: annotated images are warped less, as in prediction (not in the paper)."""

    fraction: float = Field(0.0, ge=0, le=1, description="Last fraction of the run that is fine-tuning; 0 = none.")
    warp_scale: float = Field(1.0, ge=0, le=1, description="Factor on the size of the warps of annotated images.")
    mirror: bool = Field(
        True, description="Go on mirroring annotated images; without it the detector learns where annotations aren't symmetric."
    )


class Optimizer(Section):
    """Adam and its schedule."""

    learning_rate: float = Field(2e-5, gt=0, description="Of the encoder.")
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.97, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = Field("constant", description="Of the learning rate over the run.")
    warmup: int = Field(0, ge=0, description="Iterations over which the learning rate rises from 0.")
    clip: float = Field(0.0, ge=0, description="Largest norm of the gradient; 0 = as it comes.")


class Ema(Section):
    """Exponential moving average (EMA) of the weights (§4 of the paper)."""

    decay: float = Field(0.99, ge=0, lt=1, description="Share of the old average that is kept at each iteration.")
    write_back_every: int = Field(100, ge=0, description="Iterations between writing the average back; 0 = never.")


class Teacher(Section):
    """Targets for E(gI) from the averaged encoder rather than from the encoder itself (not in the paper)."""

    enabled: bool = Field(
        False,
        description="Take E(I) from the averaged encoder; the encoder then sees gI alone, and the terms of the shape act on "
        "its landmarks carried back by g.",
    )
    plain: bool = Field(
        False,
        description="Show it the images as they are: the encoder's alone are mirrored, recoloured and hidden in part.",
    )
    centre: bool = Field(True, description="Shift the targets so that their mean over the images is the prior's mean.")
    noise: float = Field(
        0.0,
        ge=0,
        description="Noise that is taken to lie on the targets, which the shape prior then cleans; units of the crop.",
    )
    gate: float = Field(
        0.0, ge=0, lt=1, description="Share of its landmarks, the least sure by their spread, that aren't learnt from."
    )
