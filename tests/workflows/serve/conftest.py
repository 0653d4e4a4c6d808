"""Servers of fake models, each running for the tests of a module; and a run of digits that is champion."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.running_server import RunningServer, running_server
from tests.workflows.serve.fake_models import FakeModel
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.web.address import Address
from transfercli.workflows.export.export import ExportRunRequest, export_run
from transfercli.workflows.serve.app import build_app
from transfercli.workflows.serve.service import Settings

FIRST, SECOND = "first", "second"


def png(colour: tuple[int, int, int], side: int = 8) -> bytes:
    """Return a picture of one colour as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, GREY = png((250, 5, 0)), png((90, 90, 90))
MOST_BYTES, MOST_IMAGES = 3_000_000, 20


@pytest.fixture(scope="package")
def models() -> dict[str, FakeModel]:
    """Return a model of each kind."""
    kinds = {"colours": {}, "tags": {"several": True}, "number": {"has_numbers": True, "labels": ("amount",)}}
    return {name: FakeModel(name, **facts) for name, facts in kinds.items()}  # type: ignore[arg-type]


@pytest.fixture(scope="package")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "access.log"


@pytest.fixture(scope="package")
def server(models: dict[str, FakeModel], log_file: Path) -> Iterator[RunningServer]:
    """Yield a server of all models."""
    with log_file.open("wb", buffering=0) as log:
        settings = Settings(Address(port=1), most_bytes=MOST_BYTES, most_images=MOST_IMAGES, log=log)
        with running_server(build_app(models, settings)) as running:  # type: ignore[arg-type]
            yield running


@pytest.fixture(scope="package")
def client(server: RunningServer) -> Iterator[httpx.Client]:
    """Yield a client of the server."""
    with httpx.Client(base_url=server.address) as opened:
        yield opened


@pytest.fixture(scope="session")
def champion(source: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: the experiment `digits` with the runs `first`, the champion, and `second`, both with ONNX."""
    _, result = source
    runs = tmp_path_factory.mktemp("served") / "runs"
    first = runs / "digits" / FIRST
    shutil.copytree(result["run"], first)
    export_run(ExportRunRequest(str(first), runs, ("onnx",)), Reporter())
    shutil.copytree(first, runs / "digits" / SECOND)
    atomic.replace_symlink(runs / "digits" / "champion", FIRST)
    return runs


@pytest.fixture
def runs(champion: Path, tmp_path: Path) -> Path:
    """A copy of `champion` for a test that changes it."""
    return Path(shutil.copytree(champion, tmp_path / "runs", symlinks=True))


@pytest.fixture(scope="session")
def pictures(source: Any) -> list[Path]:
    """Files of digits 0 to 4."""
    return sorted((source[0].samples / "digits-source" / "test").rglob("*.png"))[::4]
