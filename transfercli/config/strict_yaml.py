"""Strict YAML parser: the core scalars of YAML 1.2, and the position of every key and value.

Refused, because people and programs may read it differently: aliases, anchors, merge keys, tags, duplicate keys,
several documents, NaN. Dates stay text, and keys are always text. Reading continues after an error, so that one pass
reports all errors.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import yaml

from transfercli.config.locations import Document, KeyPath, Mark, Place, Problem, UnreadableError

MAX_BYTES = 64 * 1024  # of a config file
MAX_DEPTH = 10  # levels of mappings and lists
MAX_INTEGER = 2**63

NULL = re.compile(r"~|null|Null|NULL|")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
LIKE_INTEGER = re.compile(r"[-+]?[0-9]+")

# Part of a PyYAML message, and the advice shown instead of it.
ADVICE = (
    ("found character '\\t'", "a tab character cannot indent or start a value: use spaces"),
    ("expected chomping or indentation", "text that starts with '>' or '|' must be in quotes"),
    (
        "mapping values are not allowed here",
        "a ': ' does not fit here: check the indentation, and put text with ': ' in quotes",
    ),
    ("could not find expected ':'", "a key without ': ' after it, or a quote that is not closed"),
    ("that cannot start any token", "text that starts with this character must be in quotes"),
    ("found unexpected end of stream", "the text ends inside quotes or brackets that are not closed"),
    ("found unexpected document separator", "the text ends inside quotes or brackets that are not closed"),
    ("expected a single document", "a second document starts here: one file is one experiment"),
    ("expected <block end>", "this does not line up with the lines above it: check the indentation"),
    ("expected ',' or", "a list or mapping in brackets lacks a comma or its closing bracket"),
)


class StrictLoader(yaml.SafeLoader):
    """PyYAML's loader without aliases, anchors, tags and implicit types; `scalar` converts the values."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 (as in the base class)

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self.source = source
        self.depth = 0
        self.problems: list[Problem] = []

    def mark(self, mark: Any) -> Mark:
        """Return a PyYAML mark, which counts from 0, as a position in the source."""
        return Mark(self.source, mark.line + 1, mark.column + 1)

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        position = self.mark(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            self.get_event()
            self.problems.append(Problem(position, f"the alias *{event.anchor} is not allowed; write the value out"))
            alias: Any = event
            return yaml.ScalarNode("alias", "", alias.start_mark, alias.end_mark, style="'")
        if event.anchor is not None:
            self.problems.append(
                Problem(position, f"the anchor &{event.anchor} is not allowed; write values out where they are used")
            )
            event.anchor = None
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.append(Problem(position, f"the tag {shown} is not allowed; quotes make a value text"))
            event.tag = None
            if isinstance(event, yaml.ScalarEvent):
                event.implicit = (event.style is None, True)
        self.depth += 1
        if self.depth > MAX_DEPTH and not isinstance(event, yaml.ScalarEvent):
            raise UnreadableError(Problem(position, f"nested deeper than {MAX_DEPTH} levels"))
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def parse(text: str | bytes, source: str, *, mapping: bool = True) -> Document:
    """Parse one document of at most 64 KiB; `source` names it in messages.

    Raises `UnreadableError` if it is not UTF-8, too large, has a syntax error, holds several documents, or (with
    `mapping`) its top level is not a mapping. Other errors are in the result's `problems`.
    """
    decoded = _text(text, source)
    loader = None
    try:
        loader = StrictLoader(decoded, source)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(_syntax_problem(error, source)) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # chr() fails inside PyYAML on an escape such as "\UFFFFFFFF".
        position = loader.mark(loader.get_mark()) if loader else Mark(source)
        raise UnreadableError(Problem(position, f"cannot be read: {' '.join(str(error).split())}")) from None
    document = Document(None, {}, loader.problems)
    if mapping and not isinstance(node, yaml.MappingNode):
        position = loader.mark(node.start_mark) if node else Mark(source, 1, 1)
        kind = "nothing" if node is None else "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise UnreadableError(Problem(position, f"holds {kind}; expected a mapping such as 'name: flowers'"))
    if node is not None:
        start = loader.mark(node.start_mark)
        document.value = _Reader(loader, document).value(node, (), start)
    return document


def _text(text: str | bytes, source: str) -> str:
    size = len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise UnreadableError(Problem(Mark(source), f"is larger than {MAX_BYTES // 1024} KiB: is this a config?"))
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            byte = error.object[error.start]
            raise UnreadableError(
                Problem(Mark(source, line, 1), f"is not UTF-8: byte 0x{byte:02x}; save it as UTF-8")
            ) from None
    for number, line_text in enumerate(text.split("\n"), 1):
        column = _control(line_text.removesuffix("\r"))
        if column is not None:
            character = f"U+{ord(line_text[column]):04X}"
            raise UnreadableError(
                Problem(Mark(source, number, column + 1), f"holds the control character {character}; remove it")
            )
    return text


def _control(text: str) -> int | None:
    """Return the index of the first control character or lone surrogate, or None; tabs and line ends are allowed."""
    if text.isprintable():
        return None
    kinds = ("Cc", "Cs", "Zl", "Zp")
    return next((i for i, c in enumerate(text) if c not in "\t\n\r\ufeff" and unicodedata.category(c) in kinds), None)


def _syntax_problem(error: yaml.MarkedYAMLError, source: str) -> Problem:
    message = f"{error.problem or ''} {error.context or ''}"
    advice = next((text for part, text in ADVICE if part in message), None)
    mark = error.problem_mark or error.context_mark
    position = Mark(source, mark.line + 1, mark.column + 1) if mark else Mark(source)
    return Problem(position, f"is not valid YAML: {advice or error.problem or error.context}")


class _Reader:
    """Converter of YAML nodes to Python values; it records the position of each."""

    def __init__(self, loader: StrictLoader, document: Document) -> None:
        self.loader = loader
        self.document = document

    def problem(self, node: Any, message: str, path: KeyPath) -> None:
        self.document.problems.append(Problem(self.loader.mark(node.start_mark), message, path))

    def value(self, node: Any, path: KeyPath, key: Mark) -> Any:
        self.document.places[path] = Place(key, self.loader.mark(node.start_mark))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(item, (*path, i), self.loader.mark(item.start_mark)) for i, item in enumerate(node.value)
            ]
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node, path)
            if key is None:
                continue
            position = self.loader.mark(key_node.start_mark)
            if key in values:
                self.problem(
                    key_node, f"the key is given twice, in lines {lines[key]} and {position.line}", (*path, key)
                )
                continue
            lines[key] = position.line
            values[key] = self.value(value_node, (*path, key), position)
        return values

    def key(self, node: Any, path: KeyPath) -> str | None:
        """Return a key as its text in the file (a class may be named `0` or `no`), or None if it is invalid."""
        if not isinstance(node, yaml.ScalarNode) or node.tag == "alias":
            if not isinstance(node, yaml.ScalarNode):
                self.problem(node, "a list or mapping cannot be a key", path)
        elif node.style is None and node.value == "<<":
            self.problem(node, "the merge key << is not allowed; write the keys out, or use extends", path)
        elif not node.value:
            self.problem(node, "a key is empty", path)
        elif _control(node.value) is not None:
            self.problem(node, "a key holds a control character", path)
        else:
            return str(node.value)
        return None

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.style is not None:
            if _control(node.value) is not None:
                self.problem(node, "the text holds a control character; remove it", path)
            return node.value
        try:
            return scalar(node.value)
        except ValueError as error:
            self.problem(node, str(error), path)
            return None


def scalar(text: str) -> Any:
    """Return the value of an unquoted scalar by the core schema of YAML 1.2.

    Raises `ValueError` for a number that is not finite or needs more than 64 bits.
    """
    if NOT_FINITE.fullmatch(text):
        raise ValueError(f"must be a finite number, received {text}")
    for pattern, convert in _SCALARS:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def _integer(text: str) -> int:
    if len(text) > 64:
        raise ValueError("the number is too large: at most 64 bits are read")
    number = int(text, 10) if LIKE_INTEGER.fullmatch(text) else int(text, 0)
    if abs(number) >= MAX_INTEGER:
        raise ValueError(f"the number is too large: at most 64 bits are read, received {text}")
    return number


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"must be a finite number, received {text}")
    return number


_SCALARS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (NULL, lambda _: None),
    (BOOL, lambda text: text.lower() == "true"),
    (INT, _integer),
    (FLOAT, _number),
)
