"""`config validate`, `show` and `schema`: a config checked, resolved and described, without any training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transfercli.config.editor import is_schema
from transfercli.config.json_schema import json_schema
from transfercli.config.loader import config_error, dump, load, problems, resolve
from transfercli.config.schema import ExperimentConfig
from transfercli.data.sources.listing import splits_inside
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.workflows.config.init import check_new, write
from transfercli.workflows.result import ExternalFormat


@dataclass(frozen=True)
class ValidConfigs:
    """Config files that have no error."""

    paths: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        return {"configs": [{"path": str(path), "ok": True} for path in self.paths]}


@dataclass(frozen=True)
class ResolvedConfig:
    """A config with all defaults, and with what follows from the command."""

    config: ExperimentConfig

    def as_yaml(self) -> str:
        return dump(self.config)

    def as_json(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")


@dataclass(frozen=True)
class ConfigSchema(ExternalFormat):
    """The JSON Schema of a config, draft 2020-12, in which the value of a keyword `format` must be text."""

    content: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return self.content


@dataclass(frozen=True)
class SchemaFile:
    """A file with the JSON Schema of a config."""

    path: Path

    def as_json(self) -> dict[str, Any]:
        return {"path": str(self.path)}


def validate_configs(paths: Sequence[Path], reporter: Reporter) -> ValidConfigs:
    """Check config files. Raises `ConfigError` with every error of every file, and reports the files without one."""
    errors = {path: problems(path) for path in paths}
    if any(errors.values()):
        for path in (path for path, wrong in errors.items() if not wrong):
            reporter.info(f"{path}: ok")
        raise config_error([problem for wrong in errors.values() for problem in wrong])
    return ValidConfigs(tuple(paths))


def show_config(
    path: Path, overrides: Sequence[str], command: Literal["finetune", "pretrain"], reporter: Reporter
) -> ResolvedConfig:
    """Resolve a config for `command`; report fractions of splits that the data set makes idle."""
    resolved = resolve(load(path, overrides).config, command)
    with suppress(DataError, OSError):  # the data need not be here to show a config
        for split in splits_inside(resolved.data):
            reporter.info(f"data.{split}: the fraction is not used, {resolved.data.train} has {split} images itself")
    return ResolvedConfig(resolved)


def config_schema() -> ConfigSchema:
    """Return the JSON Schema for editors."""
    return ConfigSchema(json_schema())


def write_schema(output: Path) -> SchemaFile:
    """Write the JSON Schema to a new file, or over an earlier schema of this program.

    Raises `UsageError` if another file is there.
    """
    if not is_schema(output):
        check_new(output)
    write(output, json.dumps(json_schema(), indent=2) + "\n")
    return SchemaFile(output)
