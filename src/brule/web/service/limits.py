"""What a request may hold, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass, fields

from brule.errors import ConfigError


@dataclass(frozen=True)
class Limits:
    """The limits of the service, so that requests can't fill its memory.

    Attributes:
        megabytes: of a request, MiB.
        megapixels: of all images of a request together, millions of pixels: bounds the memory that decoding takes.
        batch: images of a request.
        waiting: requests that wait while another one is computed; more are refused with 503.
        seconds: until the body of a request has to be there.
    """

    megabytes: float = 32
    megapixels: float = 64
    batch: int = 64
    waiting: int = 16
    seconds: float = 30

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value <= 0 and not (field.name == "waiting" and value == 0):
                raise ConfigError(f"{field.name}: expected more than 0, got {value}")

    @property
    def bytes(self) -> int:
        """Of a request."""
        return int(self.megabytes * 2**20)

    @property
    def pixels(self) -> int:
        """Of all images of a request."""
        return int(self.megapixels * 1e6)
