"""Images among which `similar` searches: a folder, a file of embeddings, or a run's own training images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transfercli.data.image import InputImage
from transfercli.data.load import read_recorded
from transfercli.data.sources.folders import SHELL_PATH_HINT, check_exists
from transfercli.data.unlabelled_images import UNKNOWN
from transfercli.data.validation import first_problems, split_of
from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.rows import Rows, SelectedRows
from transfercli.text import counted
from transfercli.workflows.embed.images import found, read_inputs
from transfercli.workflows.embed.network import Embedder, EmbeddingNetwork, Layers, Normalise
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.transfer.embeddings.embeddings import Embeddings

OPTION = "--in"
TRAINING = "train"


@dataclass(frozen=True)
class Candidates:
    """Images to compare with.

    Attributes:
        embedder: makes embeddings as those of the images are.
        embeddings: of the images.
        files: absolute path of each; "" for an image of a `keras:` data set.
        split: the images, and pooled: the output of the head's poolings for them; both None for a file of embeddings,
            whose images are read again when they are shown.
        unreadable: (path, reason) of the images that were left out.
    """

    embedder: Embedder
    embeddings: Embeddings
    files: tuple[str, ...]
    split: Split | None = None
    pooled: Rows | None = None
    unreadable: tuple[tuple[str, str], ...] = ()

    def rows_of_file(self, file: str) -> list[int]:
        """Return the rows that are the file itself, under this or another of its paths."""
        real = os.path.realpath(file)
        return [row for row, other in enumerate(self.files) if other == file or (other and _same(other, real))]

    def shown(self, rows: Sequence[int], network: EmbeddingNetwork) -> tuple[Split, Rows, dict[int, int]] | None:
        """Return the images of rows as a split, their pooled features, and row -> its place in both.

        An image of a file of embeddings that is gone or has changed since is left out; None if all are.
        """
        if self.split is not None and self.pooled is not None:
            chosen = np.array(rows, np.int64)
            places = {row: place for place, row in enumerate(rows)}
            return self.split.at(chosen), SelectedRows(self.pooled, chosen), places
        hashes = self.embeddings.sha256s
        files = found([InputImage(self.embeddings.paths[row]) for row in rows], network.reading)
        same = [(row, file) for row, file in zip(rows, files.files, strict=True) if file.entry.sha256 == hashes[row]]
        usable = [(row, file) for row, file in same if not file.entry.problem]
        if not usable:
            return None
        split = split_of(UNKNOWN, [file for _, file in usable], (UNKNOWN,), files.ingest)
        return split, self.embedder.embed(split)[1], {row: place for place, (row, _) in enumerate(usable)}


def _same(file: str, real: str) -> bool:
    return os.path.basename(file) == os.path.basename(real) and os.path.realpath(file) == real  # noqa: PTH119


def find_candidates(
    within: str | None, network: EmbeddingNetwork, layers: Layers | None, normalise: Normalise | None
) -> Candidates:
    """Return the images that `--in` names, or the training images of a run without it.

    layers, normalise: as asked for; None for those of the file of embeddings, else the last layer at unit length.

    Raises `UsageError` if a base has no `--in`, or the file has another layer or normalisation than is asked for,
    `DataError` if there is no image, `ArtefactError` if the file is damaged or of another network.
    """
    if within is None:
        if not isinstance(network, StoredRun):
            raise UsageError(
                f"{network.label} is a base, which has no training images to search", "name a folder with --in DIR"
            )
        return _of_training(network, Embedder.of(network, layers or "last", normalise or "length"))
    path = Path(within).expanduser()
    check_exists(path.absolute(), OPTION, within, SHELL_PATH_HINT)
    if not path.is_dir():
        return _of_file(path, network, layers, normalise)
    images = read_inputs([str(path)], network.reading)
    embedder = Embedder.of(network, layers or "last", normalise or "length")
    embeddings, pooled = embedder.embed(images.split)
    return Candidates(embedder, embeddings, images.files, images.split, pooled, images.unreadable)


def _of_training(run: StoredRun, embedder: Embedder) -> Candidates:
    records = [image for image in run.images if image.split == TRAINING and not image.problem]
    findings = read_recorded(records, run.config.data.train, run.reading)
    pairs = list(zip(findings.files, records, strict=True))
    usable = [(file, record) for file, record in pairs if not file.entry.problem]
    lost = [file for file, _ in pairs if file.entry.problem]
    if lost:
        message = f"{len(lost)} of the run's {counted(len(records), 'training image')} cannot be read"
        message += f": {first_problems(lost)}"
        if not usable:
            raise DataError(message, "restore them, or search other images with --in DIR")
        run.reporter.warning(f"{message}; they are left out")
    files, paths = [file for file, _ in usable], [record.path for _, record in usable]
    split = split_of(TRAINING, files, run.labels, findings.ingest, paths)
    embeddings, pooled = embedder.embed(split)
    unreadable = tuple((file.name, file.entry.problem) for file in lost)
    return Candidates(embedder, embeddings, tuple(file.file for file in files), split, pooled, unreadable)


def _of_file(path: Path, network: EmbeddingNetwork, layers: Layers | None, normalise: Normalise | None) -> Candidates:
    from transfercli.transfer.embeddings.files import format_of, read_embeddings

    embeddings = read_embeddings(path, format_of(path, OPTION))
    origin = embeddings.origin
    read: Layers = "all" if len(origin.layers) > 1 else "last"
    for option, asked, stored in (("--layers", layers, read), ("--normalise", normalise, origin.normalise)):
        if asked not in (None, stored):
            raise UsageError(
                f"{option} {asked}, but the vectors in {str(path)!r} were made with {option} {stored}",
                f"leave {option} out, or write the file again with {option} {asked}",
            )
    embedder = Embedder.of(network, read, normalise_of(origin.normalise, path))
    own = embedder.origin
    if (own.network, own.layers, own.widths) != (origin.network, origin.layers, origin.widths):
        raise ArtefactError(
            f"{str(path)!r} holds vectors of another network: of {origin.name}, layers {', '.join(origin.layers)};"
            f" {own.name} has other weights, layers or images of another size",
            f"write it with transfercli embed {network.label}, or name the network that made it",
        )
    files = tuple(os.path.abspath(name) for name in embeddings.paths)  # noqa: PTH100 - as Ingest
    return Candidates(embedder, embeddings, files)


def normalise_of(text: str, path: Path) -> Normalise:
    """Return a stored normalisation. Raises `ArtefactError` if it is none."""
    for known in ("none", "length", "root"):
        if text == known:
            return known
    raise ArtefactError(f"{str(path)!r} has the unknown normalisation {text!r}", "write it again")
