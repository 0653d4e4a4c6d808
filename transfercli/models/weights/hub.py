"""Weight files in repositories of the Hugging Face Hub: from its local cache first, then from the network.

No import of Keras: presence is asked before an image is read. Only safetensors files are fetched, and beside them the
README.md and config.json, which have the licence and the names of the classes.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.schema import HubWeights
from transfercli.errors import ArtefactError, OutOfSpaceError, TransferError, WeightsError, is_out_of_space
from transfercli.io.bounded import read_json
from transfercli.models.published_weights import cached_file
from transfercli.models.weights.file_kinds import shard_note
from transfercli.models.weights.safetensors_reader import MAX_BYTES
from transfercli.reporting import Reporter
from transfercli.text import byte_size, first_of, squeezed

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

SECONDS = 5.0  # that a server may take to answer
MAIN = "main"
CARD, SETTINGS = "README.md", "config.json"
MAX_CARD_BYTES = 2**20
MEGABYTE = 10**6


@dataclass(frozen=True)
class HubFile:
    """File of a repository in the local cache.

    asked: the revision that the config names; commit: the one that the file is of.
    """

    path: Path
    repository: str
    file: str
    asked: str
    commit: str

    @property
    def folder(self) -> Path:
        """The folder of the repository's files of this commit."""
        return self.path.parents[self.file.count("/")]

    @cached_property
    def licence(self) -> str | None:
        """The licence in the repository's card, such as apache-2.0 or other: NAME; None without a card in the cache."""
        return licence_of_card(self.folder / CARD)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The content of the repository's config.json; empty if it is not in the cache."""
        return network_settings(self.folder / SETTINGS)


def fetched(config: HubWeights, reporter: Reporter) -> HubFile:
    """Return a file of a repository, downloaded if the local cache lacks it.

    Raises `WeightsError` if it cannot be had; its message says where it was looked for, its hint how to get it.
    """
    return cached(config) or _download(config, reporter)


def cached(config: HubWeights) -> HubFile | None:
    """Return a file of a repository in the local cache, or None; no network is used."""
    path = cached_file(config.hub, config.file, config.revision)
    return _hub_file(config, path) if path else None


def _hub_file(config: HubWeights, path: Path) -> HubFile:
    commit = path.parents[config.file.count("/")].name
    return HubFile(path, config.hub, config.file, config.revision or MAIN, commit)


def licence_of_card(path: Path) -> str | None:
    """Return the licence in the head of a model card; None if the file is missing, or has none in plain words."""
    import yaml
    from huggingface_hub.repocard import metadata_load

    with suppress(OSError, ValueError, RecursionError, yaml.YAMLError):
        if not path.is_file() or path.stat().st_size > MAX_CARD_BYTES:
            return None
        head = metadata_load(path) or {}
        licence, name = head.get("license"), head.get("license_name")
        if not _is_plain(licence):  # a list that refers to itself would be text without end
            return None
        return f"other: {name}" if licence == "other" and _is_plain(name) else licence
    return None


def _is_plain(licence: object) -> bool:
    """Return True for text of the characters that the Hub's names of licences have."""
    return isinstance(licence, str) and re.fullmatch(r"[\w.+ -]{1,80}", licence, re.ASCII) is not None


def network_settings(path: Path) -> dict[str, Any]:
    """Return the content of a config.json of timm or transformers; empty if it is missing or damaged."""
    with suppress(ArtefactError):
        content = read_json(path)
        return content if isinstance(content, dict) else {}
    return {}


def fetch_command(config: HubWeights) -> str:
    """Return the command that puts a file into the local cache."""
    revision = f" --revision {config.revision}" if config.revision else ""
    return f"hf download {config.hub} {config.file} {CARD} {SETTINGS}{revision}"


def _download(config: HubWeights, reporter: Reporter) -> HubFile:
    from huggingface_hub import HfApi, constants, hf_hub_download

    with _explained(config):
        # First one question, tried once: without a network, the library's own download tries for 23 s.
        info = HfApi().model_info(config.hub, revision=config.revision, timeout=SECONDS, files_metadata=True)
        size = _check_listed(info, config)
        reporter.info(
            f"downloading {config.hub}/{config.file}{f' ({byte_size(size)})' if size else ''} from"
            f" {constants.ENDPOINT} to {_shown(constants.HF_HUB_CACHE)}"
        )
        download = partial(
            hf_hub_download,
            config.hub,
            revision=config.revision or MAIN,
            etag_timeout=SECONDS,
            tqdm_class=_progress_bar(config.file, reporter),
        )
        path = Path(download(filename=config.file))
    listed = {entry.rfilename for entry in info.siblings or ()}
    for name in {CARD, SETTINGS} & listed:
        try:
            download(filename=name)
        except Exception as error:  # the weights are here, and that is what was asked for
            reporter.debug(f"{config.hub}/{name} could not be fetched: {error}")
    return _hub_file(config, path)


