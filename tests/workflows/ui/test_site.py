"""The frame of the site: guards, token, headers, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.workflows.ui.conftest import ADDRESS, client_of

TOKEN = "a-token-of-some-length"


@pytest.fixture
def locked(runs: Path) -> TestClient:
    return client_of(runs, token=TOKEN, follow_redirects=False)


def test_a_page_without_its_token_is_locked_and_shows_nothing(locked: TestClient) -> None:
    for address in ("/", "/?token=wrong", "/style.css", "/static/live.js", "/curves/lines"):
        found = locked.get(address)
        assert found.status_code == 401
        assert "digits" not in found.text


def test_the_token_of_the_address_becomes_a_cookie_and_leaves_the_address(locked: TestClient) -> None:
    found = locked.get(f"/curves?run=a/b&token={TOKEN}")
    assert (found.status_code, found.headers["location"]) == (303, "/curves?run=a%2Fb")
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert locked.get("/").status_code == 200


def test_a_cookie_of_another_process_opens_nothing(locked: TestClient, runs: Path) -> None:
    locked.get(f"/?token={TOKEN}")
    other = client_of(runs, token=TOKEN, cookies=locked.cookies)
    assert other.get("/").status_code == 401


def test_a_program_shows_the_token_in_a_header(locked: TestClient) -> None:
    assert locked.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert locked.get("/", headers={"Authorization": "Bearer other"}).status_code == 401


def test_the_address_after_the_token_stays_on_this_server(locked: TestClient) -> None:
    found = locked.get(f"{ADDRESS}//evil.example/?token={TOKEN}")
    assert found.headers["location"].startswith("/evil.example")


def test_a_token_that_is_no_text_is_wrong(locked: TestClient) -> None:
    assert locked.get("/?token=%ff%fe").status_code == 401
    assert locked.get("/", headers={"Cookie": 'transfercli-8600="\\377'}).status_code == 401


def test_another_name_of_the_machine_is_refused(client: TestClient) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed_by_a_foreign_page(client: TestClient, method: str) -> None:
    assert client.request(method, "/", headers={"Origin": "http://evil.example"}).status_code == 403


def test_every_answer_has_the_policy(client: TestClient, first: str) -> None:
    for address in ("/", "/nothing", f"/runs/{first}", "/curves/lines", "/style.css"):
        headers = client.get(address).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_only_files_whose_address_has_their_hash_are_kept(client: TestClient) -> None:
    assert "immutable" in client.get("/static/live.js?v=1").headers["cache-control"]
    assert client.get("/static/live.js").headers["cache-control"] == "no-store"
    assert client.get("/static/none.js?v=1").headers["cache-control"] == "no-store"


def test_no_page_has_a_path_of_the_machine(client: TestClient, runs: Path, first: str, second: str) -> None:
    for address in (
        "/",
        "/experiments/digits",
        f"/runs/{first}",
        f"/curves?run={first}",
        f"/compare?run={first}&run={second}",
        "/runs/digits/missing",
        "/?filter=nothing",
    ):
        assert str(runs.parent) not in client.get(address).text


def test_a_missing_page_has_the_frame(client: TestClient) -> None:
    found = client.get("/nothing")
    assert found.status_code == 404
    assert "There is no such page." in found.text
    assert 'href="/curves"' in found.text
