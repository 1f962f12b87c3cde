"""What a camera makes of a drawn canvas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from brule.data.synthetic.look import Look


def photograph(canvas: Image.Image, look: Look, size: int, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the camera of a look makes of a canvas: ``(size, size, 3)``, blurred, lit and with grain."""
    image = canvas.reduce(canvas.width // size)
    if look.blur:
        image = image.filter(ImageFilter.GaussianBlur(look.blur * size / 64))
    if look.grey:
        image = image.convert("L").convert("RGB")
    across = np.arange(1 - size, size, 2, dtype=np.float32) / size
    light = look.gain * (1 + look.light[0] * across + look.light[1] * across[:, None])
    pixels = np.asarray(image) * light[..., None]
    if look.noise:
        # Uniform noise of the same variance: normal numbers would take a tenth of the whole time.
        grain = rng.random((size, size, 3), dtype=np.float32)
        grain -= 0.5
        grain *= look.noise * 12**0.5
        pixels += grain
    return pixels.clip(0, 255, out=pixels).astype(np.uint8)
