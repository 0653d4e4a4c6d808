"""Arguments that every builder of a network has, as in keras.applications."""

from __future__ import annotations


def check_random_weights(weights: None, include_top: bool, name: str) -> None:
    """Raise `ValueError` if a builder is asked for weights or for a classification top, which none of these has."""
    if weights is not None or include_top:
        raise ValueError(f"{name} has no published Keras weights and no top; received weights={weights!r}")
