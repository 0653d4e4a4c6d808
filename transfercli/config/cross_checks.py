"""Rules across several keys; they read unvalidated values, so that all errors are reported at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from string import Formatter
from typing import Any

from transfercli.config import registries
from transfercli.config.error_messages import format_value, mark_of, value_at
from transfercli.config.locations import Document, KeyPath, Problem, dotted
from transfercli.config.paths import ARCHIVE_SUFFIXES, PATH_KEYS, TABLE_SUFFIXES, is_address
from transfercli.config.schema import DataConfig, ExperimentConfig, LoraConfig
from transfercli.config.types import CLASSIFY, LABEL_MONITORS, MULTILABEL, ORDINAL, bound_of, is_gate
from transfercli.errors import ConfigError
from transfercli.io.addresses import SCHEMES, is_remote, problem_of, scheme_of, without_secrets
from transfercli.text import did_you_mean

KeyProblems = Iterator[tuple[KeyPath, str]]

# Keys that only some tasks use.
KEYS_OF_TASKS: dict[KeyPath, tuple[str, ...]] = {
    ("data", "order"): (ORDINAL,),
    ("data", "empty_labels"): (MULTILABEL,),
    ("evaluation", "thresholds"): (MULTILABEL,),
    ("evaluation", "threshold"): (CLASSIFY,),
}
FOLD_KEYS = {"folds": "the number of folds", "fold": "the fold that validates, from 1"}
# Keys whose images may be remote; other paths are of this machine.
REMOTE_KEYS = frozenset(key for key in PATH_KEYS if key[0] == "data")
WEB_SUFFIXES = (*TABLE_SUFFIXES, *ARCHIVE_SUFFIXES)  # behind HTTP, which cannot list folders
# Strategies without a linear head that is solved for, at the end or as their start, have no use for such images.
WITHOUT_SOLVED_HEAD = ("feature_extraction", "scratch")
AUXILIARY = ("unlabelled", "related")
LINEAR_HEADS = ("linear_probe", "multilayer_probe", "auto")
PER_CLASS = re.compile(r"(\w+)\[(.+)\]", re.DOTALL)
# Keys whose values are names of metrics: of predictions, and of the line of an epoch.
METRIC_KEYS: tuple[KeyPath, ...] = (("evaluation", "metrics"), ("retrain", "promote", "metric"))
MONITOR_KEYS: tuple[KeyPath, ...] = (("training", "early_stopping", "monitor"), ("sweep", "metric"))


def check(document: Document) -> list[Problem]:
    """Return the problems that the rules find in a config."""
    data = _with_row_names(document.value)
    return [Problem(mark_of(path, document.places), message, path) for rule in RULES for path, message in rule(data)]


def _with_row_names(data: Any) -> Any:
    """Return a copy in which `model.base` and `transfer.strategy`, which the rules look up, have their table's name."""
    for section, key, table in (("model", "base", "base"), ("transfer", "strategy", "strategy")):
        value = value_at((section, key), data)
        name = registries.row_name(table, value) if isinstance(value, str) else None
        if name:
            data = {**data, section: {**data[section], key: name}}
    return data


def _local_files(data: Any) -> KeyProblems:
    values: list[tuple[KeyPath, Any]] = [(path, value_at(path, data)) for path in PATH_KEYS]
    for path, texts in [*values]:
        values += [((*path, row), text) for row, text in enumerate(texts)] if isinstance(texts, list) else []
    for path, value in values:
        if not isinstance(value, str) or not is_address(value):
            continue
        if path[:2] in REMOTE_KEYS and is_remote(value):
            if problem := problem_of(value) or _web_problem(value):
                yield path, problem
            continue
        scheme, _, rest = value.partition("://")
        mend = f"give the path alone: /{rest.lstrip('/')}"
        if scheme.lower() != "file":
            mend = "copy the files here, or mount them, and give that folder"
        allowed = "is an address; only files of this machine are read here"
        if path[:2] in REMOTE_KEYS:
            allowed = f"is an address of another kind; remote images are read from {', '.join(SCHEMES[:-1])}"
        yield path, f"{format_value(without_secrets(value))} {allowed}; {mend}"


def _web_problem(address: str) -> str:
    """Return why a web address cannot be read as a data set, or ""."""
    if scheme_of(address) not in ("http", "https") or address.lower().endswith(WEB_SUFFIXES):
        return ""
    if address.partition("?")[0].lower().endswith(WEB_SUFFIXES):
        return f"{format_value(address)} has a query, which tables and archives may not have; give the address without"
    return (
        f"{format_value(address)} is not the address of a table or an archive; folders behind https cannot be listed:"
        f" give one that ends in {', '.join(WEB_SUFFIXES)}"
    )


