"""200 decisions over HTTP with a kill of the server in the middle: none that was acknowledged is lost."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.workflows.ui.review.conftest import Page
from transfercli.data.corrections.log import read_log

DECISIONS, KILLS = 200, (67, 133)
REVIEWERS = 2


class Reviewer(Page):
    """A page in a browser of its own, which talks to a real server."""

    def __init__(self, address: str) -> None:
        self.base = "/review/digits"
        self.client = httpx.Client(base_url=address, timeout=60)  # type: ignore[assignment]
        found = re.search(r'name="csrf-token" content="([^"]+)"', self.get().text)
        assert found
        self.headers = {"X-CSRF-Token": found[1]}


@contextmanager
def server(runs: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`transfercli ui` in a process of its own, and its address."""
    command = [sys.executable, "-m", "transfercli", "ui", "--runs", str(runs), "--port", "0", "--allow-changes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            yield process, found[0]
        finally:
            process.kill()


class Round:
    """A server, and reviewers who decide at once until as many decisions as wanted are acknowledged, or it is killed.

    acknowledged: path -> label.
    """

    def __init__(self, address: str, label: str, wanted: int, at_end: Callable[[], None]) -> None:
        self.pages = [Reviewer(address) for _ in range(REVIEWERS)]
        self.snapshot = self.pages[0].state()["snapshot"]
        self.rows = iter(self.pages[0].rows("newest"))
        self.label, self.wanted, self.at_end = label, wanted, at_end
        self.acknowledged: dict[str, str] = {}
        self.lock = threading.Lock()

    def run(self) -> dict[str, str]:
        threads = [threading.Thread(target=self.decide, args=(page,)) for page in self.pages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for page in self.pages:
            page.client.close()
        return self.acknowledged

    def decide(self, page: Reviewer) -> None:
        while len(self.acknowledged) < self.wanted:
            with self.lock:
                row = next(self.rows)
            body = {"snapshot": self.snapshot, "row": row, "label": self.label, "who": "Ann"}
            try:
                answer = page.post("/decisions", body)
            except httpx.HTTPError:
                return
            assert answer.status_code == 200
            self.acknowledged[answer.json()["path"]] = self.label
        self.at_end()


@pytest.mark.slow
def test_no_acknowledged_decision_is_lost_when_the_server_is_killed(folder: Path) -> None:
    stored: dict[str, str] = {}
    for number, total in enumerate((*KILLS, DECISIONS)):
        with server(folder) as (process, address):
            at_end = (
                process.kill if total in KILLS else lambda: None
            )  # while the other reviewer's decision is on its way
            new = Round(address, str(number), total - len(stored), at_end).run()
        assert not new.keys() & stored.keys()  # what is decided is not asked for again
        log = read_log(folder / "digits" / "corrections.csv")
        assert log is not None
        found = {decision.path: decision.new for decision in log.decisions}
        assert (stored | new).items() <= found.items()
        # More than was acknowledged is a decision that was on its way, and copies of an image.
        assert len(found) - len(stored | new) <= REVIEWERS + 1
        stored = found
    assert len(stored) >= DECISIONS
    with server(folder) as (_, address):
        page = Reviewer(address)
        assert page.state()["progress"]["decided"] == len(stored)
        page.client.close()
