"""SHA-256 checksums of an artefact's files, in its export.json: a damaged file may still load and predict wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.export.formats.keras_writer import VERSION
from transfercli.io.checksum import file_sha256

CHECKSUMS = "sha256"  # its key in export.json


def checksums_of(folder: Path) -> dict[str, str]:
    """Return relative path -> SHA-256 of each file, without the copies in TensorFlow Serving's version folder."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name: file_sha256(folder / name) for name in sorted(names) if not name.startswith(f"{VERSION}/")}


def verify_checksums(folder: Path, exported: Mapping[str, Any]) -> None:
    """Raise `ArtefactError` if a file named in the export.json is missing or has changed.

    An export.json without checksums, from an earlier version, is accepted.
    """
    checksums = exported.get(CHECKSUMS, {})
    if not isinstance(checksums, Mapping):
        message = f"{folder}: {CHECKSUMS} in export.json must map file names to checksums"
        raise ArtefactError(message, "export the run again")
    for name, digest in checksums.items():
        try:
            unchanged = (folder / name).is_file() and file_sha256(folder / name) == digest
        except (OSError, ValueError) as error:
            raise ArtefactError(f"{folder / name} cannot be read: {error}", "export the run again") from error
        if not unchanged:
            raise ArtefactError(
                f"{folder / name} is not as it was exported: it is missing, or its checksum differs",
                "copy the artefact's whole folder again, or export the run again",
            )
