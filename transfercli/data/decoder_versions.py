"""Versions of the libraries that decode images: another version may give other pixels for the same file."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = ("libjpeg_turbo", "jpg", "libtiff", "webp", "avif", "littlecms2")  # in Pillow, by its names
_DIGITS = 8


@cache
def decoder_versions() -> dict[str, str]:
    """Return the version of each library; libraries that are not installed are left out."""
    from PIL import features

    found = {"pillow": features.version("pil"), "pillow-heif": _package_version("pillow-heif")}
    found |= {name: features.version(name) for name in _LIBRARIES}
    return {name: text for name, text in found.items() if text}


def decoder_digest() -> str:
    """Return a short name of all versions, for keys of caches."""
    return hashlib.sha256(json.dumps(decoder_versions(), sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
