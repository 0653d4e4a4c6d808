"""Addresses of remote data, such as `s3://bucket/images`: schemes, secrets in them, and the place of a local copy."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

SCHEMES = ("s3", "gs", "hf", "https", "http")
COPIES = "remote"  # folder of the local copies, in the folder of the caches
HIDDEN = "…"
LOOPBACK = "127.0.0.1"  # of this machine alone

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://", re.IGNORECASE)
_WITHOUT_SLASH = re.compile(rf"^((?:{'|'.join(SCHEMES)}):)/(?!/)", re.IGNORECASE)
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
# Keys of a query that grant access: signatures of AWS, Google and Azure, whose other keys change with each signature,
# and the usual names of tokens.
_SIGNATURE = re.compile(r"x-(amz|goog)-.*|awsaccesskeyid|googleaccessid|signature|sig", re.IGNORECASE)
_TOKEN = re.compile(r".*(token|secret|passw|credential|auth|api_?key).*|key|pwd|jwt", re.IGNORECASE)
_IN_TEXT = re.compile(rf"{_ADDRESS.pattern}[^\s'\",\]}}]+", re.IGNORECASE)
_USER = re.compile(r"://[^/?#]*@")
_MAX_PART = 240  # bytes of a part of a name; file systems allow 255, and temporary files add to it


def is_remote(text: str) -> bool:
    """Return True for an address that data can be read from."""
    return _ADDRESS.match(text) is not None


def scheme_of(address: str) -> str:
    """Return the scheme of an address, in lower case."""
    return address.partition("://")[0].lower()


def without_secrets(address: str) -> str:
    """Return an address without user, password and fragment, and without what grants access in its query."""
    if has_user(address):
        address = _USER.sub("://", address)
    if scheme_of(address) not in ("http", "https"):
        return address
    place, mark, query = address.partition("#")[0].partition("?")
    query = _public(query)
    return place + mark + query if query else place


def without_secrets_in(text: str) -> str:
    """Return a text without the secrets of the addresses in it, such as `data.train=s3://user:password@bucket/a`."""
    return _IN_TEXT.sub(lambda found: without_secrets(found[0]), text)


def has_user(address: str) -> bool:
    """Return True if a user or a password stands before the host; `hf://datasets/a/b@main` has none."""
    return _USER.search(address) is not None and scheme_of(address) != "hf"


def _public(query: str) -> str:
    """Return a query without tokens; "" for a signed one."""
    parts = [(part.partition("=")[0], part) for part in query.split("&")]
    if any(_SIGNATURE.fullmatch(key) for key, _ in parts):
        return ""
    return "&".join(part for key, part in parts if not _TOKEN.fullmatch(key))


def as_given(path: Path | str) -> str:
    """Return the text of a path as it was given: the address `s3://a/b` loses a slash when it is made a path."""
    return _WITHOUT_SLASH.sub(r"\1//", str(path))


def problem_of(address: str) -> str:
    """Return why an address in a config is refused, without its secrets, or ""."""
    shown = without_secrets(address)
    if has_user(address):
        return f"{shown!r} was given with a user or a password; credentials are read from the environment alone"
    if shown != address.partition("#")[0]:
        return (
            f"{shown!r} was given with a signature or a token in its query, which a run would store; credentials are"
            " read from the environment alone, and signed addresses belong into a table"
        )
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return f"{shown!r} is not an address"
    if not host:
        return f"{shown!r} names no bucket or host; allowed: addresses such as s3://BUCKET/images"
    if scheme_of(address) == "http" and not is_loopback(address):
        return f"{shown!r}: data is read over https alone; http is allowed for this machine (localhost)"
    return ""


def is_loopback(address: str) -> bool:
    """Return True if the host of an address is this machine."""
    return _LOOPBACK.fullmatch((urlsplit(address).hostname or "").lower()) is not None


def joined(address: str, name: str) -> str:
    """Return the address of a name below an address."""
    return f"{address.rstrip('/')}/{name}"


def local_copy(address: str, cache: Path) -> Path:
    """Return the path of the local copy of an address, below the folder of the caches.

    Raises `ValueError` if a part of the address cannot be the name of a file, such as `..`.
    """
    scheme, _, rest = without_secrets(address).partition("://")
    parts = rest.rstrip("/").split("/")
    if not all(map(_is_name, parts)):
        raise ValueError(f"{without_secrets(address)!r} has a part that cannot be the name of a file")
    return Path(cache, COPIES, scheme.lower(), *parts)


def address_of(path: Path | str, cache: Path) -> str:
    """Return the address of a local copy; the inverse of `local_copy`. Raises `ValueError` for other paths."""
    parts = Path(path).relative_to(cache / COPIES).parts
    if len(parts) < 2 or parts[0] not in SCHEMES:
        raise ValueError(f"{str(path)!r} is no local copy")
    return f"{parts[0]}://{'/'.join(parts[1:])}"


def with_addresses(text: str, cache: Path) -> str:
    """Return a message in which paths of local copies are replaced by the addresses that they are fetched from."""
    return re.sub(rf"{re.escape(str(cache / COPIES))}/({'|'.join(SCHEMES)})/", r"\1://", text)


def _is_name(part: str) -> bool:
    """Return True if a part of an address can be the name of a file."""
    encoded = part.encode("utf-8", "surrogateescape")
    return part not in ("", ".", "..") and b"\0" not in encoded and len(encoded) <= _MAX_PART
