"""Workflow of `sample`: write an embedded data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.data.samples.writing import write_sample


@dataclass(frozen=True)
class SampleResult:
    """Sample on disk.

    images: number of images per split; config: a config in the folder that trains on them, or None.
    """

    sample: str
    path: Path
    images: Mapping[str, int]
    classes: tuple[str, ...]
    config: Path | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "sample": self.sample,
            "path": str(self.path),
            "images": dict(self.images),
            "classes": list(self.classes),
        }


def sample(name: str, folder: Path, images: int | None = None) -> SampleResult:
    """Write sample `name` to `folder`.

    images: number of images of a sample that may have more or fewer; None for the usual number.

    Raises `UsageError` if there is no such sample, if its number of images is another one, or if the folder holds
    other files.
    """
    written = write_sample(name, folder, images)
    config = folder / written.config if written.config else None
    return SampleResult(name, folder, written.images, written.classes, config)
