"""A site over a real run that was evaluated, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from transfercli.reporting import Reporter
from transfercli.workflows.ui.app import build_app
from transfercli.workflows.ui.site import Site


@dataclass
class Visited:
    """A site, a client of it, and the run EXPERIMENT/RUN_ID that it shows."""

    site: Site
    client: TestClient
    label: str
    world: Any

    def post(self, path: str, content: bytes, **headers: str) -> Any:
        return self.client.post(path, content=content, headers={"X-CSRF-Token": self.site.secret, **headers})


@pytest.fixture(scope="session")
def visited(source: Any) -> Iterator[Visited]:
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, result = source
    evaluate_run(EvaluateRequest("digits-source", world.runs), Reporter())
    site = Site(world.runs)
    with TestClient(build_app(site), base_url="http://localhost") as client:
        yield Visited(site, client, "/".join(Path(result["run"]).parts[-2:]), world)
    site.workers.close()
