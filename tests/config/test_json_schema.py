"""The JSON Schema of a config file."""

from __future__ import annotations

import json

from transfercli.config import registries
from transfercli.config.json_schema import DIALECT, json_schema


def test_the_json_schema_holds_the_tables_and_extends() -> None:
    schema = json_schema()
    assert schema["$schema"] == DIALECT
    assert "extends" in schema["properties"]
    definitions = schema["$defs"]
    base = definitions["ModelConfig"]["properties"]["base"]["anyOf"][0]
    assert base["enum"] == list(registries.names("base"))
    assert definitions["OptimizerConfig"]["properties"]["name"]["enum"] == list(registries.names("optimizer"))
    assert definitions["ExportConfig"]["properties"]["formats"]["items"]["enum"] == list(registries.names("format"))
    assert json.loads(json.dumps(schema)) == schema


def test_the_json_schema_refuses_unknown_keys_and_asks_for_the_required_ones_without_extends() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert all(part.get("additionalProperties") is False for part in schema["$defs"].values() if "type" in part)
    assert "required" not in schema
    assert schema["else"]["required"] == ["name", "data", "model"]
    assert schema["else"]["properties"] == {"data": {"required": ["train"]}, "model": {"required": ["base"]}}


def test_every_reference_in_the_json_schema_leads_somewhere() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    for name in {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}:
        assert name in schema["$defs"]
