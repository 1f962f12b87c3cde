"""What a drawn face looks like, apart from its shape: colours, hair, things worn or held up, light and camera."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

_SKINS = np.array([(255, 226, 205), (247, 206, 178), (232, 184, 148), (205, 150, 112), (160, 108, 78), (112, 74, 54)], float)
_HAIRS = [(28, 22, 22), (58, 38, 28), (92, 60, 36), (140, 96, 52), (206, 170, 104), (150, 62, 30), (170, 168, 166)]
_IRISES = [(70, 44, 26), (96, 64, 34), (64, 110, 150), (78, 112, 66), (104, 118, 126)]
_LIPS = np.array([(196, 70, 80), (176, 60, 62), (206, 96, 96), (190, 30, 60)], float)
_HAIR_STYLES = ["short", "parted", "fringe", "bob", "long", "curly", "bun", "bald", "hat"]
_HAIR_SHARES = np.cumsum([0.22, 0.15, 0.12, 0.12, 0.13, 0.09, 0.06, 0.06, 0.05]).tolist()


@dataclass(frozen=True)
class Look:
    """The look of one face and its picture; looks that differ in one colour draw pictures that differ there alone."""

    skin: Colour
    hair: Colour
    brows: Colour
    lips: Colour
    iris: Colour
    sclera: Colour
    cloth: Colour
    hair_style: str
    hair_volume: float
    brow_width: float
    lashes: float
    gaze: tuple[float, float]
    beard: float
    glasses: str
    occluder: str
    shade: float
    shade_side: float
    light: tuple[float, float]
    gain: float
    blur: float
    noise: float
    grey: bool
    texture: int


def mix(a: tuple[float, ...], b: tuple[float, ...], share: float) -> Colour:
    """The colour ``share`` of the way from ``a`` to ``b``."""
    keep = 1 - share  # spelled out by channel: this runs fifty times a face
    return (_byte(keep * a[0] + share * b[0]), _byte(keep * a[1] + share * b[1]), _byte(keep * a[2] + share * b[2]))


def _byte(value: float) -> int:
    return 0 if value < 0 else 255 if value > 255 else int(value + 0.5)


def sample_look(rng: np.random.Generator) -> Look:
    """Draw the look of one face."""
    u = rng.random(40).tolist()
    skin = _skin(u[0], u[1], u[2])
    hair = mix(_HAIRS[int(u[3] * len(_HAIRS))], (u[4] * 255, u[5] * 255, u[6] * 255), 0.9 if u[7] < 0.05 else 0.12)
    style = _HAIR_STYLES[min(bisect(_HAIR_SHARES, u[8]), len(_HAIR_STYLES) - 1)]
    angle = 2 * np.pi * u[9]
    return Look(
        skin=skin,
        hair=hair,
        # Brows keep some contrast with the skin, whatever the hair.
        brows=mix(hair, mix(skin, (20, 10, 5), 0.75), 0.6),
        lips=mix(tuple(_LIPS[int(u[10] * len(_LIPS))] * (0.55 + 0.45 * skin[0] / 255)), skin, 0.1 + 0.4 * u[11]),
        iris=mix(_IRISES[int(u[12] * len(_IRISES))], (20, 20, 20), 0.3 * u[13]),
        sclera=mix((250, 248, 246), skin, 0.15 * u[14]),
        cloth=(int(255 * u[15]), int(255 * u[16]), int(255 * u[17])),
        hair_style=style,
        hair_volume=1.03 + 0.12 * u[18],
        brow_width=0.09 + 0.09 * u[19],
        lashes=0.05 + 0.05 * u[20],
        gaze=(0.2 * (u[21] - 0.5), 0.08 * (u[22] - 0.5)),
        beard=0.35 + 0.5 * u[24] if u[23] < 0.16 else 0.0,
        glasses="dark" if u[25] < 0.015 else "clear" if u[25] < 0.15 else "none",
        occluder="hand" if u[26] < 0.05 else "object" if u[26] < 0.08 else "none",
        shade=0.3 + 0.7 * u[27],
        shade_side=-1.0 if u[28] < 0.5 else 1.0,
        light=(0.45 * u[29] * float(np.cos(angle)), 0.45 * u[29] * float(np.sin(angle))),
        gain=0.75 + 0.35 * u[30],
        blur=0.3 + 0.6 * u[32] if u[31] < 0.3 else 0.0,
        noise=1.0 + 9.0 * u[33] ** 2,
        grey=u[34] < 0.05,
        texture=int(u[35] * 2**31),
    )


def _skin(tone: float, warmth: float, lightness: float) -> Colour:
    place = tone * (len(_SKINS) - 1)
    low = min(int(place), len(_SKINS) - 2)
    red, green, blue = _SKINS[low] + (place - low) * (_SKINS[low + 1] - _SKINS[low])
    lift = 12 * (lightness - 0.5)
    return mix((red + lift, green + lift, blue + lift + 16 * (warmth - 0.5)), (0, 0, 0), 0.0)
