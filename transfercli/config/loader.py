"""From a path (and `--set`) to a checked config, or to one error that lists everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from transfercli.config import cross_checks, merging, registries
from transfercli.config.dump import dump
from transfercli.config.error_messages import explain, mark_of
from transfercli.config.locations import KeyPath, Place, Problem, UnreadableError, dotted
from transfercli.config.paths import resolve_paths
from transfercli.config.schema import ExperimentConfig
from transfercli.errors import ConfigError

__all__ = ["LoadedConfig", "dump", "load", "problems", "resolve"]

HINT = (
    "put right what is named above; `transfercli config init` writes a starter,"
    " docs/reference/config.md lists every key"
)
SHOWN = 50
DEFAULT_STRATEGY = {"finetune": "feature_extraction", "pretrain": "scratch"}


@dataclass(frozen=True)
class LoadedConfig:
    """A checked config whose paths are resolved, the file it came from, and the folder its paths are relative to."""

    config: ExperimentConfig
    path: Path
    folder: Path
    places: dict[KeyPath, Place] = field(default_factory=dict, repr=False, compare=False)

    @property
    def overruled(self) -> str:
        """Which key another one makes idle, and why, or "". To be asked before the config is resolved."""
        phases, training = self.config.transfer.phases, self.config.training
        epochs = sum(phase.epochs for phase in phases or ())
        if not phases or "epochs" not in training.model_fields_set or training.epochs == epochs:
            return ""
        return f"training.epochs: {training.epochs} is not used: transfer.phases have their own, {epochs} in all"

    def where(self, key: str) -> str:
        """`file:line` of `a.b.c`, or of the mapping around it where the file leaves it out."""
        return str(mark_of(tuple(key.split(".")), self.places))

    @contextmanager
    def placing(self) -> Iterator[None]:
        """A `ConfigError` that only data or a model could bring out says where its key stands, as all others do.

        Its message begins with the key, as in `transfer.phases[0].unfreeze: …`; one that names no key stays as it is.
        """
        try:
            yield
        except ConfigError as error:
            path = self._spoken_of(error.message)
            if path is None:
                raise
            raise ConfigError(f"{mark_of(path, self.places)}: {error.message}", error.hint) from error

    def _spoken_of(self, message: str) -> KeyPath | None:
        """The deepest key in the file that a message's first word names, or that holds what it names."""
        found = [
            path
            for path in self.places
            if path and message.startswith(tuple(dotted(path) + end for end in (":", ".", "[")))
        ]
        return max(found, key=len, default=None)


def load(path: Path, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read, merge and check a config.

    overrides: `a.b.c=VALUE`, applied in this order. Raises `ConfigError` with every problem found, one a line, each
    as `file:line: key.path: what was wrong, received …; allowed: …`.
    """
    config, found, places = _read(Path(path), overrides)
    if config is None:
        raise config_error(found)
    folder = merging.folder_of(Path(path))
    return LoadedConfig(resolve_paths(config, folder), Path(path), folder, places)


def problems(path: Path, overrides: Sequence[str] = ()) -> list[Problem]:
    """Everything that is wrong with a config, sorted by place; empty where it is valid."""
    return _read(Path(path), overrides)[1]


def config_error(found: Sequence[Problem]) -> ConfigError:
    """One error for all that was found; with several, a line that counts them stands above."""
    lines = [f"{len(found)} problems"] * (len(found) > 1) + [str(problem) for problem in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"… and {len(found) - SHOWN} more")
    return ConfigError("\n".join(lines), HINT)


def _read(path: Path, overrides: Sequence[str]) -> tuple[ExperimentConfig | None, list[Problem], dict[KeyPath, Place]]:
    try:
        document = merging.read(path)
    except UnreadableError as error:
        return None, [error.problem], {}
    for text in overrides:
        document = merging.override(document, text)
    found = list(document.problems)
    config = None
    if document.whole:
        lines = {(problem.mark.source, problem.mark.line) for problem in found}
        config, wrong = _validate(document.value, document.places)
        more = [*wrong, *cross_checks.check(document)]
        # What YAML already refused would only be refused again here, in words about a value that nobody wrote.
        found += [problem for problem in more if (problem.mark.source, problem.mark.line) not in lines]
    found.sort(key=lambda problem: (problem.mark.source, problem.mark.line, problem.mark.column))
    return (None if found else config), found, document.places


def _validate(data: Any, places: dict[KeyPath, Place]) -> tuple[ExperimentConfig | None, list[Problem]]:
    try:
        return ExperimentConfig.model_validate(data), []
    except ValidationError as error:
        return None, explain(error, data, places)


def resolve(config: ExperimentConfig, command: Literal["finetune", "pretrain"]) -> ExperimentConfig:
    """Fill in what follows from the command and other keys: the strategy, the weights, the image size and the epochs.

    With phases there is no strategy, and the epochs are theirs. The architecture of an earlier run has no size of its
    own, so `image_size` stays None there.
    """
    transfer, model, data, training = config.transfer, config.model, config.data, config.training
    if transfer.strategy is None and transfer.phases is None:
        transfer = transfer.model_copy(update={"strategy": DEFAULT_STRATEGY[command]})
    if transfer.strategy == "scratch" and "weights" not in model.model_fields_set:
        model = model.model_copy(update={"weights": "none"})
    if data.image_size is None and isinstance(model.base, str):
        data = data.model_copy(update={"image_size": registries.rows("base")[model.base].size})
    if transfer.phases:
        training = training.model_copy(update={"epochs": sum(phase.epochs for phase in transfer.phases)})
    return config.model_copy(update={"transfer": transfer, "model": model, "data": data, "training": training})
