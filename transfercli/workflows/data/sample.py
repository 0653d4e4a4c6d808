"""Workflow of `sample`: write an embedded image folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.data.samples import write_sample


@dataclass(frozen=True)
class SampleResult:
    """Sample on disk. images: number of images per split."""

    sample: str
    path: Path
    images: dict[str, int]
    classes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "sample": self.sample,
            "path": str(self.path),
            "images": self.images,
            "classes": list(self.classes),
        }


def sample(name: str, folder: Path) -> SampleResult:
    """Write sample `name` to `folder`.

    Raises `UsageError` if there is no such sample, or if the folder holds other files.
    """
    written = write_sample(name, folder)
    return SampleResult(name, folder, {"train": written.train, "test": written.test}, written.classes)
