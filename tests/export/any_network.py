"""Formats that can represent every network of Keras; the others write the network of another library."""

from __future__ import annotations

from transfercli.export.formats.registry import FORMATS

ANY_NETWORK = tuple(name for name, row in FORMATS.items() if row.check is None)
