"""Counts and times of the service, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter("brule_requests", "Requests for landmarks by status code", ["code"], registry=registry)
        self.images = Counter("brule_images", "Images predicted", registry=registry)
        self.objects = Counter("brule_objects", "Objects found", registry=registry)
        self.flagged = Counter("brule_flagged", "Predictions flagged as probably wrong", registry=registry)
        self.waiting = Gauge("brule_requests_waiting", "Requests that wait or are computed", registry=registry)
        self.seconds = Histogram(
            "brule_request_seconds", "Seconds from a request's head to its answer", registry=registry, buckets=SECONDS
        )
        self.predicting = Histogram(
            "brule_predict_seconds", "Seconds of decoding and prediction alone", registry=registry, buckets=SECONDS
        )

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)
