"""Defaults of `serve`, as its options show them and its requests meet them; importable without the server."""

from __future__ import annotations

MEBIBYTE = 2**20
QUEUE_IMAGES = 512  # that may wait for one model
SECONDS = 30.0  # for an answer
MOST_MEBIBYTES = 64  # of a request
