"""Workflow of `similar`: the images nearest to one, by the features of a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.data.label_sets import LabelSet
from transfercli.evaluation.report.similar_page import MatchedImage, QueryImage
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.runs.output_paths import check_output_folder
from transfercli.transfer.embeddings.embeddings import Origin
from transfercli.workflows.command_lines import command_line, run_arguments, shown_path
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.embed.candidates import Candidates, Search, find_candidates
from transfercli.workflows.embed.embed import owner_of, unreadable_json
from transfercli.workflows.embed.images import ReadImages, read_inputs
from transfercli.workflows.embed.network import EmbeddingNetwork, Layers, Normalise, find_network
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.rows import Rows

DEFAULT_TOP = 10
SAME_FILE, SAME_PIXELS = "file", "pixels"


@dataclass(frozen=True)
class SimilarRequest:
    """Arguments of `similar`.

    Attributes:
        network, weights: as of `embed`.
        images: files, folders, patterns, `-`.
        within: a folder or a file of embeddings; None for the images that the run learnt from.
        top: neighbours of each image.
        layers, normalise: as of `embed`; None for those of the file of embeddings, or the defaults of `embed`.
        report: folder of the page, or None.
    """

    network: str
    runs: Path
    images: tuple[str, ...]
    within: str | None = None
    top: int = DEFAULT_TOP
    weights: str | None = None
    layers: Layers | None = None
    normalise: Normalise | None = None
    report: Path | None = None


@dataclass(frozen=True)
class SimilarResult:
    """Result of `similar`.

    Attributes:
        run, base: as of `embed`. within: as given.
        searched: number of images that were compared.
        images: the images that were asked for, each with its neighbours, the nearest first.
        cached: hits and misses of the feature cache.
        unreadable: (path, reason) of images that were left out of the search.
        page: of the report, or None.
    """

    run: Path | None
    base: str | None
    within: str | None
    searched: int
    origin: Origin
    images: tuple[QueryImage, ...]
    cached: dict[str, int] = field(default_factory=dict)
    unreadable: tuple[tuple[str, str], ...] = ()
    page: Path | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "run": None if self.run is None else str(self.run),
            "base": self.base,
            "in": self.within,
            "searched": self.searched,
            "layers": list(self.origin.layers),
            "normalise": self.origin.normalise,
            "network": self.origin.network,
            "images": [_query_json(image) for image in self.images],
            "cache": {"features": self.cached},
            "unreadable": unreadable_json(self.unreadable),
            "report": None if self.page is None else str(self.page),
        }


def _query_json(image: QueryImage) -> dict[str, Any]:
    neighbours = [_without_picture(match) for match in image.neighbours]
    return {**_without_picture(image), "neighbours": neighbours}


def _without_picture(image: QueryImage | MatchedImage) -> dict[str, Any]:
    return {
        item.name: getattr(image, item.name)
        for item in dataclasses.fields(image)
        if item.name not in ("picture", "neighbours", "several")
    }


def find_similar(request: SimilarRequest, reporter: Reporter) -> SimilarResult:
    """Find the images nearest to each of some images, by cosine similarity; all are compared.

    Raises as `Search.of`, `find_network`, `read_inputs` and `find_candidates` do.
    """
    from transfercli.transfer.embeddings.neighbours import nearest

    if request.report is not None:
        check_output_folder(request.report, "--report")
    search = Search.of(request.within, request.layers, request.normalise)
    network = find_network(request.network, request.runs, request.weights, search.layers, reporter)
    if isinstance(network, StoredRun):
        refuse_numbers(network.config.task, "similar")
        network.prepare_data()
    asked = read_inputs(request.images, network.reading, strict=True)
    candidates = find_candidates(search, network)
    queries, pooled = candidates.embedder.embed(asked.split)
    left_out = [candidates.rows_of_file(file) for file in asked.files]
    vectors = np.concatenate([*queries.blocks()])
    matches = nearest(candidates.embeddings, vectors, request.top, left_out)
    describe = _Description(network, candidates, with_pictures=request.report is not None)
    described = describe.queries(asked, pooled, matches, left_out)
    run, base = owner_of(network)
    result = SimilarResult(
        run,
        base,
        request.within,
        len(candidates.embeddings),
        candidates.embedder.origin,
        described,
        candidates.embedder.features.cache_counts(),
        candidates.unreadable,
    )
    if request.report is None:
        return result
    return dataclasses.replace(result, page=_write_page(request.report, result, network, request))


class _Description:
    """Labels, predictions and pictures of images."""

    def __init__(self, network: EmbeddingNetwork, candidates: Candidates, *, with_pictures: bool) -> None:
        self.network, self.candidates, self.with_pictures = network, candidates, with_pictures
        self.is_run = isinstance(network, StoredRun)
        self.several = isinstance(network, StoredRun) and network.several
        images = network.images if isinstance(network, StoredRun) else []
        self.known = {image.sha256: image for image in images if not image.problem}

    def queries(
        self,
        asked: ReadImages,
        pooled: Rows,
        matches: Sequence[Sequence[tuple[int, float]]],
        left_out: Sequence[Sequence[int]],
    ) -> tuple[QueryImage, ...]:
        """Return the images that were asked for, each with its neighbours."""
        rows = sorted({row for found in matches for row, _ in found})
        shown = self.candidates.shown(rows, self.network) if rows and (self.with_pictures or self.is_run) else None
        places = shown[2] if shown else {}
        others = self._described(shown[0], shown[1]) if shown else []
        own = self._described(asked.split, pooled)
        described = []
        for number, found in enumerate(matches):
            neighbours = tuple(
                self._match(rank, row, similarity, asked.split, number, others[places[row]] if row in places else {})
                for rank, (row, similarity) in enumerate(found, start=1)
            )
            path, sha256 = asked.split.paths[number], asked.split.sha256s[number]
            facts = self._recorded(sha256) | own[number]
            itself = bool(left_out[number])
            described.append(QueryImage(path=path, sha256=sha256, itself=itself, neighbours=neighbours, **facts))
        return tuple(described)

    def _match(
        self, rank: int, row: int, similarity: float, asked: Split, number: int, facts: dict[str, Any]
    ) -> MatchedImage:
        embeddings, split = self.candidates.embeddings, self.candidates.split
        path, sha256 = embeddings.paths[row], embeddings.sha256s[row]
        copy = SAME_FILE if sha256 == asked.sha256s[number] else None
        if copy is None and split is not None and split.pixel_hashes[row] == asked.pixel_hashes[number]:
            copy = SAME_PIXELS
        facts = self._recorded(sha256) | facts
        return MatchedImage(rank=rank, path=path, sha256=sha256, similarity=similarity, copy=copy, **facts)

    def _recorded(self, sha256: str) -> dict[str, Any]:
        """Return the label and the split of an image in the run's data; None without."""
        record = self.known.get(sha256)
        label, split = (record.label, record.split) if record else (None, None)
        return {"label": label, "split": split, "several": self.several}

    def _described(self, split: Split, pooled: Rows) -> list[dict[str, Any]]:
        """Return the picture of each image of a split, and its prediction if the network is a run."""
        from transfercli.evaluation.report.thumbnails import image_data_url

        count, features = len(split), self.candidates.embedder.features
        facts: list[dict[str, Any]] = [{} for _ in range(count)]
        for row in range(count if self.with_pictures else 0):
            facts[row]["picture"] = image_data_url(split.images.read(np.array([row]))[0])
        if isinstance(features, ImageFeatures):
            probabilities = features.probabilities(ArrayRows(pooled.read(np.arange(count))))
            for fact, (answer, probability) in zip(facts, _answers(features.run, probabilities), strict=True):
                fact |= {"predicted": answer, "probability": probability}
        return facts


