"""Whether a container is healthy: a server has to answer at /health; any other command is healthy while it runs."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

PORT = "8000"  # that of `brule serve` unless --port names another


def health_address(words: list[str]) -> str | None:
    """Where the server of a command answers; ``None`` if the command starts none."""
    if "serve" not in words[:3]:
        return None
    port = PORT
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == "--port":
            port = after
        elif word.startswith("--port="):
            port = word.removeprefix("--port=")
    return f"http://127.0.0.1:{port}/health"


def main() -> int:
    """0 if the container's first process is healthy, 1 if not."""
    words = Path("/proc/1/cmdline").read_text(encoding="utf-8").rstrip("\0").split("\0")
    address = health_address(words)
    if address is None:
        return 0
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return int(answer.status != 200)
    except OSError as error:
        print(f"{address}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
