"""The interval of a merged model's gain."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.workflows.merge.gains import gain


def test_the_interval_is_as_wide_as_that_of_a_share_of_few_images() -> None:
    before = np.zeros(33)
    merged = (np.arange(33) < 5).astype(float)  # 5 images, all of one or two classes, are right now
    found = gain(before, merged, [""] * 33, 0)
    assert found.merged - found.before == pytest.approx(5 / 33)
    assert found.interval is not None
    low, high = found.interval
    error = np.sqrt(5 / 33 * 28 / 33 / 33)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)
