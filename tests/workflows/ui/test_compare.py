"""Comparisons of two runs, and the jobs that make them beside the requests."""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.workflows.ui.conftest import edit
from transfercli.errors import DataError, Interrupted
from transfercli.reporting import Reporter
from transfercli.workflows.ui.jobs import MOST_KEPT, MOST_WAITING, Job, Jobs


def finished(jobs: Jobs, key: object, work: object) -> Job:
    """Return a job once it is over."""
    over = threading.Event()

    def then(reporter: Reporter) -> object:
        try:
            return work(reporter)  # type: ignore[operator]
        finally:
            over.set()

    job = jobs.start(key, then)  # type: ignore[arg-type]
    assert over.wait(60)
    jobs.start(("after", key), lambda _: None)  # the thread has written the result when it takes the next job
    while not job.is_over:
        threading.Event().wait(0.01)
    return job


def test_differences_are_there_at_once(client: TestClient, first: str) -> None:
    text = client.get(f"/compare?run={first}&run=digits/second").text
    assert re.search(r"<code>seed</code></th><td[^>]*>0</td><td[^>]*>7</td>", text)
    assert re.search(r"val accuracy</th><td>[\d.]+</td><td>0.2500</td>", text)


def test_the_comparison_of_images_is_made_beside_the_request(client: TestClient, first: str) -> None:
    address = f"/compare/page?run={first}&run=digits/second"
    found = client.get(address)
    assert found.status_code in (200, 202)
    while found.status_code == 202:
        assert 'data-then="reload"' in found.text
        threading.Event().wait(0.1)
        found = client.get(address)
    assert found.status_code == 200
    assert "sandbox" in found.headers["content-security-policy"]
    assert "Comparison with" in found.text


def test_a_run_without_answers_is_not_evaluated_by_a_page(client: TestClient, runs: Path, first: str) -> None:
    shutil.rmtree(runs / "digits/second/evaluation")
    query = f"run={first}&run=digits/second&split=test"
    assert "has no up-to-date evaluation on test images" in client.get(f"/compare?{query}").text
    assert client.get(f"/compare/page?{query}").status_code == 404
    assert not (runs / "digits/second/evaluation").exists()


def test_test_images_are_compared_unless_one_run_has_no_answers_to_them(
    client: TestClient, runs: Path, first: str
) -> None:
    query = f"run={first}&run=digits/second"
    assert "<option selected>test</option>" in client.get(f"/compare?{query}").text
    assert "<option selected>validation</option>" in client.get(f"/compare?{query}&split=validation").text
    assert "<option selected>test</option>" in client.get("/compare").text
    shutil.rmtree(runs / "digits/second/evaluation")
    found = client.get(f"/compare?{query}").text
    assert "<option selected>validation</option>" in found
    assert "image by image" in found


@pytest.mark.parametrize("query", ["", "?run=digits/second", "?run=digits/second&run=digits/second"])
def test_a_comparison_needs_two_runs(client: TestClient, query: str) -> None:
    assert client.get(f"/compare{query}").status_code == 200
    assert client.get(f"/compare/page{query}").status_code == 400


def test_a_job_is_done_once_for_all_who_ask() -> None:
    jobs, calls = Jobs(Reporter()), []
    job = finished(jobs, "a", lambda _: calls.append(1) or "result")
    assert jobs.start("a", lambda _: "other") is job
    assert (job.state, job.result, calls) == ("done", "result", [1])


def test_a_failed_job_has_the_message_and_leaves_the_thread_for_others() -> None:
    jobs = Jobs(Reporter())

    def fail(reporter: Reporter) -> None:
        raise DataError("no images", "name others")

    def crash(reporter: Reporter) -> None:
        raise KeyError("a bug")

    assert (finished(jobs, 1, fail).message, finished(jobs, 2, crash).state) == ("no images", "failed")
    assert finished(jobs, 3, lambda _: 5).result == 5


def test_a_job_ends_when_the_command_is_asked_to_stop() -> None:
    class Stopping(Reporter):
        def stop_signal(self) -> int:
            return 15

    job = finished(Jobs(Stopping()), 1, lambda reporter: reporter.progress("work", 1, 2))
    assert (job.state, job.message) == ("failed", "the site was stopped")
    assert issubclass(Interrupted, Exception)


def test_jobs_are_bounded() -> None:
    jobs, hold = Jobs(Reporter()), threading.Event()
    waiting = [jobs.start(number, lambda _: hold.wait(60)) for number in range(MOST_WAITING)]
    refused = jobs.start("more", lambda _: None)
    assert (refused.state, refused.message) == ("failed", "too much work is waiting")
    hold.set()
    while not all(job.is_over for job in waiting):
        threading.Event().wait(0.01)
    for number in range(2 * MOST_KEPT):
        finished(jobs, ("kept", number), lambda _: None)
    assert len(jobs._jobs) <= MOST_KEPT + 1


def test_a_changed_run_is_compared_anew(client: TestClient, runs: Path, first: str) -> None:
    address = f"/compare/page?run={first}&run=digits/second"
    while client.get(address).status_code == 202:
        threading.Event().wait(0.1)
    edit(runs / "digits/second/run.json", command="changed")
    assert client.get(address).status_code == 202
