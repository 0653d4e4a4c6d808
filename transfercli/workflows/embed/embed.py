"""Workflow of `embed`: write the features of images to a file, as vectors for other programs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.runs.output_paths import check_output_file
from transfercli.transfer.embeddings.embeddings import Origin
from transfercli.workflows.embed.images import read_inputs
from transfercli.workflows.embed.network import (
    Embedder,
    EmbeddingNetwork,
    Layers,
    Normalise,
    find_network,
)
from transfercli.workflows.stored_run import StoredRun

OPTION = "-o"


@dataclass(frozen=True)
class EmbedRequest:
    """Arguments of `embed`.

    Attributes:
        network: RUN or BASE of the command line.
        paths: files, folders, patterns, `-`.
        file: the file to write; its suffix is the format.
        weights: `imagenet`, FILE or hub:REPO for a base, or None.
        layers: the last layer, or all that the head reads.
        normalise: normalisation of the vector of each layer.
        strict: an image that cannot be read is an error, and nothing is written.
    """

    network: str
    runs: Path
    paths: tuple[str, ...]
    file: Path
    weights: str | None = None
    layers: Layers = "last"
    normalise: Normalise = "length"
    strict: bool = False


@dataclass(frozen=True)
class EmbedResult:
    """Result of `embed`.

    Attributes:
        run, base: the run folder, or the name of the base; the other is None.
        file: that was written. images: number of its rows.
        cached: hits and misses of the feature cache.
        unreadable: (path, reason) of the images that were left out.
    """

    run: Path | None
    base: str | None
    file: Path
    images: int
    origin: Origin
    cached: dict[str, int] = field(default_factory=dict)
    unreadable: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "run": None if self.run is None else str(self.run),
            "base": self.base,
            "file": str(self.file),
            "images": self.images,
            "width": self.origin.width,
            "layers": list(self.origin.layers),
            "normalise": self.origin.normalise,
            "network": self.origin.network,
            "cache": {"features": self.cached},
            "unreadable": unreadable_json(self.unreadable),
        }


def unreadable_json(unreadable: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    """Return the JSON objects of images that cannot be read, as `predict` gives them."""
    return [{"path": path, "error": reason} for path, reason in unreadable]


def _check_not_weights(request: EmbedRequest) -> None:
    """Raise `UsageError` if the file to write is the weight file that is read."""
    if (
        request.weights
        and request.file.exists()
        and os.path.realpath(request.weights) == os.path.realpath(request.file)
    ):
        raise UsageError(
            f"{OPTION} {str(request.file)!r} is the file of --weights, which it would replace", "name another file"
        )


def owner_of(network: EmbeddingNetwork) -> tuple[Path | None, str | None]:
    """Return the run folder and the name of the base of a network, one of which is None."""
    return (network.path, None) if isinstance(network, StoredRun) else (None, network.label)


def embed(request: EmbedRequest, reporter: Reporter) -> EmbedResult:
    """Write the embeddings of images to a file.

    Raises as `format_of`, `check_output_file`, `find_network` and `read_inputs` do, in this order.
    """
    from transfercli.transfer.embeddings.files import format_of, write_embeddings

    row = format_of(request.file, OPTION)
    check_output_file(request.file, OPTION)
    _check_not_weights(request)
    network = find_network(request.network, request.runs, request.weights, request.layers, reporter)
    images = read_inputs(request.paths, network.reading, strict=request.strict)
    embedder = Embedder.of(network, request.layers, request.normalise)
    embeddings, _ = embedder.embed(images.split)
    write_embeddings(request.file, embeddings, row)
    run, base = owner_of(network)
    cached = embedder.features.cache_counts()
    return EmbedResult(run, base, request.file, len(embeddings), embeddings.origin, cached, images.unreadable)
