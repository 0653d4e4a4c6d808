"""The reference and the JSON Schema are the schema's own words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transfercli.config import registries
from transfercli.config.json_schema import DIALECT, json_schema
from transfercli.config.reference_docs import reference
from transfercli.config.schema import ExperimentConfig

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "config.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_page_names_every_key_and_every_row_of_every_table() -> None:
    page = reference()
    for section in sections(ExperimentConfig):
        for key in section.model_fields:
            assert f"- **`{key}`**" in page
    for table in registries.TABLES:
        for name in registries.names(table):
            assert f"`{name}`" in page


def sections(model: Any) -> Iterator[Any]:
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
            yield from sections(field.annotation)


def test_the_page_speaks_no_pydantic() -> None:
    for word in ("Annotated", "Literal", "NoneType", "Optional", "transfercli.config.", "PydanticUndefined"):
        assert word not in reference().replace("python -m transfercli.config.reference_docs", "")


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
    assert all(part.get("additionalProperties") is False for part in schema["$defs"].values())
    assert "required" not in schema
    assert schema["else"]["required"] == ["name", "data", "model"]
    assert schema["else"]["properties"] == {"data": {"required": ["train"]}, "model": {"required": ["base"]}}


def test_every_reference_in_the_json_schema_leads_somewhere() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    for name in {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}:
        assert name in schema["$defs"]
