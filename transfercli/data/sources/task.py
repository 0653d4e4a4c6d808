"""Task of a config that does not name it: several labels per image if the table of its images says so."""

from __future__ import annotations

from transfercli.config.paths import normalised_path
from transfercli.config.schema import DataConfig, ExperimentConfig
from transfercli.config.types import MULTILABEL
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.sources.tables import first_labels, is_table
from transfercli.errors import ConfigError


def reason_for_several(config: DataConfig) -> str:
    """Return why an image may have several labels, by the config or the first row of its table; "" if it has one."""
    if not isinstance(config.columns.label, str):
        return f"data.columns.label names {len(config.columns.label)} columns"
    if config.label_separator is not None:
        return f"data.label_separator is {config.label_separator!r}"
    if is_keras(config.train) or not is_table(path := normalised_path(config.train)):
        return ""
    listed = path.is_file() and first_labels(path, TableFormat.of(config)) is not None
    return f"{path.name} has a list of labels for each image" if listed else ""


def with_task(config: ExperimentConfig) -> tuple[ExperimentConfig, str]:
    """Return the config with its task, and the reason if the config does not name it, else "".

    Raises `ConfigError` if it names the task `classify` and its images may have several labels.
    """
    if config.task == MULTILABEL or not (reason := reason_for_several(config.data)):
        return config, ""
    if "task" in config.model_fields_set:
        raise ConfigError(
            f"task: classify is for one class per image, but {reason}",
            "set task to multilabel, or give one label per image",
        )
    return config.model_copy(update={"task": MULTILABEL}), reason
