"""200 decisions over HTTP with a kill of the server in the middle: none that was acknowledged is lost."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.workflows.ui.review.conftest import Page
from transfercli.data.corrections.log import read_log

DECISIONS, KILLS = 200, (37, 90, 143)  # the server is killed while the next decision is on its way
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


def decide_until_killed(page: Reviewer, rows: list[int], label: str, kill: Any, after: int) -> list[int]:
    """Decide on rows, one after the other; return those that were acknowledged before the server ended."""
    stored: list[int] = []
    state = page.state()["snapshot"]
    for row in rows:
        if len(stored) == after:
            kill()
        try:
            answer = page.post("/decisions", {"snapshot": state, "row": row, "label": label, "who": "Ann"})
        except httpx.HTTPError:
            break
        assert answer.status_code == 200
        stored.append(row)
    return stored


@pytest.mark.slow
def test_no_acknowledged_decision_is_lost_when_the_server_is_killed(folder: Path) -> None:
    acknowledged: dict[str, str] = {}
    number = 0
    for kill_after in (*KILLS, DECISIONS):
        with server(folder) as (process, address):
            pages = [Reviewer(address) for _ in range(REVIEWERS)]
            rows = pages[0].rows("newest")
            assert len(rows) == len({*rows})
            paths = {row: pages[0].get(f"/images/{row}").json()["path"] for row in rows[: DECISIONS + 50]}
            assert not acknowledged.keys() & {*paths.values()}  # a decided image is asked for once
            label, number = str(number % 5), number + 1
            wanted = kill_after - len(acknowledged)
            shares = [[row for row in [*paths][one::REVIEWERS]] for one in range(REVIEWERS)]
            stored: list[list[int]] = [[] for _ in pages]

            def work(
                one: int,
                pages: list[Reviewer] = pages,
                shares: list[list[int]] = shares,
                stored: list[list[int]] = stored,
                label: str = label,
                process: subprocess.Popen[str] = process,
                after: int = -(-wanted // REVIEWERS),
            ) -> None:
                stored[one] = decide_until_killed(pages[one], shares[one], label, process.kill, after)

            threads = [threading.Thread(target=work, args=(one,)) for one in range(REVIEWERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            acknowledged |= {paths[row]: label for row in (row for rows in stored for row in rows)}
        log = read_log(folder / "digits" / "corrections.csv")
        assert log is not None
        found = {decision.path: decision.new for decision in log.decisions}
        assert acknowledged.items() <= found.items()
        # More than was acknowledged: at most one decision a page, and its copies, was on its way when the server ended.
        acknowledged |= found
    assert len(acknowledged) >= DECISIONS
    with server(folder) as (_, address):
        assert Reviewer(address).state()["progress"]["decided"] == len(acknowledged)
