"""Editor support: the file name and the id of the JSON Schema, and the comment by which a config names it."""

from __future__ import annotations

import os
from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.io.bounded import read_json

SCHEMA_FILE = "transfercli.schema.json"
SCHEMA_IDS = "urn:transfercli:config:"
SCHEMA_ID = f"{SCHEMA_IDS}1"
EDITOR_LINE = "# yaml-language-server: $schema="


def editor_line(folder: Path) -> str:
    """Return the comment that names the schema to an editor, for a config in `folder`, with a newline; or "".

    The schema is looked for in `folder` and above it, up to the working folder; the path is relative to the config.
    """
    here, top = folder.absolute(), Path.cwd()
    below_top = here.is_relative_to(top)
    for above in (here, *here.parents):
        if (above / SCHEMA_FILE).is_file():
            return f"{EDITOR_LINE}{Path(os.path.relpath(above / SCHEMA_FILE, here)).as_posix()}\n"
        if above == top or not below_top:
            break
    return ""


def is_schema(path: Path) -> bool:
    """Return True if a file is a JSON Schema that this program wrote, in this or another version."""
    try:
        content = read_json(path)
    except ArtefactError:
        return False
    return isinstance(content, dict) and str(content.get("$id")).startswith(SCHEMA_IDS)
