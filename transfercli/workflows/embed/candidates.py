"""Images among which `similar` searches: a folder, a file of embeddings, or those that a run learnt from."""

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
from transfercli.workflows.learnt_images import LEARNT
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
        split = split_of(UNKNOWN, [file for _, file in usable], (UNKNOWN,), files)
        return split, self.embedder.embed(split)[1], {row: place for place, (row, _) in enumerate(usable)}


def _same(file: str, real: str) -> bool:
    return os.path.basename(file) == os.path.basename(real) and os.path.realpath(file) == real  # noqa: PTH119


@dataclass(frozen=True)
class Search:
    """Images that `--in` names, and the features to compare them by.

    Attributes:
        within: as given; None for the images that a run learnt from.
        stored: the content of a file of embeddings; None for a folder.
        layers, normalise: as of `embed`, those of the file if it is one.
    """

    within: str | None
    stored: Embeddings | None
    layers: Layers
    normalise: Normalise

    @classmethod
    def of(cls, within: str | None, layers: Layers | None, normalise: Normalise | None) -> Search:
        """Return the search by the options of the command line, which are None if they are not given.

        Raises `DataError` if nothing has the name, `ArtefactError` if a file is damaged, `UsageError` if it has other
        layers or another normalisation than are asked for.
        """
        if within is not None:
            check_exists(Path(within).expanduser().absolute(), OPTION, within, SHELL_PATH_HINT)
        if within is None or Path(within).expanduser().is_dir():
            return cls(within, None, layers or "last", normalise or "length")
        from transfercli.transfer.embeddings.files import format_of, read_embeddings

        path = Path(within).expanduser()
        stored = read_embeddings(path, format_of(path, OPTION))
        theirs: Layers = "all" if len(stored.origin.layers) > 1 else "last"
        how = _normalise_of(stored.origin.normalise, path)
        for option, asked, made_with in (("--layers", layers, theirs), ("--normalise", normalise, how)):
            if asked not in (None, made_with):
                raise UsageError(
                    f"{option} {asked}, but the vectors in {within!r} were made with {option} {made_with}",
                    f"leave {option} out, or write the file again with {option} {asked}",
                )
        return cls(within, stored, theirs, how)


def find_candidates(search: Search, network: EmbeddingNetwork) -> Candidates:
    """Return the images to compare with.

    Raises `UsageError` if a base has no `--in`, `DataError` if there is no image, `ArtefactError` if the file of
    embeddings is of another network.
    """
    if search.within is None and not isinstance(network, StoredRun):
        raise UsageError(
            f"{network.label} is a base, which has no training images to search", "name a folder with --in DIR"
        )
    embedder = Embedder.of(network, search.layers, search.normalise)
    if search.stored is not None:
        return _of_file(search.stored, str(search.within), embedder)
    if search.within is None and isinstance(network, StoredRun):
        return _of_training(network, embedder)
    images = read_inputs([str(Path(str(search.within)).expanduser())], network.reading)
    embeddings, pooled = embedder.embed(images.split)
    return Candidates(embedder, embeddings, images.files, images.split, pooled, images.unreadable)


def _of_training(run: StoredRun, embedder: Embedder) -> Candidates:
    """Return the images that the run learnt from: with a refitted head the validation images, too."""
    splits = LEARNT if run.record.refitted else (TRAINING,)
    records = [image for image in run.images if image.split in splits and not image.problem]
    findings = read_recorded(records, run.config.data.train, run.reading, several=run.several)
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
    split = split_of(TRAINING, files, run.labels, findings, paths)
    embeddings, pooled = embedder.embed(split)
    unreadable = tuple((file.name, file.entry.problem) for file in lost)
    return Candidates(embedder, embeddings, tuple(file.file for file in files), split, pooled, unreadable)


def _of_file(stored: Embeddings, name: str, embedder: Embedder) -> Candidates:
    own, made_by = embedder.origin, stored.origin
    if (own.network, own.layers, own.widths) != (made_by.network, made_by.layers, made_by.widths):
        raise ArtefactError(
            f"{name!r} holds vectors of another network: {made_by.name}, layers {', '.join(made_by.layers)};"
            f" {own.name} has other weights, other layers or images of another size",
            "write it again with transfercli embed, or name the network that made it",
        )
    return Candidates(embedder, stored, tuple(os.path.abspath(path) for path in stored.paths))  # noqa: PTH100 - as Ingest


def _normalise_of(text: str, path: Path) -> Normalise:
    """Return a stored normalisation. Raises `ArtefactError` if it is none."""
    for known in ("none", "length", "root"):
        if text == known:
            return known
    raise ArtefactError(f"{str(path)!r} has the unknown normalisation {text!r}", "write it again")
