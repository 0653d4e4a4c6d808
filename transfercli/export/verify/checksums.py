"""Hashes of an artefact's files, kept in its export.json: what was damaged may still load, and answer wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.export.formats.keras_writer import VERSION
from transfercli.io.checksum import file_sha256

CHECKSUMS = "sha256"  # its key in export.json


def checksums_of(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of each file; the copies in TensorFlow Serving's version folder are left out."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name: file_sha256(folder / name) for name in sorted(names) if not name.startswith(f"{VERSION}/")}


def verify_checksums(folder: Path, exported: Mapping[str, Any]) -> None:
    """Raise `ArtefactError` where a file that an export.json names is missing or has changed since.

    An export.json without hashes, as earlier versions wrote it, is taken.
    """
    sealed = exported.get(CHECKSUMS, {})
    if not isinstance(sealed, Mapping):
        raise ArtefactError(
            f"{folder}: {CHECKSUMS} in its export.json must map files to hashes", "export the run again"
        )
    for name, digest in sealed.items():
        try:
            whole = (folder / name).is_file() and file_sha256(folder / name) == digest
        except (OSError, ValueError) as error:
            raise ArtefactError(f"{folder / name} cannot be read: {error}", "export the run again") from error
        if not whole:
            raise ArtefactError(
                f"{folder / name} is not as it was exported: it is missing, or its hash is another",
                "copy the artefact's whole folder again, or export the run again",
            )
