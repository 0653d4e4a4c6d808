"""What an artefact must know beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """labels: class names in index order. image_size: (height, width) in pixels. resize: stretch, crop or pad."""

    labels: tuple[str, ...]
    image_size: tuple[int, int]
    resize: str = "stretch"
