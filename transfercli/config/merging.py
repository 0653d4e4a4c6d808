"""Merging of a config file with the files that it extends and with `--set` options."""

from __future__ import annotations

import json
import os
import posixpath
from pathlib import Path
from typing import Any

from transfercli.config.locations import Document, KeyPath, Mark, Place, Problem, UnreadableError
from transfercli.config.paths import PATH_KEYS, is_address
from transfercli.config.search.sections import SEARCH_FORMS, SPACE, dot_keys
from transfercli.config.strict_yaml import MAX_BYTES, MAX_DEPTH, parse
from transfercli.io.addresses import without_secrets_in
from transfercli.text import clipped

FORMAT = 1  # of `config show --json`, whose output is a config again
MAX_CHAIN = 8  # files that extend one another
MAX_RECORD = 16 * 2**20  # bytes of run.json that are read
# A mapping with one of these keys replaces an inherited one as a whole: {path: F} over {run: R} is {path: F}.
EXCLUSIVE_KEYS: dict[KeyPath, tuple[str, ...]] = {("model", "weights"): ("run", "path"), ("model", "base"): ("run",)}
EXCLUSIVE_RANGES = ("choice", "log", "range")  # the same for the values of each key of a sweep's space


def read(path: Path, source: str = "", chain: tuple[str, ...] = ()) -> Document:
    """Return a file merged with the files that it extends. Raises `UnreadableError` if the file cannot be read."""
    source = source or str(path)
    document = parse(_bytes(path, source), source)
    _drop_format(document)
    dot_keys(document)
    parent = document.value.pop("extends", None)
    place = document.places.pop(("extends",), None)
    if place is None:
        return document
    if is_of_run(path):
        message = "is not allowed in the config of a run, which is complete"
        raise UnreadableError(Problem(place.key, message, ("extends",)))
    try:
        base = _parent(path, parent, place, (*chain, os.path.realpath(path)))
    except UnreadableError as error:
        document.problems.append(error.problem)
        document.whole = False
        return document
    _rebase(base, _between(path, path.parent / parent))
    return merge(base, document)


def _drop_format(document: Document) -> None:
    """Take a top-level `format: 1` out; any other value is a problem."""
    value = document.value.pop("format", FORMAT)
    place = document.places.pop(("format",), None)
    if place is None:
        return
    if type(value) is not int or value != FORMAT:
        _forget(document.places, ("format",))
        message = f"must be {FORMAT}, the format of these files, received {clipped(value)}"
        document.problems.append(Problem(place.key, message, ("format",)))


def is_of_run(path: Path) -> bool:
    """Return True if a config is the resolved config in a run folder."""
    return path.name == "config.yaml" and _is_file(path.with_name("run.json"))


def folder_of(path: Path) -> Path:
    """Return the base of a file's relative paths: its folder; for a run's `config.yaml`, the one in `run.json`."""
    if not is_of_run(path):
        return path.parent
    try:
        with path.with_name("run.json").open("rb") as file:
            facts = json.loads(file.read(MAX_RECORD))
    except (OSError, ValueError, RecursionError):
        facts = None
    recorded = facts.get("config_folder") if isinstance(facts, dict) else None
    return below(path.parent, recorded) if isinstance(recorded, str) else path.parent


def below(run: Path, kept: str) -> Path:
    """Return the folder for a recorded path that is relative to the run, or to the user's home (`~/…`)."""
    at_home = kept == "~" or kept.startswith("~/")
    return Path(os.path.normpath(run.resolve() / (Path(kept).expanduser() if at_home else kept)))


