"""The champion as a version that a running TensorFlow Serving loads (`retrain.versions`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.config.paths import absolute_path
from transfercli.export.artefact_files import EXPORTED
from transfercli.export.version_folders import VERSIONED, Version, add_version
from transfercli.reporting import Reporter
from transfercli.runs.champions import champion_of
from transfercli.workflows.command_lines import command_line

if TYPE_CHECKING:
    from transfercli.config.schema import RetrainConfig


def add_champion_version(experiment: Path, config: RetrainConfig, reporter: Reporter) -> Version | None:
    """Add the champion to the folder of versions that the config names, unless it is the newest one there.

    Every night calls this, so a night that was killed between a promotion and this step is made up for by the next.
    None if the config names no folder, or if there is nothing to add.
    """
    champion = champion_of(experiment)
    if config.versions is None or champion is None:
        return None
    artefact = champion.exports / VERSIONED
    if not (artefact / EXPORTED).is_file():
        mend = command_line("export", str(champion.path), "--format", VERSIONED)
        reporter.warning(f"retrain.versions gets no version: the champion {champion.label} has no {VERSIONED}: {mend}")
        return None
    return add_version(absolute_path(config.versions), artefact, config.keep_versions, reporter)
