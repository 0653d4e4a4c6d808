"""Paths of a config: resolved once, when the config is loaded, and kept beside the text that the file gives."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

# Keys whose text, or list of texts, is a path; data.* may also be `keras:NAME`, which is not opened as a file.
PATH_KEYS: tuple[tuple[str, ...], ...] = (
    ("data", "train"),
    ("data", "validation"),
    ("data", "test"),
    ("data", "unlabelled"),
    ("data", "related"),
    ("model", "weights", "path"),
    ("compute", "cache_dir"),
)
TABLE_SUFFIXES = (".csv", ".jsonl")  # of the name of a table of images; other paths are image folders
STORE = ("tracking", "mlflow")  # a folder or an address; an inherited value is not rewritten

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

Section = TypeVar("Section", bound="BaseModel")


class ConfigPath(str):
    """The text of a path in a config, and the absolute path it means; equal to the plain text.

    Attributes:
        path: absolute; links are not followed.
        folder: the folder that the text is relative to.
    """

    path: Path
    folder: Path

    def __new__(cls, text: str, folder: Path) -> ConfigPath:
        self = super().__new__(cls, text)
        self.folder = folder
        self.path = folder.absolute() / Path(text).expanduser()
        return self

    def __getnewargs__(self) -> tuple[str, Path]:  # type: ignore[override]
        """Return the arguments with which copies are made."""
        return str(self), self.folder


def absolute_path(text: str) -> Path:
    """Return the absolute path of a config's value. Plain text, from no file, starts in the working folder."""
    return text.path if isinstance(text, ConfigPath) else ConfigPath(text, Path()).path


def normalised_path(text: str) -> Path:
    """Return the absolute path without `..`, as names relative to a data folder need it; links are not followed."""
    return Path(os.path.normpath(absolute_path(text)))


def is_address(text: str) -> bool:
    """Return True for an address such as `s3://bucket/images`; files are read from this machine only."""
    return _ADDRESS.match(text) is not None


def base_of(text: str) -> Path:
    """Return the folder that a config's value is relative to."""
    return text.folder if isinstance(text, ConfigPath) else Path()


def resolve_paths(section: Section, folder: Path, prefix: tuple[str, ...] = ()) -> Section:
    """Return a config, or its section at `prefix`, whose paths are `ConfigPath`s relative to `folder`."""
    names = {key[len(prefix)] for key in (*PATH_KEYS, STORE) if key[: len(prefix)] == prefix}
    updates: dict[str, Any] = {}
    for name in names & section.model_fields_set:  # no default is a path
        value = getattr(section, name)
        if isinstance(value, str):
            updates[name] = ConfigPath(value, folder)
        elif isinstance(value, list):
            updates[name] = [ConfigPath(text, folder) for text in value]
        elif hasattr(value, "model_copy"):
            updates[name] = resolve_paths(value, folder, (*prefix, name))
    return section.model_copy(update=updates)
