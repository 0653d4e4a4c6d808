"""A site over real small runs of digits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.workflows.conftest import World
from transfercli.reporting import Reporter
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder

ADDRESS = "http://127.0.0.1:8600"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> tuple[Path, str, str]:
    """A folder with two evaluated runs of one experiment, the first one champion, and their labels.

    The second one is the first with another seed in its config and another accuracy in its record.
    """
    from transfercli.runs.champions import promote_run
    from transfercli.workflows.evaluate.evaluate import evaluate_run
    from transfercli.workflows.evaluate.request import EvaluateRequest

    world = World(tmp_path_factory.mktemp("site"), digits_folder)
    run = RunFolder(Path(world.train("pretrain", world.config("digits", "digits-source"))["run"]))
    evaluate_run(EvaluateRequest(str(run.path), world.runs, "test"), Reporter())
    promote_run(world.runs / "digits", Decision("first", "the first run", run.run_id))
    other = run.path.with_name("second")
    shutil.copytree(run.path, other, symlinks=True)
    record = json.loads((other / "run.json").read_text())
    record["metrics"]["val_accuracy"] = 0.25
    edit(other / "run.json", run_id="second", created="2020-01-01T00:00:00Z", completion=0, metrics=record["metrics"])
    config = other / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0", "seed: 7", 1))
    return world.runs, run.label, "digits/second"


@pytest.fixture
def runs(trained: tuple[Path, str, str], tmp_path: Path) -> Path:
    """A copy of the folder of runs, which a test may change."""
    shutil.copytree(trained[0], tmp_path / "runs", symlinks=True)
    return tmp_path / "runs"


@pytest.fixture
def first(trained: tuple[Path, str, str]) -> str:
    return trained[1]


@pytest.fixture
def second(trained: tuple[Path, str, str]) -> str:
    return trained[2]


def client_of(runs: Path, *, token: str | None = None, allow_changes: bool = False, **options: Any) -> TestClient:
    """Return a client of a site; a bug in a page raises."""
    from transfercli.workflows.ui.app import build_app
    from transfercli.workflows.ui.site import Site

    return TestClient(build_app(Site(runs, allow_changes), token=token), base_url=ADDRESS, **options)


@pytest.fixture
def client(runs: Path) -> TestClient:
    return client_of(runs)


def edit(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
