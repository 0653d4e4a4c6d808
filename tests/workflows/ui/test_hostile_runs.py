"""Pages over runs that strangers made: each answers, shows no markup of theirs, and nothing from outside of a run."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from tests.workflows.ui.conftest import client_of
from tests.workflows.ui.hostile_runs import DAMAGE, MARKUP, SECRET, make_hostile

FORBIDDEN = ("<img src=x", "<script>alert", SECRET, "/home/ann")


@pytest.fixture
def hostile(runs: Path, first: str) -> TestClient:
    make_hostile(runs, runs / first)
    return client_of(runs)


def answer(client: TestClient, address: str) -> tuple[int, str]:
    """Return the status and the text of a page, which must be harmless."""
    found = client.get(address)
    assert found.status_code < 500, address
    if "html" in found.headers["content-type"]:
        assert [text for text in (*FORBIDDEN, "pytest-of") if text in found.text] == [], address
    else:
        assert found.headers["x-content-type-options"] == "nosniff"
        assert SECRET not in found.text
    return found.status_code, found.text


@pytest.mark.slow
def test_every_page_survives_every_damage(hostile: TestClient, first: str) -> None:
    for name in DAMAGE:
        label = f"hostile/{name}"
        status, text = answer(hostile, f"/runs/{label}")
        assert (status, name in text) in ((200, True), (404, True))
        for address in (
            f"/curves?run={label}",
            f"/curves/lines?run={label}",
            f"/compare?run={label}&run={first}",
            f"/compare?run={first}&run={label}&split=test",
            f"/runs/{label}/evaluation/test/report",
            f"/runs/{label}/pictures/history",
        ):
            answer(hostile, address)


def test_lists_of_runs_survive_every_damage_and_odd_name(hostile: TestClient, runs: Path) -> None:
    odd = quote(MARKUP)
    for query in ("", "?sort=val_accuracy", "?column=learning_rate&column=parent&column=failure", "?page=9"):
        assert answer(hostile, f"/{query}")[0] == 200
    for query in (f"?filter={odd}", f"?sort={odd}", f"?column={odd}"):
        assert answer(hostile, f"/{query}")[0] == 400
    for folder in runs.iterdir():
        answer(hostile, f"/experiments/{quote(os.fsencode(folder.name), safe='')}")


@pytest.mark.parametrize(
    "name, words",
    [
        ("record-of-noise", "This run is damaged"),
        ("evaluation-of-lists", "is damaged: it is no object"),
        ("history-cut", "Curves"),
        ("config-of-markup", "is missing or not valid"),
        ("record-linked", "outside of the link"),
    ],
)
def test_a_page_says_what_is_damaged(hostile: TestClient, name: str, words: str) -> None:
    assert words in answer(hostile, f"/runs/hostile/{name}")[1]


def test_a_history_names_its_damaged_line(hostile: TestClient) -> None:
    row = hostile.get("/curves/lines?run=hostile/history-of-noise").json()["runs"][0]
    assert row["problem"].startswith("line ")
    assert row["epochs"] == []


@pytest.mark.parametrize(
    "address",
    [
        "/runs/..%2f..%2fetc/passwd",
        "/runs/digits/%00",
        "/runs/hostile/..",
        "/runs/./.",
        "/experiments/%2e%2e",
        "/static/..%2fsite.py",
        "/static/%2e%2e/site.py",
        "/runs/hostile/report-linked/evaluation/..%2f..%2fconfig.yaml/report",
        "/runs/hostile/report-linked/pictures/..%2fconfig.yaml",
        "/runs/hostile/picture-linked/pictures/history",
    ],
)
def test_no_address_leads_out_of_the_runs(hostile: TestClient, address: str) -> None:
    assert answer(hostile, address)[0] in (200, 404)
    assert hostile.get(address).url.path in ("/", address) or hostile.get(address).status_code == 404


def test_a_report_of_a_run_has_an_origin_of_its_own(client: TestClient, runs: Path, first: str) -> None:
    page = runs / first / "evaluation/test/report.html"
    page.write_text("<script>fetch('/')</script>")
    found = client.get(f"/runs/{first}/evaluation/test/report")
    policy = found.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
