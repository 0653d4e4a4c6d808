"""Configs of many runs, only to be compared and shown: their paths stay as written, and an invalid one is no error."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from transfercli.config import merging
from transfercli.config.locations import UnreadableError
from transfercli.config.schema import ExperimentConfig
from transfercli.runs.folder import RunFolder
from transfercli.workflows.stored_run import as_trained


def recorded_config(run: RunFolder) -> dict[str, Any] | None:
    """Return the config of a run as plain values, defaults included; None if it is missing or not valid."""
    try:
        config = ExperimentConfig.model_validate(merging.read(run.config).value)
    except (UnreadableError, ValidationError):
        return None
    return as_trained(config).model_dump(mode="json")
