"""Metrics of `serve` for Prometheus, in a registry of their own; only known models become values of a label."""

from __future__ import annotations

import functools
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from transfercli.web.messages import Answer
from transfercli.workflows.serve.observer import Observer

disable_created_metrics()  # times of creation, a series for each of the others
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics(Observer):
    """Counts of a server since it was started, as it and its models report them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names: dict[str, Any] = {"namespace": "transfercli", "registry": self.registry}
        by_model = {"labelnames": ("model",), **names}
        self._requests = Counter("requests", "Requests answered.", ("model", "protocol", "code"), **names)
        self._seconds = Histogram(
            "request_seconds", "From the headers to the answer.", ("model", "protocol"), buckets=SECONDS, **names
        )
        self._images = Counter("images", "Images predicted.", **by_model)
        self._unread = Counter("images_unread", "Images that could not be read.", **by_model)
        self._abstained = Counter("abstentions", "Images that the model abstained from.", **by_model)
        self._received = Counter("received_bytes", "Bytes of bodies.", **names)
        self._batches = Histogram("batch_images", "Images of a forward pass.", buckets=BATCH_SIZES, **by_model)
        self._forward = Histogram("batch_seconds", "Seconds of a forward pass.", buckets=SECONDS, **by_model)
        self._queue = Gauge("queue_images", "Images that wait for a forward pass.", **by_model)
        self._swaps = Counter("swaps", "Models that were exchanged for a newer one.", ("model", "outcome"), **names)
        self._ends = Counter("process_ends", "Processes that ended unexpectedly.", ("process",), **names)
        self._left_out = Counter("log_images_left_out", "Images left out of the answer log.", **by_model)
        self._info = Gauge("model_info", "1 for the version that answers.", ("model", "version"), **names)
        self._ready = Gauge("model_ready", "1 if the model answers.", **by_model)
        self._children = functools.cache(lambda metric, *values: metric.labels(*values))

    def request(self, model: str, protocol: str, status: int, seconds: float, received: int) -> None:
        """Count a request. model: a known one, or ""; status: 499 if the client did not wait."""
        self._children(self._requests, model, protocol, str(status)).inc()
        self._children(self._seconds, model, protocol).observe(seconds)
        if received:
            self._received.inc(received)

    def images(self, model: str, read: int, unread: int, abstained: int) -> None:
        """Count the images of a request."""
        self._children(self._images, model).inc(read)
        if unread:
            self._children(self._unread, model).inc(unread)
        if abstained:
            self._children(self._abstained, model).inc(abstained)

    def queue(self, model: str, images: int) -> None:
        self._children(self._queue, model).set(images)

    def batch(self, model: str, images: int, seconds: float) -> None:
        self._children(self._batches, model).observe(images)
        self._children(self._forward, model).observe(seconds)

    def swap(self, model: str, outcome: str) -> None:
        self._children(self._swaps, model, outcome).inc()

    def ended(self, process: str) -> None:
        self._children(self._ends, process).inc()

    def left_out(self, model: str, images: int) -> None:
        self._children(self._left_out, model).inc(images)

    def answer(self, models: dict[str, tuple[str, bool]]) -> Answer:
        """Return all metrics in Prometheus' text format. models: name -> its version, and True if it is ready."""
        self._info.clear()
        for name, (version, ready) in models.items():
            self._info.labels(name, version).set(1)
            self._children(self._ready, name).set(ready)
        return Answer(200, generate_latest(self.registry), CONTENT_TYPE_LATEST)
