"""Reading of a config file and `--set` options: a checked config, or one error that lists all problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from transfercli.config import cross_checks, merging, registries
from transfercli.config.dump import dump
from transfercli.config.error_messages import explain, mark_of
from transfercli.config.locations import Document, KeyPath, Place, Problem, UnreadableError, dotted
from transfercli.config.paths import resolve_paths
from transfercli.config.schema import ExperimentConfig
from transfercli.config.search import check as search
from transfercli.config.types import MULTILABEL, REGRESSION, Task
from transfercli.errors import ConfigError

__all__ = ["LoadedConfig", "dump", "load", "problems", "resolve"]

STARTER_HINT = "`transfercli config init` writes a starter, docs/reference/config.md lists every key"
HINT = f"correct the keys named above; {STARTER_HINT}"
UNREADABLE_HINT = f"name a file that exists and is valid YAML; {STARTER_HINT}"
MAX_SHOWN = 50
DEFAULT_STRATEGY = {"finetune": "feature_extraction", "pretrain": "scratch"}


@dataclass(frozen=True)
class LoadedConfig:
    """A checked config with absolute paths.

    Attributes:
        path: the config file.
        folder: the folder that relative paths in the config were relative to.
        places: the position of every key path in the files.
    """

    config: ExperimentConfig
    path: Path
    folder: Path
    places: dict[KeyPath, Place] = field(default_factory=dict, repr=False, compare=False)

    @property
    def overruled(self) -> str:
        """Message about a key that has no effect, and the reason, or "".

        Read it before the config is resolved.
        """
        phases, training = self.config.transfer.phases, self.config.training
        epochs = sum(phase.epochs for phase in phases or ())
        if not phases or "epochs" not in training.model_fields_set or training.epochs == epochs:
            return ""
        return f"training.epochs: {training.epochs} is not used: transfer.phases have their own, {epochs} in all"

    def where(self, key: str) -> str:
        """Return `file:line` of the key `a.b.c`, or of the mapping around it if the file does not set it."""
        return str(mark_of(tuple(key.split(".")), self.places))

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Add `file:line` to a `ConfigError` that is raised in the block, when data or a model is built.

        The error's message must begin with a key, as in `transfer.phases[0].unfreeze: …`; otherwise it is unchanged.
        """
        try:
            yield
        except ConfigError as error:
            path = self._key_named_in(error.message)
            if path is None:
                raise
            raise ConfigError(f"{mark_of(path, self.places)}: {error.message}", error.hint) from error

    def _key_named_in(self, message: str) -> KeyPath | None:
        """Return the deepest key of the file that a message begins with, or None."""
        keys = [
            path
            for path in self.places
            if path and message.startswith(tuple(dotted(path) + end for end in (":", ".", "[")))
        ]
        return max(keys, key=len, default=None)


def load(path: Path, overrides: Sequence[str] = (), document: Document | None = None) -> LoadedConfig:
    """Read, merge and check a config.

    overrides: `a.b.c=VALUE`, applied in this order. document: content of the file, read before. Raises `ConfigError`
    that lists every problem, one a line, each as `file:line: key.path: what was wrong, received …; allowed: …`.
    """
    config, errors, places = _read(Path(path), overrides, document)
    if config is None:
        raise config_error(errors)
    folder = merging.folder_of(Path(path))
    return LoadedConfig(resolve_paths(config, folder), Path(path), folder, places)


def problems(path: Path, overrides: Sequence[str] = ()) -> list[Problem]:
    """Return all problems of a config, sorted by position; empty if it is valid."""
    return _read(Path(path), overrides)[1]


def config_error(errors: Sequence[Problem]) -> ConfigError:
    """Return one error that lists all problems, after a line with their number if there are several."""
    lines = [f"{len(errors)} problems"] * (len(errors) > 1) + [str(problem) for problem in errors[:MAX_SHOWN]]
    if len(errors) > MAX_SHOWN:
        lines.append(f"… and {len(errors) - MAX_SHOWN} more")
    return ConfigError("\n".join(lines), HINT if any(problem.path for problem in errors) else UNREADABLE_HINT)