def _answers(run: StoredRun, probabilities: np.ndarray) -> list[tuple[str, float]]:
    """Return the answer to each image, a class or the text of a label set, and its probability.

    That of a label set is the largest of all labels. probabilities: float [N, C], calibrated
    """
    if run.several:
        rows = zip(run.label_trust.answered(probabilities), probabilities, strict=True)
        return [(LabelSet.of(compress(run.labels, answered)).text, float(row.max())) for answered, row in rows]
    chosen = run.trust.answers(probabilities)
    best = probabilities.argmax(axis=1) if chosen is None else chosen
    return [(run.labels[index], float(row[index])) for index, row in zip(best.tolist(), probabilities, strict=True)]


def _write_page(folder: Path, result: SimilarResult, network: EmbeddingNetwork, request: SimilarRequest) -> Path:
    from transfercli.evaluation.report.similar_page import write_page

    within = "the images that the run learnt from" if result.within is None else shown_path(Path(result.within))
    return write_page(folder, network.label, within, result.searched, result.images, _command(network, request))


def _command(network: EmbeddingNetwork, request: SimilarRequest) -> str:
    """Return the command line of the page, without absolute paths."""
    named = run_arguments(network.folder, request.runs) if isinstance(network, StoredRun) else [network.label]
    options = [("--in", request.within), ("--layers", request.layers), ("--normalise", request.normalise)]
    words = [word for option, value in options if value is not None for word in (option, shown_path(Path(value)))]
    images = [shown_path(Path(path)) for path in request.images]
    return command_line("similar", named[0], *images, *words, *named[1:], "--top", str(request.top))
