"""A listener that keeps what it is warned of."""

from __future__ import annotations

from transfercli.reporting import Reporter


class Heard(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)
