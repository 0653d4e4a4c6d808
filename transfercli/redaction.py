"""Removal of absolute paths, and of the user names in them, from reports and artefacts that are passed on."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import transfercli

HIDDEN = "…/"
# Start of an absolute path: /x, ~/x, ~ann/x, C:\x, \\host\x, file:///x.
PATH_START = r"(?:file:/+|~[\w.-]*[/\\]|[A-Za-z]:[/\\]|\\\\|/)"
QUOTED_PATH = re.compile(rf"""(["'])({PATH_START}[^"'\n]*)\1""")
# Not in the middle of a word, and not the slashes of a URL.
BARE_PATH = re.compile(rf"""(?<![\w.…/\\:~)\]}}-])({PATH_START}[^\s"'<>|]*[^\s"'<>|,;)\]}}])""")
# Address of a server or database, which may hold a host name, a user name and a password.
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://.*")


def hide_paths(text: str) -> str:
    """Return text with each absolute path shortened to its last part: `/home/ann/x.yaml` -> `…/x.yaml`."""
    text = QUOTED_PATH.sub(lambda match: f"{match[1]}{_shortened(match[2])}{match[1]}", text)
    return BARE_PATH.sub(lambda match: _shortened(match[1]), text)


def hide_package_folders(text: str) -> str:
    """Return a traceback with file names relative to the folders of packages, since a log may be shared."""
    package = Path(transfercli.__file__).parent.parent
    for folder in sorted({str(package), *sys.path} - {""}, key=len, reverse=True):
        text = text.replace(folder.rstrip("/") + "/", "")
    return text


def hide_paths_in_yaml(text: str) -> str:
    """Return YAML text with its absolute paths shortened; an unquoted one may hold spaces or span two lines."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return hide_paths(text)
    hidden = hide_paths_in(value)
    if hidden != value:
        text = yaml.safe_dump(hidden, sort_keys=False, allow_unicode=True, width=10_000)
    return hide_paths(text)


def hide_paths_in(value: Any) -> Any:
    """Return a config value (nested lists and sections too) without absolute paths and addresses of stores."""
    if isinstance(value, dict):
        return {key: hide_paths_in(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hide_paths_in(item) for item in value]
    if not isinstance(value, str):
        return value
    if address := ADDRESS.fullmatch(value):
        return f"{address[1]}://…"
    return _shortened(value) if re.match(PATH_START, value) else value


def _shortened(path: str) -> str:
    pure = PureWindowsPath(path) if "\\" in path or re.match(r"[A-Za-z]:", path) else PurePosixPath(path)
    return HIDDEN + pure.name
