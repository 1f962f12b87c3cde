"""Landmarks of any number of images: a batch for each CPU thread at a time, while the next images are decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from brule.detector.items import Item, in_batches
from brule.detector.landmarks import Landmarks
from brule.detector.predicting import Finder, PredictOptions
from brule.threads import available_threads, single_threads

Found = tuple[list[Item], Landmarks]


def find_all(finder: Finder, items: Iterable[Item], options: PredictOptions) -> Iterator[Found]:
    """Landmarks of images, in their order: the image of each row, and the landmarks, a batch at a time.

    Small images keep one core busy at best, so on a CPU every thread of PyTorch's takes a batch of its own; the caller's thread
    decodes. ``options.batch_size`` images are worked on at a time, and as many wait, decoded.

    Args:
        finder: the detector.
        items: decoded images; a generator is drawn from as needed.
        options: how to predict.
    """
    device = finder.reader.model.barycenter.device
    threads = min(available_threads(), options.batch_size) if device.type == "cpu" else 1
    if threads == 1:
        for batch in in_batches(items, options.batch_size):
            yield finder.find(batch, options)
        return
    with single_threads(threads, "brule-find") as pool:
        running: deque[Future[Found]] = deque()
        for batch in in_batches(items, -(-options.batch_size // threads)):
            running.append(pool.submit(finder.find, batch, options))
            if len(running) == 2 * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
