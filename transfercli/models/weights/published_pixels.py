"""Pixels that a published network was trained on, from the config.json of its repository.

Weights of one network with other means of its pixels fit tensor by tensor and give other features.
"""

from __future__ import annotations

from typing import Any

from transfercli.models.bases import BASES

TOLERANCE = 0.01  # published means are rounded to different digits
# Mean and standard deviation of each colour, of pixels from 0 to 1, of rows of `models/preprocessing.py`.
COLOURS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "torch": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.481, 0.458, 0.408), (0.269, 0.261, 0.276)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def contradicts(base: str, settings: dict[str, Any]) -> str | None:
    """Return the mean and standard deviation of a repository's config.json if a base prepares images in another way.

    None if they agree, or if the config or the base's row does not say.
    """
    wanted, published = COLOURS.get(BASES[base].preprocessing), _published(settings)
    if wanted is None or published is None or _near(wanted, published):
        return None
    return f"mean {list(published[0])} and standard deviation {list(published[1])}"


def _near(one: tuple[tuple[float, ...], ...], other: tuple[tuple[float, ...], ...]) -> bool:
    """Return True if all numbers agree; ImageNet's and CLIP's standard deviations tell their close means apart."""
    pairs = zip((*one[0], *one[1]), (*other[0], *other[1]), strict=True)
    return all(abs(a - b) <= TOLERANCE for a, b in pairs)


def _published(settings: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return (mean, standard deviation) of timm's `pretrained_cfg`; None if it has none of three numbers each."""
    section = settings.get("pretrained_cfg")
    values = [section.get(key) for key in ("mean", "std")] if isinstance(section, dict) else []
    triples = [
        tuple(float(number) for number in value)
        for value in values
        if isinstance(value, list) and len(value) == 3 and all(type(number) in (int, float) for number in value)
    ]
    return (triples[0], triples[1]) if len(triples) == 2 else None
