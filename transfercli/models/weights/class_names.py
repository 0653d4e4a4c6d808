"""Names of the classes of a published classifier, from the config.json of its repository."""

from __future__ import annotations

import re
from typing import Any

MAX_NAME = 200  # characters
PLACEHOLDER = re.compile(r"LABEL_\d+")  # the names that transformers writes if none were given


def class_names(settings: dict[str, Any], classes: int) -> tuple[str, ...]:
    """Return the names in the order of the head's outputs; empty if there are none, or not one for each class.

    settings: content of config.json, of timm (`label_names`) or of transformers (`id2label`).
    """
    inner = settings.get("pretrained_cfg")
    for section in (settings, inner if isinstance(inner, dict) else {}):
        names = section.get("label_names") or _by_number(section.get("id2label"))
        if isinstance(names, list) and len(names) == classes:
            texts = tuple(name.strip() for name in names if isinstance(name, str))
            if len(set(texts)) == classes and all(map(_is_name, texts)):
                return texts
    return ()


def _by_number(names: Any) -> list[Any] | None:
    """Return the values of {"0": …, "1": …} in the order of the numbers, or None if these are others."""
    if not isinstance(names, dict):
        return None
    numbers = [str(number) for number in range(len(names))]
    return [names[number] for number in numbers] if names.keys() == set(numbers) else None


def _is_name(text: str) -> bool:
    """Return True for a name that a folder of images can have."""
    if text in ("", ".", "..") or "/" in text or len(text) > MAX_NAME:
        return False
    return text.isprintable() and not PLACEHOLDER.fullmatch(text)
