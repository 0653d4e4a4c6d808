"""A vision transformer small enough for tests, and rows of the table of bases for it."""

from __future__ import annotations

from dataclasses import replace

from transfercli.models.base import Base
from transfercli.models.bases import BASES
from transfercli.models.networks.transformer import Transformer


def tiny_transformer(name: str = "tiny_vit", **settings) -> Base:
    """Return the row of a transformer of 3 blocks, for images of 64 pixels: 4 x 4 patches."""
    architecture = Transformer(**{"patch": 16, "width": 24, "depth": 3, "heads": 3, **settings})
    return replace(
        BASES["vit_small_patch16"],
        size=64,
        settings={"name": name, "architecture": architecture},
        prefix_tokens=architecture.prefix_tokens,
        patch=architecture.patch,
    )


ROWS = {"tiny_vit": tiny_transformer(), "tiny_vit_registers": tiny_transformer("tiny_vit_registers", registers=2)}