def _phases_alone(data: Any) -> KeyProblems:
    if value_at(("transfer", "phases"), data) is None:
        return
    for key in ("strategy", "unfreeze"):
        if value_at(("transfer", key), data) is not None:
            yield ("transfer", key), "cannot be combined with phases, which replace it; remove one of the two"


def _folds(data: Any) -> KeyProblems:
    folds, fold = (value_at(("data", key), data) for key in ("folds", "fold"))
    if (folds is None) != (fold is None):
        key, other = ("folds", "fold") if fold is None else ("fold", "folds")
        every = "; or train every fold: finetune --folds K" if key == "folds" else ""
        yield ("data", key), f"needs data.{other}: {FOLD_KEYS[other]}{every}"
    elif type(folds) is int and type(fold) is int and fold > folds >= 2:
        yield ("data", "fold"), f"is out of range, received {format_value(fold)}; allowed: 1 to {folds} (data.folds)"
    validation = value_at(("data", "validation"), data)
    default = DataConfig.model_fields["validation"].default  # a run's config.yaml holds defaults, too
    if folds is not None and validation not in (None, default):
        yield ("data", "validation"), "cannot be combined with folds, of which one validates; remove one of the two"


def _one_group(data: Any) -> KeyProblems:
    if value_at(("data", "group"), data) is not None and value_at(("data", "columns", "group"), data) is not None:
        yield ("data", "columns", "group"), "cannot be combined with data.group, which can name the column as well"


def _path_template(data: Any) -> KeyProblems:
    template = value_at(("data", "path_template"), data)
    if not isinstance(template, str):
        return
    try:
        names = [name for _, name, spec, conversion in Formatter().parse(template) if name is not None]
    except ValueError as error:
        yield ("data", "path_template"), f"is no template, received {format_value(template)} ({error})"
        return
    if not names or "" in names:
        yield (
            ("data", "path_template"),
            f"needs a column in braces, received {format_value(template)}; allowed: text such as images/{{id}}.jpg",
        )


def _linear_head(data: Any) -> KeyProblems:
    strategy = value_at(("transfer", "strategy"), data)
    hidden = value_at(("model", "head", "hidden"), data)
    if strategy in LINEAR_HEADS and isinstance(hidden, list) and hidden:
        message = (
            f"the strategy {strategy} needs a head without hidden layers, received {format_value(hidden)}; allowed: []"
        )
        yield ("model", "head", "hidden"), message


def _head_from_run(data: Any) -> KeyProblems:
    init = value_at(("model", "head", "init"), data)
    weights = value_at(("model", "weights"), data)
    keys = weights.keys() if isinstance(weights, dict) else set()
    if init == "extend" and keys & {"path", "hub"}:
        message = (
            f"{format_value(init)} needs the head of an earlier run, which records the names of its classes; allowed"
            " with the head of a file: keep, for the same classes, or new"
        )
        yield ("model", "head", "init"), message
    elif init in ("keep", "extend") and not keys & {"run", "path", "hub"}:
        file = ", or to {path: FILE} or {hub: REPOSITORY} for the head of a file" if init == "keep" else ""
        yield (
            ("model", "head", "init"),
            f"{format_value(init)} needs the head of an earlier run: set model.weights to {{run: RUN}}{file}",
        )


def _auto_base(data: Any) -> KeyProblems:
    if value_at(("model", "base"), data) == "auto" and not isinstance(value_at(("model", "weights"), data), dict):
        message = (
            "'auto' takes the base that model.weights was trained with; allowed with model.weights of {path: FILE},"
            " {hub: REPOSITORY} or {run: RUN}"
        )
        yield ("model", "base"), message


def missing_weights_reason(base: Any) -> str | None:
    """Return why a base cannot have `weights: imagenet`; None if it can, or if it is not a known base."""
    row = registries.rows("base").get(base) if isinstance(base, str) else None
    if row is None or row.has_imagenet:
        return None
    return (
        f"there are no published weights for {base}; allowed: none (with transfer.strategy: scratch), {{run: RUN}} or"
        " {path: FILE}"
    )


def _published_weights(data: Any) -> KeyProblems:
    """Yield configs that fail with any command; only `pretrain` trains from scratch if no strategy is given."""
    weights, strategy = value_at(("model", "weights"), data), value_at(("transfer", "strategy"), data)
    from_weights = [name for name in registries.names("strategy") if name != "scratch"]
    needs_weights = strategy in from_weights or value_at(("transfer", "phases"), data) is not None
    reason = missing_weights_reason(value_at(("model", "base"), data))
    if reason and (weights == "imagenet" or (weights is None and needs_weights)):
        yield ("model", "weights"), reason


