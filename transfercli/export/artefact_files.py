"""Names of files in the folder of an artefact; importable without the schema of configs, as a server starts quickly."""

from __future__ import annotations

EXPORTED = "export.json"  # the result of the export
