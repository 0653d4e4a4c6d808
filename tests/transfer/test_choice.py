"""Words of the choice between solved heads."""

from __future__ import annotations

import pytest

from transfercli.transfer.choice import Tried, in_words, repeats_of


@pytest.mark.parametrize(
    "images, in_seconds, text",
    [(999, False, "heads (means of 3 repeats): "), (1000, False, "heads: "), (999, True, "heads: ")],
)
def test_figures_that_are_means_of_repeats_say_so(images: int, in_seconds: bool, text: str) -> None:
    tried = [Tried("linear_probe", 0.9, 0.01, 0.3, 0.02, 1.0, chosen=True)]
    words = in_words(tried, repeats_of(images, in_seconds=in_seconds))
    assert f"auto: cross-validated {text}linear_probe accuracy 0.9000" in words