def _unfreeze_partial(data: Any) -> KeyProblems:
    if value_at(("transfer", "unfreeze"), data) is None or value_at(("transfer", "phases"), data) is not None:
        return
    strategy = value_at(("transfer", "strategy"), data)
    if strategy not in ("partial", "lora"):
        received = format_value(strategy) if strategy else "no strategy"
        yield (
            ("transfer", "unfreeze"),
            f"belongs to the strategies partial and lora, received {received}; set transfer.strategy: partial",
        )


def _lora_alone(data: Any) -> KeyProblems:
    section, strategy = value_at(("transfer", "lora"), data), value_at(("transfer", "strategy"), data)
    defaults = LoraConfig().model_dump()  # a run's config.yaml holds defaults, too
    if not isinstance(section, dict) or strategy == "lora" or all(defaults.get(k) == v for k, v in section.items()):
        return
    received = format_value(strategy) if strategy else "no strategy"
    yield ("transfer", "lora"), f"belongs to the strategy lora, received {received}; set transfer.strategy: lora"


def _auxiliary_images(data: Any) -> KeyProblems:
    """Yield the keys on images beside the training images that nothing would use."""
    given = [key for key in AUXILIARY if value_at(("data", key), data)]
    if (task := task_of(data)) not in (CLASSIFY, None):
        for key in given:
            yield ("data", key), f"is used with task: {CLASSIFY} alone, and this task is {task}; allowed: null"
        return
    strategy = value_at(("transfer", "strategy"), data)
    solving = [name for name in registries.names("strategy") if name not in WITHOUT_SOLVED_HEAD]
    phases = value_at(("transfer", "phases"), data) is not None
    if phases or strategy is None or strategy in WITHOUT_SOLVED_HEAD:
        received = "explicit phases" if phases else format_value(strategy) if strategy else "no strategy"
        for key in given:
            message = f"needs a strategy that solves for the head, received {received}; allowed transfer.strategy:"
            yield ("data", key), f"{message} {', '.join(solving)}"
    align = value_at(("transfer", "align"), data)
    if not given and align not in (None, "none", "auto"):
        message = f"{format_value(align)} needs images to align: set data.unlabelled or data.related"
        yield ("transfer", "align"), f"{message}; allowed without them: auto or none"


def _gates(data: Any) -> KeyProblems:
    gates = value_at(("evaluation", "gates"), data)
    if not isinstance(gates, dict) or not gates:
        return
    task = task_of(data)
    tables = [table for name, table in registries.rows("task").items() if task in (name, None)]
    for name, gate in gates.items():
        metric, label = match.groups() if (match := PER_CLASS.fullmatch(str(name))) else (name, None)
        rows = [row for table in tables if (row := table.row(metric, label))]
        if not rows:
            names = list(dict.fromkeys(known for table in tables for known in table.metrics))
            of_class = list(dict.fromkeys(f"{known}[LABEL]" for table in tables for known in table.per_class))
            guess = did_you_mean(str(name), names, written=str)
            reason = _other_task(metric, label, task) or "is not a known metric"
            allowed = ", ".join([*names, *of_class])
            yield ("evaluation", "gates", name), f"{reason}; allowed: {allowed}{guess and f'; {guess}'}"
        elif is_gate(gate) and not any(bound_of(gate) in row.bounds for row in rows):
            yield (
                ("evaluation", "gates", name),
                f"is out of range, received {format_value(gate)}; allowed: a bound {rows[0].bounds}",
            )


def _monitor(data: Any) -> KeyProblems:
    when, monitor = (value_at(("retrain", key), data) for key in ("when", "monitor"))
    if when == "expected" and monitor is None:
        yield ("retrain", "when"), "expected needs retrain.monitor: {recent: DIR, min_expected: {accuracy: 0.85}}"
    if when != "expected" and monitor is not None:
        yield ("retrain", "monitor"), "starts a training only with retrain.when: expected; set it, or remove this"


def task_of(data: Any) -> str | None:
    """Return the task of a config, or None as long as its table, which decides it, is not read."""
    task = value_at(("task",), data)
    if task is not None:
        return task if task in registries.names("task") else None
    separator, column = (value_at(("data", *path), data) for path in (("label_separator",), ("columns", "label")))
    if separator is not None or isinstance(column, list):
        return MULTILABEL
    train = value_at(("data", "train"), data)
    return None if isinstance(train, str) and train.lower().endswith(TABLE_SUFFIXES) else CLASSIFY


def _label_separator(data: Any) -> KeyProblems:
    if value_at(("data", "label_separator"), data) is not None and isinstance(
        value_at(("data", "columns", "label"), data), list
    ):
        message = "has nothing to separate: data.columns.label lists columns that hold one label each; allowed: null"
        yield ("data", "label_separator"), message