def _bytes(path: Path, source: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableError(Problem(Mark(source), f"does not exist{nearby(path)}")) from None
    except IsADirectoryError:
        raise UnreadableError(Problem(Mark(source), f"is a folder, not a file{nearby(path / 'config.yaml')}")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableError(Problem(Mark(source), f"cannot be read: {reason}")) from None


def nearby(path: Path) -> str:
    """Return text that lists the YAML files in the folder of a missing path."""
    try:
        files = sorted(str(p) for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml"))
    except OSError:
        return f"; nor does the folder {path.parent}"
    return f"; there are {', '.join(files[:8])}" if files else f"; there are no *.yaml files in {path.parent}"


def _parent(path: Path, parent: Any, place: Place, chain: tuple[str, ...]) -> Document:
    def refuse(message: str) -> UnreadableError:
        return UnreadableError(Problem(place.key, message, ("extends",)))

    if not isinstance(parent, str) or not parent.strip():
        raise refuse(f"must be the path of another config, received {parent!r}")
    other = path.parent / parent
    real = os.path.realpath(other)
    if real in chain:
        names = [os.path.relpath(name, path.parent) for name in (*chain[chain.index(real) :], real)]
        raise refuse(f"forms a cycle: {' -> '.join(names)}")
    if len(chain) >= MAX_CHAIN:
        raise refuse(f"is a chain of more than {MAX_CHAIN} files")
    if not _is_file(other):
        raise refuse(f"{other} does not exist or is not a file{nearby(other)}")
    return read(other, os.path.normpath(other), chain)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or the folder may not be entered
        return False


def _between(child: Path, parent: Path) -> str:
    """Return the base folder of the parent's paths, relative to the child's."""
    folders = (os.path.realpath(folder_of(parent)), os.path.realpath(folder_of(child)))
    return Path(os.path.relpath(*folders)).as_posix()


def _rebase(document: Document, folder: str) -> None:
    """Rewrite the relative paths of an inherited file so that they are relative to the file that inherits."""
    for *above, key in PATH_KEYS:
        mapping = document.value
        for part in above:
            mapping = mapping.get(part) if isinstance(mapping, dict) else None
        value = mapping.get(key) if isinstance(mapping, dict) else None
        if isinstance(mapping, dict) and isinstance(value, list):
            mapping[key] = [_rebased(text, folder) for text in value]
        elif isinstance(mapping, dict) and value is not None:
            mapping[key] = _rebased(value, folder)
    _rebase_space(_value(document.value, SPACE), folder)


def _rebase_space(space: Any, folder: str) -> None:
    """Rewrite the relative paths among the choices of a sweep's space."""
    for key, entry in space.items() if isinstance(space, dict) else ():
        choices = entry.get("choice") if isinstance(entry, dict) else None
        if not isinstance(choices, list):
            continue
        if tuple(key.split(".")) in PATH_KEYS:
            entry["choice"] = [_rebased(choice, folder) for choice in choices]
        for choice in choices if key == "model.weights" else ():
            if isinstance(choice, dict) and "path" in choice:
                choice["path"] = _rebased(choice["path"], folder)


def _rebased(value: Any, folder: str) -> Any:
    """Return a relative path for a file in another folder; any other value is unchanged."""
    if not isinstance(value, str) or not value or folder == ".":
        return value
    if value.startswith(("keras:", "/", "~")) or is_address(value):
        return value
    return posixpath.normpath(posixpath.join(folder, value))


def merge(base: Document, child: Document) -> Document:
    """Return two documents merged: mappings deeply, lists and single values replaced by the child's."""
    merged = Document(base.value, base.places, [*base.problems, *child.problems], base.whole and child.whole)
    merged.places[()] = child.places[()]
    _merge_into(merged, child, (), base.value, child.value)
    return merged


def _merge_into(merged: Document, child: Document, path: KeyPath, into: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        here = (*path, key)
        old = into.get(key)
        exclusive = EXCLUSIVE_RANGES if path == SPACE else EXCLUSIVE_KEYS.get(here, ())
        replaces = isinstance(value, dict) and any(name in value for name in exclusive)
        if isinstance(old, dict) and isinstance(value, dict) and not replaces:
            merged.places[here] = child.places[here]
            _merge_into(merged, child, here, old, value)
        else:
            if isinstance(old, (dict, list)):
                _forget(merged.places, here)
            if isinstance(value, (dict, list)):
                merged.places.update({p: place for p, place in child.places.items() if p[: len(here)] == here})
            merged.places[here] = child.places[here]
            into[key] = value


def _forget(places: dict[KeyPath, Place], path: KeyPath) -> None:
    for below in [p for p in places if p[: len(path)] == path]:
        del places[below]


def override(document: Document, text: str) -> Document:
    """Return the document with a `--set` option `a.b.c=VALUE` applied: VALUE replaces the key's value.

    VALUE is parsed by the same YAML rules, but for a leading `#`: there it begins a colour, not a comment. Errors are
    added to the document's `problems`.
    """
    shown = without_secrets_in(text)
    source = f"--set {shown if len(shown) <= 100 else shown[:99] + '…'}"
    name, equals, value = text.partition("=")
    path = _key_path(name.strip())
    if not equals or not all(path):
        document.problems.append(Problem(Mark(source), "must look like a.b.c=VALUE"))
        return document
    if path[0] == "extends":
        document.problems.append(Problem(Mark(source), "extends is only allowed in a file"))
        return document
    if len(path) > MAX_DEPTH:
        document.problems.append(Problem(Mark(source), f"is nested deeper than {MAX_DEPTH} levels"))
        return document
    blocked = next((path[:i] for i in range(1, len(path)) if isinstance(_value(document.value, path[:i]), list)), None)
    if blocked:
        document.problems.append(Problem(Mark(source), "is a list: set the whole list", blocked))
        return document
    try:
        given = parse(json.dumps(value) if value.lstrip().startswith("#") else value, source, mapping=False)
    except UnreadableError as error:
        document.problems.append(Problem(Mark(source), error.problem.message, path))
        return document
    mark = Mark(source)
    here = Place(mark, mark)
    places: dict[KeyPath, Place] = {(): document.places[()]}
    for above in (path[:i] for i in range(1, len(path))):
        is_there = isinstance(_value(document.value, above), dict)
        places[above] = document.places[above] if is_there else here
    places |= {path: here} | {(*path, *below): here for below in given.places}
    nested = given.value
    for part in reversed(path):
        nested = {part: nested}
    problems = [Problem(mark, problem.message, (*path, *problem.path)) for problem in given.problems]
    _remove(document, path)  # the key is replaced, not merged with its earlier value
    changes = Document(nested, places, problems)
    dot_keys(changes)
    return merge(document, changes)


def _key_path(name: str) -> KeyPath:
    """Return the path of a key; in the space of a sweep the keys have dots themselves."""
    parts = name.split(".")
    if tuple(parts[:2]) != SPACE or len(parts) < 4:
        return tuple(parts)
    *key, last = parts[2:]
    return (*SPACE, ".".join(key), last) if last in SEARCH_FORMS else (*SPACE, ".".join((*key, last)))


def _remove(document: Document, path: KeyPath) -> None:
    *above, key = path
    mapping = _value(document.value, tuple(above))
    if isinstance(mapping, dict) and key in mapping:
        del mapping[key]
        _forget(document.places, path)


def _value(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data
