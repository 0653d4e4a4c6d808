"""Config as YAML text that this program and any YAML 1.1 loader read back to the same values."""

from __future__ import annotations

import re
from typing import Any

import yaml

from transfercli.config.schema import ExperimentConfig

# Text that is text in every version of YAML; all other text is quoted.
PLAIN = re.compile(r"(\.{0,2}/)?[A-Za-z_][A-Za-z0-9_./@-]*(:[A-Za-z0-9_./@-]+)?")
WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> Any:
    plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else "'")


def _list(dumper: yaml.SafeDumper, value: list[Any] | tuple[Any, ...]) -> Any:
    flat = not any(isinstance(item, (dict, list, tuple)) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flat)


_Dumper.add_representer(str, _text)
_Dumper.add_multi_representer(str, _text)  # paths, which know their folder too
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)


def quoted(text: str) -> str:
    """Return `text` as a one-line YAML scalar, in quotes if it needs them."""
    return str(yaml.dump(text, Dumper=_Dumper, allow_unicode=True, width=10**6)).removesuffix("...\n").strip()


def dump(config: ExperimentConfig) -> str:
    """Return a config as YAML with every key and default, in the schema's order; `load` reads back an equal config."""
    return dump_values(config.model_dump())


def dump_values(values: dict[str, Any]) -> str:
    """Return a mapping of plain values as YAML, in its own order."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6, indent=2))
