"""Stores of remote objects: the calls that the rest of the package needs, and the errors that they raise."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from transfercli.io.addresses import is_loopback, scheme_of, without_secrets

CONNECT_SECONDS = 10
READ_SECONDS = 15  # without a byte; a thread that reads delays a stop, which may take 20 s, by as long
NAMES_PER_PAGE = 20  # as many objects are worth a page of a listing, which may show none of them
PART_BYTES = 8 * 1024 * 1024  # bounds the memory of a transfer

_QUERY = re.compile(r"(?<=\w)\?[^\s'\"<>)]*|(?<=://)[^/\s'\"@]*@")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """Object of a store.

    Attributes:
        address: without secrets.
        size: in bytes; -1 if the server does not say.
        version: text that changes with the content: an ETag, a generation or a time; "" if the server gives none.
    """

    address: str
    size: int
    version: str


class Store(Protocol):
    """Server of objects. Every call raises `RemoteError` and nothing else, and ends in bounded time."""

    def files_below(self, address: str) -> Iterator[RemoteFile]:
        """Yield every object below a folder, at any depth."""

    def named_in(self, address: str, names: Collection[str]) -> Iterator[RemoteFile]:
        """Yield those of the named objects of a folder that a listing shows with fewer requests than asking for each.

        None of them, if the store lists no folders; objects further down are not listed.
        """

    def file_at(self, address: str) -> RemoteFile:
        """Return the object at an address."""

    def read(self, address: str, start: int, size: int) -> Iterator[bytes]:
        """Yield the content of an object of `size` bytes from byte `start` on, in parts of `PART_BYTES` at most.

        size: -1 if it is not known.
        """


class RemoteError(Exception):
    """Raised if an object or a folder cannot be had.

    Attributes:
        reason: without secrets.
        hint: the fix.
        may_pass: True if the same call may succeed later, as after a time-out.
    """

    may_pass = False

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class MissingError(RemoteError):
    """Raised if the server has no such object, bucket or repository (404)."""


class DeniedError(RemoteError):
    """Raised if the server refuses access (401, 403), or if there are no credentials."""


class PastEndError(RemoteError):
    """Raised if bytes are asked for that begin at the end of an object, or after it (416)."""


class UnavailableError(RemoteError):
    """Raised if the server cannot be reached, takes too long or reports a failure of its own."""

    may_pass = True


_CREDENTIALS = {
    "s3": "credentials come from the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE of"
    " ~/.aws; AWS_ENDPOINT_URL names another server than Amazon's",
    "gs": "credentials come from the environment: GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default"
    " login`",
    "hf": "credentials come from the environment: HF_TOKEN, or `hf auth login`; accept the conditions of a gated"
    " repository on its page",
    "https": "give an address that needs no login, or one of an object store",
}


def denied(address: str, reason: str = "") -> DeniedError:
    """Return the error for an address that the server does not let this user read."""
    scheme = scheme_of(address)
    return DeniedError(
        f"{without_secrets(address)}: access denied (403){f': {scrubbed(reason)}' if reason else ''}",
        f"check the permissions for reading and listing it; {_CREDENTIALS.get(scheme, _CREDENTIALS['https'])}",
    )


def missing(address: str) -> MissingError:
    """Return the error for an address that the server does not know."""
    return MissingError(
        f"{without_secrets(address)}: does not exist on the server (404)",
        "check the spelling of bucket and path, which are case-sensitive"
        + (", and the server: AWS_ENDPOINT_URL" if scheme_of(address) == "s3" else ""),
    )


def unavailable(address: str, reason: str) -> UnavailableError:
    """Return the error for a server that does not answer."""
    hint = "start the server" if scheme_of(address) == "http" and is_loopback(address) else "check the network"
    if scheme_of(address) == "s3":
        hint += " and AWS_ENDPOINT_URL"
    return UnavailableError(f"{without_secrets(address)}: the server cannot be read: {scrubbed(reason)}", hint)


def scrubbed(text: str) -> str:
    """Return the first line of a library's message without the queries and users of addresses in it."""
    lines = text.strip().splitlines()
    return _QUERY.sub("", lines[0])[:300] if lines else ""
