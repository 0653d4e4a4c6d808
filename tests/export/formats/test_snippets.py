"""Python code that a model card shows for each format."""

from __future__ import annotations

import ast

import pytest

from transfercli.export.formats.registry import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_the_code_of_a_format_keeps_the_function_that_the_card_reads_images_with(name: str) -> None:
    assigned = {
        part.id
        for statement in ast.parse(FORMATS[name].loads).body
        if isinstance(statement, ast.Assign)
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }
    assert "pixels" not in assigned
