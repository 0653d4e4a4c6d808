"""Words of the choice between solved heads."""

from __future__ import annotations

import pytest

from transfercli.transfer.choice import Tried, in_words


@pytest.mark.parametrize("images, text", [(999, "heads (means of 3 repeats): "), (1000, "heads: ")])
def test_figures_that_are_means_of_repeats_say_so(images: int, text: str) -> None:
    tried = [Tried("linear_probe", 0.9, 0.01, 0.3, 0.02, 1.0, chosen=True)]
    assert f"auto: cross-validated {text}linear_probe accuracy 0.9000" in in_words(tried, images)
