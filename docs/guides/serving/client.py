"""Ask a model about image files, with Python's standard library alone.

python client.py http://127.0.0.1:8500 flowers photo.jpg other.png
python client.py unix:/run/transfercli/serve.sock flowers photo.jpg

The token, if the server asks for one, is in the file that TRANSFERCLI_TOKEN_FILE names.
"""

import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

TRIES, SECONDS = 5, 60


class UnixConnection(http.client.HTTPConnection):
    """Connection to a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connect(address):
    if address.startswith("unix:"):
        return UnixConnection(address.removeprefix("unix:"))
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname, parts.port, timeout=SECONDS)


def ask(connection, model, content):
    """Return the answer to an image; wait and try again while the server is busy or a model is loaded."""
    headers = {"Content-Type": "application/octet-stream"}
    if token_file := os.environ.get("TRANSFERCLI_TOKEN_FILE"):
        headers["Authorization"] = f"Bearer {Path(token_file).read_text().strip()}"
    for last in (False,) * (TRIES - 1) + (True,):
        try:
            connection.request("POST", f"/predict/{quote(model)}", content, headers)
            answer = connection.getresponse()
            body = json.load(answer)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            connection.close()  # an idle connection that the server has closed; the next request opens another
            if last:
                raise
            continue
        if answer.status != 503 or last:
            return answer.status, body
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    raise AssertionError


def main(address, model, *files):
    connection = connect(address)  # one for all images
    failed = False
    for file in files:
        status, answer = ask(connection, model, Path(file).read_bytes())
        failed |= status != 200
        print(file, answer["error"]["message"] if status != 200 else f"{answer['label']} {answer['probability']:.4f}")
    connection.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