def read_document(path: Path, overrides: Sequence[str] = (), document: Document | None = None) -> Document:
    """Return the merged values of a config, not checked; arguments as `load`. Raises `UnreadableError`."""
    document = deepcopy(document) or merging.read(path)
    for text in overrides:
        document = merging.override(document, text)
    return document


def read_once(path: Path) -> Document | None:
    """Return the content of a config for all trainings of one command; None if it is unreadable: `load` says why."""
    try:
        return merging.read(path)
    except UnreadableError:
        return None


def _read(
    path: Path, overrides: Sequence[str], document: Document | None = None
) -> tuple[ExperimentConfig | None, list[Problem], dict[KeyPath, Place]]:
    try:
        document = read_document(path, overrides, document)
    except UnreadableError as error:
        return None, [error.problem], {}
    errors = list(document.problems)
    config = None
    if document.whole:
        lines = {(problem.mark.source, problem.mark.line) for problem in errors}
        config, invalid = _validate(document.value, document.places)
        more = [*invalid, *cross_checks.check(document), *search.check(document)]
        # On a line that YAML refused, the checks would report a value that is not in the file.
        errors += [problem for problem in more if (problem.mark.source, problem.mark.line) not in lines]
    errors.sort(key=lambda problem: (problem.mark.source, problem.mark.line, problem.mark.column))
    return (None if errors else config), errors, document.places


def _validate(data: Any, places: dict[KeyPath, Place]) -> tuple[ExperimentConfig | None, list[Problem]]:
    try:
        return ExperimentConfig.model_validate(data), []
    except ValidationError as error:
        return None, explain(error, data, places)


def resolve(config: ExperimentConfig, command: Literal["finetune", "pretrain"]) -> ExperimentConfig:
    """Return the config with strategy, weights, image size and epochs filled in from the command and other keys.

    With `transfer.phases`, the strategy stays None and the epochs are the sum of the phases' epochs. With the
    architecture of an earlier run as base, or the base that a weight file was written for, `image_size` and the head's
    pooling stay None.
    """
    transfer, model, data, training = config.transfer, config.model, config.data, config.training
    if transfer.strategy is None and transfer.phases is None:
        transfer = transfer.model_copy(update={"strategy": DEFAULT_STRATEGY[command]})
    if transfer.strategy == "scratch" and "weights" not in model.model_fields_set:
        model = model.model_copy(update={"weights": "none"})
    if isinstance(model.base, str) and model.base != "auto":
        base = registries.rows("base")[model.base]
        if data.image_size is None:
            data = data.model_copy(update={"image_size": base.size})
        if model.head.pooling is None:
            model = model.model_copy(update={"head": model.head.model_copy(update={"pooling": base.pooling})})
    config = with_defaults_of_task(config)
    if config.task == MULTILABEL:
        model = model.model_copy(update={"head": model.head.model_copy(update={"output": "sigmoid"})})
    if transfer.phases:
        training = training.model_copy(update={"epochs": sum(phase.epochs for phase in transfer.phases)})
    return config.model_copy(update={"transfer": transfer, "model": model, "data": data, "training": training})


# Values of keys that are not set, for tasks whose headline metric is not accuracy.
_DEFAULTS: dict[Task, tuple[tuple[KeyPath, Any], ...]] = {
    MULTILABEL: (
        (("evaluation", "metrics"), ["map", "macro_f1"]),
        (("sweep", "metric"), "val_map"),
    ),
    REGRESSION: ((("evaluation", "metrics"), ["mae", "r2"]),),
}


def _defaults_of(task: Task) -> tuple[tuple[KeyPath, Any], ...]:
    """Return the rows of `_DEFAULTS`, and the headline metric of the task to promote by."""
    if task not in _DEFAULTS:
        return ()
    return (*_DEFAULTS[task], (("retrain", "promote", "metric"), registries.rows("task")[task].headline))


def with_defaults_of_task(config: ExperimentConfig) -> ExperimentConfig:
    """Return the config with the metrics that its task has by default."""
    for path, value in _defaults_of(config.task):
        sections: list[Any] = [config]
        for key in path[:-1]:
            sections.append(getattr(sections[-1], str(key)))
        if sections[-1] is None or path[-1] in sections[-1].model_fields_set:
            continue
        for section, key in zip(reversed(sections), reversed(path), strict=True):
            value = section.model_copy(update={str(key): value})
        config = value
    return config
