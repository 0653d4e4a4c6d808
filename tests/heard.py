"""A listener that keeps what it is warned of."""

from __future__ import annotations

from transfercli.reporting import Events


class Heard(Events):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)
