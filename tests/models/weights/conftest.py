"""A base without weights."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def base():
    from transfercli.models.classifier import build_base

    return build_base("small_cnn", (32, 32), 3)
