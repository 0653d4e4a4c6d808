"""The forward pass: float32, a batch at a time."""

from __future__ import annotations

import numpy as np

from tests.models.classifiers import PIXELS, build


def test_an_image_gives_the_same_bits_whatever_batch_it_came_in() -> None:
    from transfercli.models.forward import forward
    from transfercli.reporting import Reporter
    from transfercli.rows import ArrayRows

    model = build().model
    all_of_them = forward(model, ArrayRows(np.repeat(PIXELS, 5, axis=0)), 8, Reporter())
    alone = forward(model, ArrayRows(PIXELS[:1]), 8, Reporter())
    assert (all_of_them[0] == alone[0]).all()
