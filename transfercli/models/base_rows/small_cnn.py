"""Base of a small CNN for tests and tutorials."""

from __future__ import annotations

from transfercli.models.base import Base

ROWS: dict[str, Base] = {
    "small_cnn": Base(
        "transfercli.models.networks.small_cnn:small_cnn",
        32,
        "unit",
        r"^(conv\d)",
        56_320,
        "small CNN",
        minimum=18,
        source="CIFAR-10 tutorials",
    )
}