def _keys_of_task(data: Any) -> KeyProblems:
    """Yield the keys that are of another task than the config's, and would do nothing."""
    task = task_of(data)
    for path, tasks in KEYS_OF_TASKS.items():
        if task is not None and task not in tasks and value_at(path, data) is not None:
            yield path, f"is for task: {' and '.join(tasks)}, and this task is {task}; allowed: null"


def _metrics_of_task(data: Any) -> KeyProblems:
    """Yield the names of metrics that are of another task than the config's."""
    task = task_of(data)
    if task is None:
        return
    allowed = registries.rows("task")[task].metrics
    for path in METRIC_KEYS:
        value = value_at(path, data)
        for row, name in enumerate(value if isinstance(value, list) else [value]):
            meant = registries.row_name("metric", name) if isinstance(name, str) else None
            if meant and meant not in allowed:
                place = (*path, row) if isinstance(value, list) else path
                yield place, f"{_other_task(meant, None, task)}; allowed: {', '.join(allowed)}"
    for path in MONITOR_KEYS:
        value = value_at(path, data)
        if task != MULTILABEL and isinstance(value, str) and f"val_{value.removeprefix('val_')}" in LABEL_MONITORS:
            others = "val_loss, val_accuracy, val_macro_f1, val_balanced_accuracy"
            yield path, f"{format_value(value)} is for task: {MULTILABEL}, and this task is {task}; allowed: {others}"


def _other_task(metric: str, label: str | None, task: str | None) -> str:
    """Return a sentence about a metric of another task, or "" if it is a metric of none."""
    of = [name for name, table in registries.rows("task").items() if table.row(metric, label)]
    return f"{format_value(metric)} is for task: {' and '.join(of)}, and this task is {task}" if of else ""


def check_task(config: ExperimentConfig) -> None:
    """Raise `ConfigError` for the first key, metric or gate that is not of a config's task, which is known now."""
    data = config.model_dump()
    for path, message in (*_keys_of_task(data), *_metrics_of_task(data), *_gates(data)):
        raise ConfigError(f"{dotted(path)}: {message}")


def _large_enough(data: Any) -> KeyProblems:
    name = value_at(("model", "base"), data)
    size = value_at(("data", "image_size"), data)
    base = registries.rows("base").get(name) if isinstance(name, str) else None
    values = size if isinstance(size, list) else [size]
    lengths = [value for value in values if type(value) is int and value >= 8]
    if base and lengths and min(lengths) < base.minimum:
        allowed = f"at least {base.minimum} pixels in height and width"
        message = f"is too small for {name}, received {format_value(size)}; allowed: {allowed}"
        yield ("data", "image_size"), message


def _class_token(data: Any) -> KeyProblems:
    pooling, name = value_at(("model", "head", "pooling"), data), value_at(("model", "base"), data)
    base = registries.rows("base").get(name) if isinstance(name, str) else None
    if base and pooling in ("token", "token_avg") and not base.prefix_tokens:
        message = f"{pooling} needs a vision transformer with a class token, and {name} has none; allowed:"
        yield ("model", "head", "pooling"), f"{message} avg, max, flatten or null"


def _drop_path(data: Any) -> KeyProblems:
    rate, name = value_at(("model", "drop_path"), data), value_at(("model", "base"), data)
    base = registries.rows("base").get(name) if isinstance(name, str) else None
    if base and not base.has_drop_path and type(rate) in (int, float) and rate > 0:
        yield ("model", "drop_path"), f"needs a vision transformer, and {name} has no drop-path; allowed: 0"


def _versions(data: Any) -> KeyProblems:
    folder, formats = value_at(("retrain", "versions"), data), value_at(("export", "formats"), data)
    if folder is None and value_at(("retrain", "keep_versions"), data) is not None:
        yield ("retrain", "keep_versions"), "needs retrain.versions, the folder of the versions"
    if folder is not None and isinstance(formats, list) and "saved_model" not in formats:
        message = f"needs saved_model in export.formats, received {', '.join(map(str, formats))}"
        yield ("retrain", "versions"), message


RULES: tuple[Callable[[Any], KeyProblems], ...] = (
    _local_files,
    _phases_alone,
    _folds,
    _one_group,
    _path_template,
    _linear_head,
    _head_from_run,
    _auto_base,
    _published_weights,
    _unfreeze_partial,
    _lora_alone,
    _auxiliary_images,
    _label_separator,
    _gates,
    _monitor,
    _keys_of_task,
    _metrics_of_task,
    _large_enough,
    _class_token,
    _drop_path,
    _versions,
)
