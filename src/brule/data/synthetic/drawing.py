"""Drawing a face with Pillow: flat shapes on a canvas a few times the image's size, soft shading, then the camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from brule.arrays import Array
from brule.coordinates import image_box, unit_to_pixels
from brule.data.synthetic.camera import photograph
from brule.data.synthetic.curves import face_curves, ribbon
from brule.data.synthetic.look import Colour, Look, mix
from brule.data.synthetic.shape import Face

_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_CIRCLE: Array = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
_SHOULDERS = [
    (-0.8, 0.85),
    (-1.7, 1.2),
    (-2.8, 1.7),
    (-3.2, 2.4),
    (-3.3, 7),
    (3.3, 7),
    (3.2, 2.4),
    (2.8, 1.7),
    (1.7, 1.2),
    (0.8, 0.85),
]
_NECK = [(-0.8, 0.95), (-0.45, 1.3), (0, 1.42), (0.45, 1.3), (0.8, 0.95)]
_RIM: Array = np.sign(_CIRCLE) * np.abs(_CIRCLE) ** 0.7  # between a circle and a square
_IRIS_RADII: Array = np.array([0.165, 0.135, 0.065])
_LASHES: Array = np.linspace(1.3, 0.8, 13)
_TAPER: Array = np.interp(np.linspace(0, 1, 13), [0, 0.4, 0.85, 1], [0.3, 0.95, 1, 0.65])
_CHORD: Array = np.linspace(-1, 1, 11)
_HALF_HEIGHT: Array = np.sqrt(1 - _CHORD * _CHORD)
_ALONG_HAIRLINE: Array = np.linspace(-1, 1, 25)


def draw_face(face: Face, look: Look, size: int) -> NDArray[np.uint8]:
    """The picture ``(size, size, 3)`` of a face."""
    sketch = Sketch(face, look, 2 * size)
    sketch.background()
    sketch.body()
    sketch.person()
    return photograph(sketch.image, look, size, rng=sketch.rng)


class Sketch:
    """A canvas with a face's curves in its pixels; each method draws one part, from the back to the front."""

    def __init__(self, face: Face, look: Look, size: int, *, canvas: Image.Image | None = None, turn: float = 0.0) -> None:
        """Place the face on a canvas of ``size`` pixels per side.

        Args:
            face: the shape, in the unit square of the canvas.
            look: its colours.
            size: side of the canvas in pixels.
            canvas: what to draw on; an empty canvas by default.
            turn: by how much the body is turned against the picture, in radians clockwise.
        """
        self.look, self.size = look, size
        self.plumb = np.array([-np.sin(turn), np.cos(turn)])  # which way is down for the body
        self.rng = np.random.default_rng(look.texture)
        self.vertices: Array = unit_to_pixels(face.vertices, image_box(size, size))
        self.axes = face.axes * size
        self.unit = float(np.sqrt((self.axes * self.axes).sum() / 2))  # pixels for one unit of the face frame
        self.curves = face_curves(self.vertices)
        # The place of the face frame's origin: every vertex would do as an anchor, the eyes move least.
        self.origin = (self.vertices[36] + self.vertices[45]) / 2 + 0.14 * self.axes[2]
        self.image = self._clouds() if canvas is None else canvas
        self.pen = ImageDraw.Draw(self.image)

    def place(self, *points: tuple[float, float, float]) -> Array:
        """Points of the face frame → canvas pixels ``(K, 2)``."""
        return np.array(points) @ self.axes + self.origin

    def fill(self, outline: Array, colour: Colour) -> None:
        """Fill a polygon."""
        self.pen.polygon(_flat(outline), fill=colour)

    def line(self, points: Array, width: float, colour: Colour) -> None:
        """Draw a line; the width is in units of the face."""
        self.pen.line(_flat(points), fill=colour, width=max(1, round(width * self.unit)))

    def ellipse(self, centre: Array, x: float, y: float, *, colour: Colour) -> None:
        """Fill an ellipse in the plane of the face; radii in units of the face."""
        self.fill(centre + _CIRCLE @ (self.axes[:2] * ((x,), (y,))), colour)

    def _clouds(self) -> Image.Image:
        cells = int(self.rng.integers(1, 5))
        grey, colours = self.rng.random((cells, cells, 1)), self.rng.random((cells, cells, 3))
        colours = (255 * (0.55 * grey + 0.45 * colours)).astype(np.uint8)
        coarse = Image.fromarray(colours).resize((24, 24), Image.Resampling.BICUBIC)
        half = coarse.resize((self.size // 2, self.size // 2), Image.Resampling.BILINEAR)
        return half.resize((self.size, self.size), Image.Resampling.NEAREST)  # reduced again later: no loss, half the time

    def background(self) -> None:
        """Behind the face: clouds of colour alone, or stripes, blobs or boards before them."""
        kind = self.rng.random()
        if kind < 0.25:
            self._stripes()
        elif kind < 0.55:
            for x, y, r, *rgb in self.rng.random((int(self.rng.integers(3, 10)), 6)).tolist():
                radius = (0.04 + 0.14 * r) * self.size
                centre = self.size * np.array([x, y])
                self.fill(centre + radius * _CIRCLE, mix((255, 255, 255), tuple(255 * c for c in rgb), 0.9))
        elif kind < 0.7:
            for left, top, right, bottom, a, b in self.rng.random((4, 6)).tolist():
                box = [min(left, right), min(top, bottom), max(left, right), max(top, bottom)]
                self.pen.rectangle([round(v * self.size) for v in box], fill=mix((20, 30, 50), (250, 240, 220 * b), a))

    def _stripes(self) -> None:
        angle, gap, *rgb = self.rng.random(5).tolist()
        along = np.array([np.cos(np.pi * angle), np.sin(np.pi * angle)])
        aside, colour = along[::-1] * (-1, 1), mix((0, 0, 0), tuple(255 * c for c in rgb), 1.0)
        along *= self.size
        gap = 0.1 + 0.2 * gap
        for offset in np.arange(-0.75, 0.75, gap):
            middle = self.size * (0.5 + offset * aside)
            self.pen.line([*(middle - along).tolist(), *(middle + along).tolist()], colour, round(0.4 * gap * self.size))

    def body(self) -> None:
        """Shoulders, the hair behind them, and the neck; the body follows the head's tilt only by half."""
        down = self.axes[1] + self.unit * self.plumb
        down *= self.unit / float(np.hypot(*down))
        across = np.array([down[1], -down[0]])
        throat = self.place((0, 2.0, -0.8))[0]
        if self.look.hair_style in ("bob", "long", "curly"):
            self._back_hair()
        shoulders = np.array(_SHOULDERS)
        self.fill(throat + shoulders @ np.stack([across, down]), self.look.cloth)
        neck = np.array(_NECK) @ np.stack([across, down]) + throat
        outline = np.concatenate([self.place((-1.0, 1.0, -0.8)), neck, self.place((1.0, 1.0, -0.8))])
        self.fill(outline, mix(self.look.skin, (60, 25, 20), 0.33))

    def person(self) -> None:
        """The head and all on it and before it."""
        self.head()
        self.shading()
        if self.look.beard:
            self.beard()
        self.nose()
        self.mouth()
        for side in ("left", "right"):
            self.eye(side)
            self.brow(side)
        self.front_hair()
        if self.look.glasses != "none":
            self.glasses()
        if self.look.occluder != "none":
            self.occluder()

    def _back_hair(self) -> None:
        look = self.look
        if look.hair_style == "curly":
            crown = self._crown(1.16 + look.hair_volume - 1)
            for point in crown[::2]:
                self.ellipse(point, 0.42, 0.42, colour=look.hair)
            return
        length = 3.4 if look.hair_style == "long" else 1.9
        wave = 0.1 * self.rng.standard_normal(6)
        sides = [(1.8, 0.4, -0.9), (1.85 + wave[0], 0.5 * length, -0.9), (1.75 + wave[1], length, -0.9)]
        sides += [(0.0, length + 0.2 * wave[2], -1.0), (-1.75 + wave[3], length, -0.9)]
        sides += [(-1.85 + wave[4], 0.5 * length, -0.9), (-1.8, 0.4, -0.9)]
        self.fill(np.concatenate([self._crown(look.hair_volume), self.place(*sides)]), mix(look.hair, (0, 0, 0), 0.25))

    def _crown(self, volume: float) -> Array:
        middle = self.place((0, -0.6, -0.5))
        return middle + volume * (self.curves["crown"] - middle)

    def head(self) -> None:
        """Ears and the skin of the face, whose outline is the jaw."""
        skin = self.look.skin
        for ear in ("left_ear", "right_ear"):
            self.fill(self.curves[ear], mix(skin, (90, 30, 20), 0.18))
            middle = self.curves[ear].mean(0)
            self.fill(middle + 0.5 * (self.curves[ear] - middle), mix(skin, (90, 30, 20), 0.4))
        self.fill(self.curves["face"], skin)

    def shading(self) -> None:
        """Soft shadows and blushes, multiplied onto the skin."""
        small = self.size // 4
        to_small = small / self.size
        layer = Image.new("RGB", (small, small), (240, 240, 240))
        pen = ImageDraw.Draw(layer)

        def shadow(outline: Array, depth: float) -> None:
            depth *= self.look.shade
            pen.polygon(_flat(outline * to_small), fill=mix((240, 240, 240), (150, 110, 100), depth))

        v, down = self.vertices, self.axes[1]
        middle = (v[30] + v[51]) / 2
        side = self.curves["jaw"][:25] if self.look.shade_side < 0 else self.curves["jaw"][24:]
        shadow(np.concatenate([side, (middle + 0.68 * (side - middle))[::-1]]), 0.75)
        for cheek in (0.5 * v[31] + 0.5 * v[3] - 0.1 * down, 0.5 * v[35] + 0.5 * v[13] - 0.1 * down):
            pen.polygon(_flat((cheek + 0.33 * _CIRCLE * self.unit) * to_small), fill=(255, 226, 218))
        pen.polygon(
            _flat(((self.curves["hairline"][10:15].mean(0) + v[27]) / 2 + 0.4 * self.unit * _CIRCLE) * to_small),
            fill=(255, 252, 248),
        )
        shadow(np.concatenate([v[17:22], v[[27, 40, 41, 36]]]), 0.55)
        shadow(np.concatenate([v[22:27], v[[45, 46, 47, 27]]]), 0.55)
        wing = v[31] if self.look.shade_side < 0 else v[35]
        shadow(np.stack([v[27], v[28], v[29], v[30], v[33], wing + 0.08 * down]), 0.9)
        shadow(np.stack([v[31], v[33] + 0.05 * down, v[35], v[52], v[50]]), 0.45)
        shadow(np.stack([v[59], v[57] + 0.03 * down, v[55], v[57] + 0.32 * down]), 0.7)
        soft = layer.filter(ImageFilter.BoxBlur(0.18 * self.unit * to_small))  # faster than a Gaussian
        self._multiply_face(soft)

    def _multiply_face(self, layer: Image.Image) -> None:
        outline, zoom = self.curves["face"], layer.width / self.size
        left, top = (max(0, int(v)) for v in outline.min(0))
        right, bottom = (min(self.size, int(v) + 2) for v in outline.max(0))
        box = (left, top, right, bottom)  # only there: the canvas is three times as large
        if right <= left or bottom <= top:
            return
        part, size = tuple(zoom * v for v in box), (right - left, bottom - top)
        bright = layer.resize(size, Image.Resampling.BILINEAR, box=(part[0], part[1], part[2], part[3]))
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon(_flat(outline - (left, top)), fill=255)
        self.image.paste(ImageChops.multiply(self.image.crop(box), bright), box, mask)

    def beard(self) -> None:
        """A beard from ear to ear along the jaw, and a moustache, leaving the lips free."""
        v, down = self.vertices, self.axes[1]
        colour = mix(self.look.skin, self.look.hair, self.look.beard)
        jaw = self.curves["jaw"][6:43]
        upper = np.stack([v[13] * 0.8 + v[35] * 0.2, v[54] * 0.7 + v[12] * 0.3, v[54], v[52], v[33] + 0.12 * down])
        lower = np.stack([v[50], v[48], v[48] * 0.7 + v[4] * 0.3, v[3] * 0.8 + v[31] * 0.2])
        self.fill(np.concatenate([jaw, upper, lower]), colour)

    def nose(self) -> None:
        """A light ridge along the bridge, the wings, the base line and the nostrils."""
        v, skin, (right, down) = self.vertices, self.look.skin, self.axes[:2]
        dark = mix(skin, (70, 20, 15), 0.45)
        self.fill(
            ribbon(self.curves["bridge"], self.unit * np.array([0.05, 0.08, 0.1, 0.16])),
            mix(skin, (255, 250, 245), 0.35),
        )
        self.line(self.curves["bridge"] + 0.07 * self.look.shade_side * right, 0.03, mix(skin, dark, 0.5))
        self.line(self.curves["nose_base"], 0.06, dark)
        for wing, out in ((31, -1.0), (35, 1.0)):
            path = np.stack([v[wing], v[wing] + 0.06 * out * right - 0.1 * down, v[wing] - 0.27 * down])
            self.line(path, 0.045, mix(skin, dark, 0.7))
        for nostril in (32, 34):
            self.ellipse(v[nostril] - 0.045 * down, 0.09, 0.055, colour=mix(skin, (40, 8, 6), 0.8))

    def mouth(self) -> None:
        """Lips, and between them teeth and the dark of the mouth."""
        c, lips = self.curves, self.look.lips
        self.fill(np.concatenate([c["lips_top"], c["lips_bottom"][::-1]]), lips)
        self.fill(np.concatenate([c["lips_top"], c["mouth_top"][::-1]]), mix(lips, (40, 0, 10), 0.2))
        gap = c["mouth_bottom"] - c["mouth_top"]
        opening = float(np.sqrt((gap * gap).sum(1)).max()) / self.unit
        shine = 0.5 * (c["mouth_bottom"][4:9] + c["lips_bottom"][7:12])
        self.line(shine, 0.06, mix(lips, (255, 235, 235), 0.35))
        if opening > 0.12:
            self.fill(np.concatenate([c["mouth_top"], c["mouth_bottom"][::-1]]), (58, 16, 20))
            teeth = c["mouth_top"] + gap * min(0.4, 0.16 / opening)
            self.fill(np.concatenate([c["mouth_top"], teeth[::-1]]), (244, 240, 232))
            if opening > 0.35:
                self.fill(np.concatenate([c["mouth_bottom"], (c["mouth_bottom"] - 0.3 * gap)[::-1]]), (186, 84, 88))
        else:
            self.line(0.5 * (c["mouth_top"] + c["mouth_bottom"]), 0.05, mix(lips, (30, 0, 5), 0.6))

    def eye(self, side: str) -> None:
        """The white, the iris cut by the lids, the pupil with its light, lashes and the crease of the lid."""
        upper, lower = self.curves[f"{side}_upper_lid"], self.curves[f"{side}_lower_lid"]
        look, dark = self.look, mix(self.look.skin, (25, 12, 10), 0.8)
        self.fill(np.concatenate([upper, lower[::-1]]), look.sclera)
        centre = 0.5 * (upper[6] + lower[6]) + self.axes[0] * look.gaze[0] + self.axes[1] * (look.gaze[1] - 0.02)
        discs = _discs_between(centre, _IRIS_RADII * self.unit, upper, lower=lower)
        for disc, colour in zip(discs, (mix(look.iris, (0, 0, 0), 0.45), look.iris, (8, 8, 10)), strict=True):
            self.fill(disc, colour)
        if float(np.hypot(*(upper[6] - lower[6]))) > 0.16 * self.unit:
            self.ellipse(centre + 0.05 * self.axes[0] - 0.05 * self.axes[1], 0.035, 0.035, colour=(255, 255, 255))
        self.line(lower, 0.02, mix(look.skin, dark, 0.6))
        self.fill(ribbon(upper, look.lashes * self.unit * (_LASHES if side == "left" else _LASHES[::-1])), dark)
        self.line((upper - 0.1 * self.axes[1])[2:11], 0.025, mix(look.skin, (90, 30, 20), 0.4))

    def brow(self, side: str) -> None:
        """A tapered stroke whose middle line carries the brow's landmarks."""
        line = self.curves[f"{side}_brow"]
        widths = self.look.brow_width * self.unit * (_TAPER if side == "left" else _TAPER[::-1])
        self.fill(ribbon(line, widths), self.look.brows)

    def front_hair(self) -> None:
        """The hair between the crown and the hairline, or a hat."""
        look = self.look
        if look.hair_style == "bald":
            return
        if look.hair_style == "hat":
            self._hat()
            return
        outer, inner = self._crown(look.hair_volume), self._fringe()
        if look.hair_style == "bun":
            self.ellipse(self.place((0, -2.45, -0.7)), 0.6, 0.55, colour=mix(look.hair, (0, 0, 0), 0.15))
        self.fill(np.concatenate([outer, inner[::-1]]), look.hair)
        if look.hair_style == "curly":
            for k, point in enumerate(0.5 * (outer[:-5:2] + inner[::2][:13])):
                self.ellipse(point, 0.36, 0.3, colour=mix(look.hair, (255, 235, 200) if k % 2 else (0, 0, 0), 0.12))
            return
        for k, shine in zip(range(2, 23, 3), self.rng.uniform(-0.3, 0.25, 7).tolist(), strict=True):
            start = outer[round(k * (len(outer) - 1) / (len(inner) - 1))]
            colour = mix(look.hair, (255, 240, 215) if shine > 0 else (0, 0, 0), abs(shine))
            self.line(np.stack([start, 0.45 * start + 0.55 * inner[k], inner[k]]), 0.05, colour)

    def _fringe(self) -> Array:
        inner = self.curves["hairline"]
        t = _ALONG_HAIRLINE
        if self.look.hair_style == "fringe":
            drop = 0.55 * np.clip(1.3 - t * t, 0, 1) + 0.07 * (-1.0) ** np.arange(len(t))
        elif self.look.hair_style in ("parted", "long"):
            part = 0.35 * self.look.shade_side
            drop = 0.4 * np.abs(t - part) * (1 - np.abs(t)) - 0.1 * np.exp(-((t - part) ** 2) / 0.02)
        else:
            drop = 0.05 * (1 - t * t) * self.rng.standard_normal()
        return inner + np.asarray(drop)[:, None] * self.axes[1]

    def _hat(self) -> None:
        colour = mix(self.look.cloth, (255, 255, 255), 0.15)
        outer, inner = self._crown(self.look.hair_volume + 0.06), self.curves["hairline"] + 0.1 * self.axes[1]
        self.fill(np.concatenate([outer[3:-3], inner[3:-3][::-1]]), colour)
        self.line(inner[3:-3] - 0.1 * self.axes[1], 0.3, mix(colour, (0, 0, 0), 0.35))
        self.fill(np.concatenate([self.curves["crown"][:4], inner[:4][::-1]]), self.look.hair)
        self.fill(np.concatenate([self.curves["crown"][-4:], inner[-4:][::-1]]), self.look.hair)

    def glasses(self) -> None:
        """Two rims with a bridge and temples; rarely dark glass."""
        frame = mix(self.look.cloth, (15, 15, 18), 0.75)
        rim = _RIM @ (self.axes[:2] * ((0.45,), (0.36,)))
        centres = [
            self.vertices[36:42].mean(0) + 0.06 * self.axes[1],
            self.vertices[42:48].mean(0) + 0.06 * self.axes[1],
        ]
        for centre, ear, hinge in zip(centres, (0, 16), (8, 0), strict=True):
            outline = centre + rim
            if self.look.glasses == "dark":
                self.fill(outline, mix(frame, (30, 34, 40), 0.6))
            self.line(np.concatenate([outline, outline[:2]]), 0.07, frame)
            self.line(np.stack([outline[hinge], self.vertices[ear]]), 0.06, frame)
        self.line(np.stack([centres[0] + rim[0], self.vertices[27], centres[1] + rim[8]]), 0.06, frame)

    def occluder(self) -> None:
        """A hand held to the cheek or the chin, or some object before the face."""
        where = self.vertices[int(self.rng.choice([2, 5, 8, 11, 14]))]
        if self.look.occluder == "object":
            r, g, b, x, y = self.rng.random(5).tolist()
            self.ellipse(where, 0.35 + 0.5 * x, 0.35 + 0.5 * y, colour=(int(255 * r), int(255 * g), int(255 * b)))
            return
        inwards = self.vertices[30] - where
        inwards *= self.unit / float(np.hypot(*inwards))
        aside = inwards[::-1] * (-1, 1)
        wrist = where - 1.7 * inwards
        skin, edge = mix(self.look.skin, (255, 240, 230), 0.1), mix(self.look.skin, (60, 20, 10), 0.45)
        self.line(np.stack([wrist - 2.5 * inwards, wrist]), 1.0, skin)
        self.ellipse(where - 1.2 * inwards, 0.62, 0.62, colour=skin)
        for finger, reach in zip((-1.5, -0.5, 0.5, 1.5), (0.15, 0.35, 0.3, 0.0), strict=True):
            base, tip = where - 1.1 * inwards + 0.28 * finger * aside, where + reach * inwards + 0.3 * finger * aside
            for width, colour in ((0.3, edge), (0.25, skin)):
                self.line(np.stack([base, tip]), width, colour)
                self.fill(tip + 0.5 * width * self.unit * _CIRCLE, colour)


def _flat(points: Array) -> list[int]:
    # Pillow cuts coordinates to integers, which would shift everything by half a canvas pixel: round them here.
    flat: list[int] = np.rint(points).astype(int).ravel().tolist()
    return flat


def _discs_between(centre: Array, radii: Array, upper: Array, *, lower: Array) -> Array:
    """The parts of discs with a common centre that show between the lids: outlines ``(discs, 22, 2)``."""
    along = upper[-1] - upper[0]
    along = along / (float(np.hypot(*along)) + 1e-9)
    frame = np.stack([along, along[::-1] * (-1, 1)], axis=1)  # from corner to corner, and across
    (u, v), top, bottom = (centre - upper[0]) @ frame, (upper - upper[0]) @ frame, (lower - upper[0]) @ frame
    x = np.minimum(np.maximum(u + radii[:, None] * _CHORD, 0), top[-1, 0])
    height = radii[:, None] * _HALF_HEIGHT
    low = np.interp(x, bottom[:, 0], bottom[:, 1])
    high = np.minimum(np.interp(x, top[:, 0], top[:, 1]), low)
    ring = np.empty((len(radii), 2 * len(_CHORD), 2))
    ring[:, : len(_CHORD), 0], ring[:, len(_CHORD) :, 0] = x, x[:, ::-1]
    ring[:, : len(_CHORD), 1] = np.minimum(np.maximum(v - height, high), low)
    ring[:, len(_CHORD) :, 1] = np.minimum(np.maximum(v + height, high), low)[:, ::-1]
    return ring @ frame.T + upper[0]
