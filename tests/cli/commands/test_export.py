"""`transfercli export` on the command line."""

from __future__ import annotations

from typer.testing import CliRunner

from transfercli.cli.app import app
from transfercli.export.formats.registry import FORMATS


def helped(*words: str) -> str:
    found = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    assert found.exit_code == 0
    return found.output


def test_the_help_of_export_names_every_format_and_what_each_can_be_made_smaller_by() -> None:
    told = " ".join(helped("export", "--help").split())
    assert all(name in told for name in FORMATS)
    able = {kind: [name for name, row in FORMATS.items() if kind in row.quantize] for kind in ("float16", "int8")}
    assert able == {"float16": ["onnx", "litert", "openvino"], "int8": ["onnx", "litert"]}
    assert "onnx and litert both, openvino float16" in told
