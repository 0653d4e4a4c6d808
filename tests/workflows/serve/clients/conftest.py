"""One ONNX artefact of digits, its images and what `predict` answers; and one server for all clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.predict.predicted import said
from tests.workflows.serve.clients.running import Server, serving
from transfercli.reporting import Reporter


@dataclass(frozen=True)
class Exported:
    """ONNX artefact. files: images. answers: (label, probability) of each, as `predict` gives them."""

    artefact: Path
    files: tuple[str, ...]
    answers: tuple[tuple[str | None, float], ...]

    @property
    def lines(self) -> str:
        """What the clients of docs/guides/serving print."""
        pairs = zip(self.files, self.answers, strict=True)
        return "".join(f"{file} {label} {probability:.4f}\n" for file, (label, probability) in pairs)


@pytest.fixture(scope="session")
def exported_digits(source: Any, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    from transfercli.workflows.export.export import ExportRunRequest, export_run

    world, run = source
    out = tmp_path_factory.mktemp("exports")
    export_run(ExportRunRequest(run["run"], world.runs, ("onnx",), out=out), Reporter())
    classes = sorted((world.samples / "digits-source" / "test").iterdir())
    files = tuple(str(min(folder.iterdir())) for folder in classes)
    answers = tuple(prediction.best for prediction in said(world, out / "onnx", list(files)))
    return Exported(out / "onnx", files, answers)


@pytest.fixture(scope="session")
def server(exported_digits: Exported) -> Iterator[Server]:
    """Server of the model `digits` at a free port of loopback."""
    with serving(f"digits={exported_digits.artefact}", "--port", "0") as running:
        yield running
