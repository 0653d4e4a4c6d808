"""Paths of a config: resolved once, when the config is loaded, and kept beside the text that the file gives."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from transfercli.errors import ConfigError
from transfercli.io.addresses import is_remote, local_copy

if TYPE_CHECKING:
    from pydantic import BaseModel

# Keys whose text, or list of texts, is a path; data.* may also be `keras:NAME`, which is not opened as a file.
PATH_KEYS: tuple[tuple[str, ...], ...] = (
    ("data", "train"),
    ("data", "validation"),
    ("data", "test"),
    ("data", "unlabelled"),
    ("data", "related"),
    ("data", "corrections"),
    ("model", "weights", "path"),
    ("compute", "cache_dir"),
    ("retrain", "versions"),
    ("retrain", "monitor", "recent"),
)
TABLE_SUFFIXES = (".csv", ".jsonl")  # of the name of a table of images; other paths are image folders
ARCHIVE_SUFFIXES = (".tar", ".parquet")  # of the name of a file that holds the images themselves
STORE = ("tracking", "mlflow")  # a folder or an address; an inherited value is not rewritten

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

Section = TypeVar("Section", bound="BaseModel")


class ConfigPath(str):
    """The text of a path in a config, and the absolute path it means; equal to the plain text.

    Attributes:
        path: absolute; links are not followed. Of an address, its local copy.
        folder: the folder that the text is relative to.
        cache: the folder of the caches, which holds local copies of remote data; None: the user's.
        cache_max_gb: the largest size of the caches; None: the default.
    """

    path: Path
    folder: Path
    cache: Path | None
    cache_max_gb: float | None

    def __new__(
        cls, text: str, folder: Path, cache: Path | None = None, cache_max_gb: float | None = None
    ) -> ConfigPath:
        self = super().__new__(cls, text)
        self.folder, self.cache, self.cache_max_gb = folder, cache, cache_max_gb
        if is_remote(text):
            self.path = _local_copy(text, cache or user_cache())
        else:
            self.path = folder.absolute() / Path(text).expanduser()
        return self

    def __getnewargs__(self) -> tuple[str, Path, Path | None, float | None]:  # type: ignore[override]
        """Return the arguments with which copies are made."""
        return str(self), self.folder, self.cache, self.cache_max_gb


def user_cache() -> Path:
    """Return the folder of all caches if a config names none: TRANSFERCLI_CACHE, or the user's cache folder."""
    import platformdirs

    folder = os.environ.get("TRANSFERCLI_CACHE") or platformdirs.user_cache_dir("transfercli")
    return Path(folder).expanduser().absolute()


def cache_of(text: str) -> Path:
    """Return the folder of the caches that holds the local copies of a config's remote data."""
    return text.cache if isinstance(text, ConfigPath) and text.cache else user_cache()


def _local_copy(address: str, cache: Path) -> Path:
    try:
        return local_copy(address, cache)
    except ValueError as error:
        mend = "give an address such as s3://BUCKET/images, without .. and empty parts"
        raise ConfigError(str(error), mend) from None


def absolute_path(text: str) -> Path:
    """Return the absolute path of a config's value. Plain text, from no file, starts in the working folder."""
    return text.path if isinstance(text, ConfigPath) else ConfigPath(text, Path()).path


def normalised_path(text: str) -> Path:
    """Return the absolute path without `..`, as names relative to a data folder need it; links are not followed."""
    return Path(os.path.normpath(absolute_path(text)))


def is_address(text: str) -> bool:
    """Return True for an address of any kind, such as `s3://bucket/images` or `file:///images`."""
    return _ADDRESS.match(text) is not None


def base_of(text: str) -> Path:
    """Return the folder that a config's value is relative to."""
    return text.folder if isinstance(text, ConfigPath) else Path()


def resolve_paths(section: Section, folder: Path, prefix: tuple[str, ...] = ()) -> Section:
    """Return a config, or its section at `prefix`, whose paths are `ConfigPath`s relative to `folder`."""
    return _resolved(section, folder, _caches(section, folder, prefix), prefix)


def _caches(section: BaseModel, folder: Path, prefix: tuple[str, ...]) -> tuple[Path | None, float | None]:
    """Return `compute.cache_dir` of a whole config, absolute, and `compute.cache_max_gb`; None without them."""
    if prefix:
        return None, None
    compute = getattr(section, "compute")  # noqa: B009 - only of a whole config
    return ConfigPath(compute.cache_dir, folder).path if compute.cache_dir else None, compute.cache_max_gb


def _resolved(
    section: Section, folder: Path, caches: tuple[Path | None, float | None], prefix: tuple[str, ...]
) -> Section:
    names = {key[len(prefix)] for key in (*PATH_KEYS, STORE) if key[: len(prefix)] == prefix}
    updates: dict[str, Any] = {}
    for name in names & section.model_fields_set:  # no default is a path
        value = getattr(section, name)
        if isinstance(value, str):
            updates[name] = ConfigPath(value, folder, *caches)
        elif isinstance(value, list):
            updates[name] = [ConfigPath(text, folder, *caches) for text in value]
        elif hasattr(value, "model_copy"):
            updates[name] = _resolved(value, folder, caches, (*prefix, name))
    return section.model_copy(update=updates)
