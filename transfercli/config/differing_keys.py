"""Keys in which configs differ, their short names, and the names that these give to runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from transfercli.redaction import hide_paths_in
from transfercli.text import squeezed

Configs = Sequence[Mapping[str, Any]]
AFTER_TRAINING = ("evaluation", "export", "retrain", "tracking", "sweep")  # sections that no weight depends on
# Keys that say which images a run learns from and is judged by.
IMAGE_KEYS = (
    "data.train",
    "data.corrections",
    "data.validation",
    "data.test",
    "data.split",
    "data.folds",
    "data.fold",
    "data.group",
    "data.columns",
    "data.path_template",
    "data.label_separator",
    "data.empty_labels",
)
# Sections and keys that say where files are and what happens after the training: they name a run only if no other
# key differs.
SECONDARY = ("name", *AFTER_TRAINING, "compute", "data.expect")
MEMBERS = "model.members"  # further networks of a merged run, each with its whole config
MADE_OF = ("data.folds", "data.fold", MEMBERS)  # keys that a command sets; they name a run after those of its config
MOST_NAMED = 4  # keys in the name of a run
MOST_LETTERS = 60  # of a value in a name
DIGITS = 4  # significant ones of a float that is shown


def differing_keys(configs: Configs) -> dict[str, list[Any]]:
    """Return the values [one a config] of each key whose values differ, by dotted key, in the order of the config.

    A mapping in place of a single value, such as `{run: RUN}`, is one difference. A key that a config lacks is None.
    """
    return {".".join(path): [_without_nulls(value) for value in values] for path, values in _differing(configs, ())}


def _differing(values: Sequence[Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Sequence[Any]]]:
    if values and all(isinstance(value, Mapping) for value in values):
        for name in dict.fromkeys(name for value in values for name in value):
            yield from _differing([value.get(name) for value in values], (*path, str(name)))
    elif any(value != values[0] for value in values):
        yield path, values


def _without_nulls(value: Any) -> Any:
    return {key: entry for key, entry in value.items() if entry is not None} if isinstance(value, Mapping) else value


def value_at(config: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key; None if the config has none."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return _without_nulls(value)


def all_keys(configs: Configs) -> tuple[str, ...]:
    """Return the dotted keys of all configs: of values, and of sections."""

    def below(value: Any, path: tuple[str, ...]) -> Iterator[str]:
        for name, entry in value.items() if isinstance(value, Mapping) else ():
            yield ".".join((*path, str(name)))
            yield from below(entry, (*path, str(name)))

    return tuple(dict.fromkeys(key for config in configs for key in below(config, ())))


def short_names(keys: Iterable[str], among: Collection[str]) -> dict[str, str]:
    """Return the shortest end of each dotted key that is the end of no other key `among` all: `learning_rate`."""
    ends = Counter(end for key in {*among} for end in _ends(key))
    return {key: next((end for end in _ends(key) if ends[end] <= 1), key) for key in keys}


def keys_meant(text: str, among: Collection[str]) -> list[str]:
    """Return the keys that a text names: the key itself, or all that end with it."""
    return [text] if text in among else [key for key in among if text in _ends(key)]


def _ends(key: str) -> list[str]:
    """Return the ends of a dotted key, the shortest first."""
    parts = key.split(".")
    return [".".join(parts[start:]) for start in reversed(range(len(parts)))]


def is_secondary(key: str) -> bool:
    """Return True for a key that has no effect on the trained model, but for places and speed."""
    return is_below(key, SECONDARY)


def is_below(key: str, names: Iterable[str]) -> bool:
    """Return True if a dotted key is one of the names, or in a section of one."""
    return any(f"{key}.".startswith(f"{name}.") for name in names)


def naming_order(key: str) -> int:
    """Return a sort key: keys with an effect on the model first, then those that a command sets, then the others."""
    return 2 if is_secondary(key) else int(key in MADE_OF)


def names_by_difference(configs: Configs) -> list[str]:
    """Return a name for each config by the keys that differ, such as `learning_rate 0.003`; "" if none differs.

    Absolute paths are shortened.
    """
    differing = differing_keys(configs)
    primary = {key: values for key, values in differing.items() if not is_secondary(key)} or differing
    names = short_names(primary, all_keys(configs))
    shown = [
        (names[key], [squeezed(text, MOST_LETTERS) for text in value_texts(hide_paths_in(primary[key]), key)])
        for key in sorted(primary, key=naming_order)[:MOST_NAMED]
    ]
    rest = f" and {len(primary) - len(shown)} more" if len(primary) > len(shown) else ""
    return [", ".join(f"{name} {texts[number]}" for name, texts in shown) + rest for number in range(len(configs))]


def value_texts(values: Sequence[Any], key: str = "") -> list[str]:
    """Return values of one key as texts: numbers with `DIGITS`, or with all digits if these do not keep them apart.

    key: its whole name. Of the networks in a merged run only the number is said.
    """
    if key == MEMBERS:
        return [f"average of {len(value) + 1}" if value else "null" for value in values]
    short = [value_text(value, DIGITS) for value in values]
    full = [value_text(value) for value in values]
    return short if len(set(short)) == len(set(full)) else full


def value_text(value: Any, digits: int | None = None) -> str:
    """Return a value as it stands in a config: `null`, `true`, `{run: RUN}`. digits: significant ones of a float."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {value_text(entry, digits)}' for key, entry in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(value_text(entry, digits) for entry in value)}]"
    if isinstance(value, float) and digits is not None:
        return f"{value:.{digits}g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def public_text(value: Any) -> str:
    """Return a value as short text for a page that may be shared: without absolute paths, numbers with `DIGITS`."""
    return value_text(hide_paths_in(value), DIGITS)
