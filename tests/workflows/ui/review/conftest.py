"""A site over digits of which some have wrong labels, and a client that talks to it as the page does."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.workflows.conftest import World

WRONG = 20  # images of the training folder that lie in the folder of another class
COPY = "train/1/copy-of-a-zero.png"


class Page:
    """A page of a review: the requests that its script sends."""

    def __init__(self, app: Any, secret: str, experiment: str) -> None:
        self.client = TestClient(app, base_url="http://127.0.0.1")
        self.headers, self.base = {"X-CSRF-Token": secret}, f"/review/{experiment}"

    def get(self, path: str = "") -> Any:
        return self.client.get(self.base + path)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        options = {"headers": self.headers} | options
        return self.client.post(self.base + path, **({} if body is None else {"json": body}), **options)

    def state(self) -> dict[str, Any]:
        """Return the state of the search, once it is over."""
        deadline = time.monotonic() + 120
        while (state := self.get("/state").json())["state"] in ("waiting", "running"):
            assert time.monotonic() < deadline, state
        return state

    def rows(self, queue: str) -> list[int]:
        assert self.state()["state"] == "done"
        rows: list[int] = self.get(f"/queues/{queue}").json()["rows"]
        return rows

    def decide(self, row: int, label: Any, who: str = "Ann") -> Any:
        return self.post("/decisions", {"snapshot": self.state()["snapshot"], "row": row, "label": label, "who": who})

    def undo(self, row: int) -> Any:
        return self.post("/undo", {"snapshot": self.state()["snapshot"], "row": row, "who": "Ann"})


@pytest.fixture(scope="session")
def mislabelled(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> tuple[World, dict[str, str]]:
    """A run on digits 0-4, `WRONG` of them with wrong labels and one with a copy of another class; the true labels."""
    world = World(tmp_path_factory.mktemp("mislabelled"), digits_folder)
    images = Path(shutil.copytree(digits_folder / "digits-source", world.folder / "images"))
    files = sorted((images / "train").rglob("*.png"))
    truth = {}
    for number in np.random.default_rng(0).permutation(len(files))[:WRONG]:
        label = files[number].parent.name
        other = images / "train" / str((int(label) + 1) % 5) / f"moved-{files[number].name}"
        files[number].rename(other)
        truth[other.relative_to(images).as_posix()] = label
    zeros = sorted((images / "train" / "0").glob("[0-9]*.png"))
    shutil.copy(zeros[0], images / COPY)
    world.train("pretrain", world.config("digits", "", data={"train": str(images)}, training={"epochs": 5}))
    return world, truth


@pytest.fixture
def folder(mislabelled: tuple[World, dict[str, str]], tmp_path: Path) -> Path:
    """A copy of the runs, which a test may write to."""
    return Path(shutil.copytree(mislabelled[0].runs, tmp_path / "runs", symlinks=True))


@pytest.fixture
def page_of() -> Iterator[Callable[..., Page]]:
    """`page_of(runs, experiment="digits", **options)`: a page of a site of its own."""
    from transfercli.workflows.ui.app import build_app
    from transfercli.workflows.ui.site import Site

    with ExitStack() as sites:

        def make(runs: Path, experiment: str = "digits", **options: Any) -> Page:
            site = Site(runs, **({"allow_changes": True} | options))
            sites.callback(site.workers.close)
            return Page(build_app(site), site.secret, experiment)

        yield make


@pytest.fixture
def page(page_of: Callable[..., Page], folder: Path) -> Page:
    return page_of(folder)
