"""A report travels further than the machine it was made on: absolute paths, and the user names in them, stay behind."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

HIDDEN = "…/"
# Where an absolute path begins: /x, ~/x, ~ann/x, C:\x, \\host\x, file:///x.
START = r"(?:file:/+|~[\w.-]*[/\\]|[A-Za-z]:[/\\]|\\\\|/)"
QUOTED = re.compile(rf"""(["'])({START}[^"'\n]*)\1""")
# Not inside a word, and not the slashes of a web address.
WORD = re.compile(rf"""(?<![\w.…/\\:~)\]}}-])({START}[^\s"'<>|]*[^\s"'<>|,;)\]}}])""")
# A server's or a database's address, which may hold a host's name, a user's and a password.
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://.*")


def hide_paths(text: str) -> str:
    """Each absolute path among the words of `text`, shortened to its last part: `/home/ann/x.yaml` -> `…/x.yaml`."""
    text = QUOTED.sub(lambda found: f"{found[1]}{_shortened(found[2])}{found[1]}", text)
    return WORD.sub(lambda found: _shortened(found[1]), text)


def hide_paths_in_yaml(text: str) -> str:
    """The same for a YAML text, where an unquoted path may hold spaces or go on in the next line."""
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
    """A config's value, its lists and sections with it, without absolute paths and what addresses of stores hold."""
    if isinstance(value, dict):
        return {key: hide_paths_in(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hide_paths_in(item) for item in value]
    if not isinstance(value, str):
        return value
    if found := ADDRESS.fullmatch(value):
        return f"{found[1]}://…"
    return _shortened(value) if re.match(START, value) else value


def _shortened(path: str) -> str:
    pure = PureWindowsPath(path) if "\\" in path or re.match(r"[A-Za-z]:", path) else PurePosixPath(path)
    return HIDDEN + pure.name
