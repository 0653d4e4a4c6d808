"""Guards of requests: names of hosts, tokens, and requests that foreign pages make."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from transfercli.web.guards import HostGuard, SameOriginGuard, TokenGuard

TOKEN = "0123456789abcdef"


def client(*guards):
    routes = [Route("/{path:path}", lambda _: PlainTextResponse("in"), methods=["GET", "POST"])]
    return TestClient(Starlette(routes=routes, middleware=list(guards)), base_url="http://127.0.0.1:8600")


@pytest.mark.parametrize(
    "host, status",
    [
        ("127.0.0.1:8600", 200),
        ("localhost", 200),
        ("[::1]:1", 200),
        ("LOCALHOST:2", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8600", 421),
        ("", 421),
        ("localhost@evil.example", 421),
    ],
)
def test_only_the_names_of_this_machine_are_answered(host, status):
    assert client(Middleware(HostGuard)).get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        ({"authorization": f"bearer {TOKEN}"}, 200),
        ({"cookie": f"key={TOKEN}"}, 401),
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": "Bearer é".encode("latin-1")}, 401),
    ],
)
def test_a_token_is_asked_for(headers, status):
    answer = client(Middleware(TokenGuard, token=TOKEN, free=("/healthz",))).get("/", headers=headers)
    assert answer.status_code == status


def test_a_free_path_needs_no_token():
    assert client(Middleware(TokenGuard, token=TOKEN, free=("/healthz",))).get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"x-csrf-token": TOKEN}, 200),
        ({"x-csrf-token": TOKEN, "origin": "http://127.0.0.1:8600"}, 200),
        ({}, 403),
        ({"x-csrf-token": "other"}, 403),
        ({"x-csrf-token": TOKEN, "origin": "http://evil.example"}, 403),
        ({"x-csrf-token": TOKEN, "origin": "null"}, 403),
        ({"x-csrf-token": TOKEN, "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_only_own_pages_may_change_something(headers, status):
    guarded = client(Middleware(SameOriginGuard, secret=TOKEN))
    assert guarded.post("/", headers=headers).status_code == status
    assert guarded.get("/").status_code == 200
