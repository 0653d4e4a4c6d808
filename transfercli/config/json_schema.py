"""JSON Schema (draft 2020-12) of a config file, for completion and checks in editors."""

from __future__ import annotations

from typing import Any

from transfercli.config.editor import SCHEMA_ID
from transfercli.config.schema import ExperimentConfig
from transfercli.config.search.sections import SEARCH_FORMS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXTENDS = {
    "type": "string",
    "minLength": 1,
    "description": "another config, relative to this file; its values apply to keys that this file does not set",
}
FORMAT = {"const": 1, "description": "the format of this file, as `config show --json` writes it; may be left out"}
# Entry of a sweep's space: the values of a key, or a section with further entries.
SEARCH_ENTRY = {
    "if": {"type": "object", "anyOf": [{"required": [form]} for form in SEARCH_FORMS]},
    "then": {"$ref": "#/$defs/SearchRange"},
    "else": {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/SearchEntry"}},
}


def json_schema() -> dict[str, Any]:
    """Return the schema of a config file; the lists of choices come from the tables.

    A file with `extends` may omit required keys, because the extended file may hold them.
    """
    schema = ExperimentConfig.model_json_schema()
    definitions = schema["$defs"]
    nested = {
        key: {"required": definitions[section].pop("required")}
        for key, section in (("data", "DataConfig"), ("model", "ModelConfig"))
    }
    definitions["SweepConfig"]["properties"]["space"]["additionalProperties"] = {"$ref": "#/$defs/SearchEntry"}
    definitions["SearchEntry"] = SEARCH_ENTRY
    required = schema.pop("required")
    schema["properties"] = {"extends": EXTENDS, "format": FORMAT, **schema["properties"]}
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_ID,
        **schema,
        "title": "transfercli config",
        "if": {"required": ["extends"]},
        "else": {"required": required, "properties": nested},
    }