def _check_listed(info: ModelInfo, config: HubWeights) -> int | None:
    """Return the size of the file in a repository's list. Raises `WeightsError` if it is not in it.

    Raises `ArtefactError` if it cannot be the file that is wanted, so that it is not downloaded.
    """
    files = {entry.rfilename: entry for entry in info.siblings or ()}
    entry = files.get(config.file)
    if entry is None:
        found = [name for name in files if name.endswith(".safetensors")]
        raise WeightsError(
            f"model.weights.file: {config.hub} has no file {config.file} at {config.revision or MAIN}; its safetensors"
            f" files are: {first_of(found, 6) or 'none'}{shard_note(found[0]) if found else ''}",
            "set model.weights.file to one of them"
            if found
            else "its weights are in another format: convert them as docs/guides/weights-from-elsewhere.md shows, and"
            " give the file as {path: FILE}",
        )
    digest = entry.lfs.sha256 if entry.lfs else None
    if config.sha256 and digest and digest != config.sha256.lower():
        raise ArtefactError(
            f"model.weights.sha256: {config.hub}/{config.file} has {digest}, the config wants {config.sha256.lower()}",
            "correct the hash, or set model.weights.revision to the commit that has this file",
        )
    if entry.size and entry.size > MAX_BYTES:
        raise ArtefactError(
            f"model.weights.hub: {config.hub}/{config.file} has {byte_size(entry.size)}; at most"
            f" {byte_size(MAX_BYTES)} are read",
            "use a smaller network",
        )
    return entry.size


@contextmanager
def _explained(config: HubWeights) -> Iterator[None]:
    """Turn the errors of the library and of the network into `WeightsError`s that say how to get the file."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it reports each try
    try:
        yield
    except TransferError:
        raise
    except Exception as error:  # of the network, the library, or a server that is not the Hub
        if is_out_of_space(error):
            raise OutOfSpaceError(
                f"model.weights.hub: there was not enough room to download {config.hub}/{config.file}",
                "free some, or set HF_HOME to a folder on another disk, and start the same command again",
            ) from error
        raise _unavailable(config, error) from error
    finally:
        logger.setLevel(level)


def _unavailable(config: HubWeights, error: Exception) -> WeightsError:
    from huggingface_hub import constants, errors

    revision = config.revision or MAIN
    page = f"{constants.ENDPOINT}/{config.hub}"
    looked = f"(looked in the cache {_shown(constants.HF_HUB_CACHE)} and at {page})"
    status = getattr(getattr(error, "response", None), "status_code", None)
    offline = f"on a machine with a network: {fetch_command(config)}; then copy the cache (HF_HOME sets its folder)"
    title = f"model.weights.hub: {config.hub}"
    if isinstance(error, errors.GatedRepoError):
        return WeightsError(
            f"{title} is gated: its authors want their conditions accepted first {looked}",
            f"accept them on {page}, log in (hf auth login, or set HF_TOKEN), then: {fetch_command(config)}",
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403):
        return WeightsError(
            f"{title} does not exist, or is not open to you{f' (HTTP {status})' if status else ''} {looked}",
            "correct the name; for a private repository, log in (hf auth login, or set HF_TOKEN)",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return WeightsError(
            f"model.weights.revision: {config.hub} has no commit, branch or tag {revision} {looked}",
            f"see {page}/commits/main, or leave it out for {MAIN}",
        )
    if isinstance(error, errors.EntryNotFoundError) and status == 404:
        return WeightsError(
            f"model.weights.file: {config.hub} has no file {config.file} at {revision} {looked}",
            f"see {page}/tree/{revision}",
        )
    reason = f"HTTP {status}" if status else f"{type(error).__name__}: {squeezed(str(error), 120)}"
    if isinstance(error, errors.OfflineModeIsEnabled):
        reason = "HF_HUB_OFFLINE is set"
    return WeightsError(
        f"{title}: {config.file} of {revision} is not in the cache and cannot be downloaded: {reason} {looked}",
        f"{offline}; or fetch the file in another way and give it as model.weights: {{path: FILE}}",
    )


def _progress_bar(file: str, reporter: Reporter) -> Any:
    """Return a class of progress bars that draws nothing and reports to `reporter`."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        """Progress of a download."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})
            self.received = options.get("initial") or 0
            self.size = options.get("total") or 0

        def update(self, n: float | None = 1) -> None:
            self.received += n or 0
            done = int(min(self.received, self.size or self.received))
            reporter.progress(f"downloading {Path(file).name}", done // MEGABYTE, int(self.size) // MEGABYTE, "MB")

    return Bar


def _shown(path: str | os.PathLike[str]) -> str:
    """Return a path with `~` for the home folder."""
    return str(path).replace(str(Path.home()), "~")
