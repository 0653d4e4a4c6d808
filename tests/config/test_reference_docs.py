"""The config reference is derived from the schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transfercli.config import registries
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
