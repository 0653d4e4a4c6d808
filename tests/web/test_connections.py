"""Connections of clients that are slow, silent, too many or that do not keep to HTTP, against a real server."""

import json
import socket
import time

import pytest

from tests.running_server import RunningServer, received, running_server, status_of
from transfercli.web import server as server_module
from transfercli.web.limits import Limits, raise_file_limit

LIMITS = Limits(
    seconds_to_headers=0.3, seconds_to_body=0.3, seconds_idle=0.6, seconds_to_drain=0.3, bytes_a_second=1_000_000
)
LARGE = 20_000_000  # bytes of an answer, more than the system holds for a connection
HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /x HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


async def echo(scope, receive, send):
    """Answer with the path and the body's length; `/early` answers before it reads, `/large` with many spaces."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    length, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message["body"]), message["more_body"]
    body = json.dumps({"path": scope["path"], "length": length, "headers": len(scope["headers"])}).encode()
    body += b" " * (LARGE if scope["path"] == "/large" else 0)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(server_module, "TICKS_A_SWEEP", 1)
        with running_server(echo, LIMITS) as running:
            yield running


def head(*lines: bytes, first: bytes = b"POST /x HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


REFUSED = {
    "both lengths": (head(b"Host: a", b"Content-Length: 3", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "both lengths the other way": (head(b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 3"), 400),
    "two lengths": (head(b"Host: a", b"Content-Length: 3", b"Content-Length: 4") + b"abc", 400),
    "negative length": (head(b"Host: a", b"Content-Length: -1"), 400),
    "length of words": (head(b"Host: a", b"Content-Length: many"), 400),
    "huge length": (head(b"Host: a", b"Content-Length: 99999999999999999999999"), 400),
    "unknown coding": (head(b"Host: a", b"Transfer-Encoding: xchunked"), 501),
    "two codings": (head(b"Host: a", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501),
    "space before the colon": (head(b"Host: a", b"Transfer-Encoding : chunked"), 400),
    "folded header": (head(b"Host: a", b" folded: x"), 400),
    "line feeds alone": (b"GET /x HTTP/1.1\nHost: a\n\n", 400),
    "no host": (head(), 400),
    "two hosts": (head(b"Host: a", b"Host: b"), 400),
    "bad chunk": (head(b"Host: a", b"Transfer-Encoding: chunked") + b"zz\r\n", 400),
    "huge chunk": (head(b"Host: a", b"Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n", 400),
    "long address": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "many headers": (head(b"Host: a", *[b"x-%d: y" % n for n in range(500)]), 431),
    "long header": (head(b"Host: a", b"x: " + b"y" * 70_000), 431),
    "endless header": (b"GET /x HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 200_000, 431),
    "endless trailers": (
        head(b"Host: a", b"Transfer-Encoding: chunked") + b"0\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(500)),
        431,
    ),
    "no protocol": (b"hello\r\n\r\n", 400),
    "tls": (bytes.fromhex("16030100a5010000a10303") + bytes(100), 400),
    "http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "nul in the address": (b"GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "address of bytes": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "connect": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no path": (b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "slow headers": (b"GET /x HTTP/1.1\r\nHost: ", 408),
    "slow body": (head(b"Host: a", b"Content-Length: 10") + b"abc", 408),
    "slow chunks": (head(b"Host: a", b"Transfer-Encoding: chunked") + b"5\r\nab", 408),
    "silence": (b"", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_client_that_does_not_keep_to_http_is_refused_and_others_are_answered(server, case):
    content, status = REFUSED[case]
    with server.connect() as hostile:
        hostile.sendall(content)
        assert status_of(server.exchange(LAST)) == 200
        answer = received(hostile)
    assert status_of(answer) == status
    assert answer.count(b"HTTP/1.1") <= 1
    assert status_of(server.exchange(LAST)) == 200


def answers(server: RunningServer, content: bytes) -> list[bytes]:
    return [part.rpartition(b"\r\n\r\n")[2] for part in server.exchange(content).split(b"HTTP/1.1 ")[1:]]


def test_requests_in_one_piece_are_answered_in_their_order(server):
    first = b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\n"
    found = [json.loads(one)["path"] for one in answers(server, first + first.replace(b"/1 ", b"/2 ") + LAST)]
    assert found == ["/1", "/2", "/x"]


def test_an_error_does_not_come_before_the_answers_to_earlier_requests(server):
    found = server.exchange(GET + b"nonsense\r\n\r\n")
    assert status_of(found) == 200
    assert found.count(b"HTTP/1.1") == 1


def test_headers_behind_a_body_are_no_headers_of_the_request(server):
    content = head(b"Host: a", b"Transfer-Encoding: chunked", b"Connection: close") + b"1\r\na\r\n0\r\nHost: b\r\n\r\n"
    assert json.loads(answers(server, content)[0]) == {"path": "/x", "length": 1, "headers": 3}


def test_a_body_that_is_not_read_does_not_lose_the_answer(server):
    with server.connect() as client:
        client.sendall(head(b"Host: a", b"Content-Length: 3000000", first=b"POST /early HTTP/1.1"))
        client.sendall(bytes(3_000_000) + LAST)
        assert received(client).count(b"HTTP/1.1 200") == 2


def test_a_body_that_is_not_read_does_not_go_on_without_end(server):
    with server.connect() as client:
        client.sendall(head(b"Host: a", b"Transfer-Encoding: chunked", first=b"POST /early HTTP/1.1"))
        chunks = iter(lambda: client.sendall(b"400\r\n" + bytes(1024) + b"\r\n"), "never")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            list(chunks)


def test_a_client_that_waits_for_leave_to_send_gets_it_only_if_the_body_is_read(server):
    lines = b"Host: a", b"Content-Length: 3", b"Expect: 100-continue"
    with server.connect() as client:
        client.sendall(head(*lines, b"Connection: close"))
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"abc")
        assert b'"length": 3' in received(client)
    # What follows is no body, and no request either.
    found = server.exchange(head(*lines, first=b"POST /early HTTP/1.1") + b"")
    assert status_of(found) == 200


def test_a_connection_between_two_requests_is_closed_after_a_while(server):
    with server.connect() as client:
        client.sendall(GET)
        assert received(client).count(b"HTTP/1.1 200") == 1


def test_a_client_that_upgrades_is_answered_and_the_connection_ends(server):
    found = server.exchange(head(b"Host: a", b"Connection: Upgrade", b"Upgrade: h2c", first=b"GET /x HTTP/1.1"))
    assert status_of(found) == 200


@pytest.mark.parametrize("end", [b"", b"Connection: close\r\n"])
def test_a_client_that_reads_slowly_gets_its_answer_whole(server, end):
    """It takes longer than a client that does not read at all may."""
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(GET.replace(b"/x", b"/large").replace(b"\r\n\r\n", b"\r\n" + end + b"\r\n"))
        started, count = time.monotonic(), 0
        while count < LARGE and (part := client.recv(65536)):
            count += len(part)
            while time.monotonic() - started < 3 * LIMITS.seconds_idle * count / LARGE:
                time.sleep(0.001)
    assert count > LARGE


def test_a_client_that_does_not_read_its_answer_is_left(server):
    with server.connect() as client:
        client.sendall(GET.replace(b"/x", b"/large"))
        client.settimeout(20)
        lines = iter(lambda: (client.sendall(b"\r\n"), time.sleep(0.01)), "never")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            list(lines)


def test_the_connection_that_waits_for_longest_gives_way():
    with running_server(echo, Limits(connections=3)) as server:
        idle = [server.connect() for _ in range(3)]
        for client in idle:
            client.sendall(GET)
            assert status_of(client.recv(65536)) == 200
        assert status_of(server.exchange(LAST)) == 200
        assert idle[0].recv(100) == b""
        idle[2].sendall(LAST)
        assert status_of(received(idle[2])) == 200
        for client in idle:
            client.close()


def test_a_client_is_asked_to_come_again_if_no_connection_waits():
    with running_server(echo, Limits(connections=1)) as server, server.connect() as busy:
        busy.sendall(head(b"Host: a", b"Content-Length: 1", b"Expect: 100-continue", b"Connection: close"))
        assert busy.recv(100).startswith(b"HTTP/1.1 100 ")  # its request is under way
        found = server.exchange(b"")
        assert status_of(found) == 503
        assert b"retry-after: 1" in found
        busy.sendall(b"a")
        assert status_of(received(busy)) == 200


def test_a_client_that_vanishes_ends_nothing(server):
    for content in (GET, b"GET", head(b"Host: a", b"Content-Length: 10") + b"abc"):
        client = server.connect()
        client.sendall(content)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        client.close()  # with a reset
    assert status_of(server.exchange(LAST)) == 200


def test_limits_fit_into_the_number_of_files_that_the_system_allows(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    assert raise_file_limit(Limits()).connections == 512
    assert raise_file_limit(Limits(connections=100)).connections == 100
