"""What training reads its batches from."""

from __future__ import annotations

import numpy as np


def test_a_pipeline_is_made_once_and_serves_every_epoch_in_its_own_order() -> None:
    from transfercli.data.batching.batches import Batches
    from transfercli.rows import ArrayRows
    from transfercli.training.backend import input_pipeline

    rows = np.arange(50, dtype=np.uint8).reshape(10, 5)
    batches = Batches(ArrayRows(rows), np.arange(10), 4, seed=0, class_weights=np.arange(10) / 9)
    served = input_pipeline(batches)
    orders = []
    for epoch in (1, 2, 1):
        batches.set_epoch(epoch)
        found = list(served)
        assert len(found) == len(served) == 3
        for batch, number in zip(found, range(3), strict=True):
            for part, wanted in zip(batch, batches[number], strict=True):
                assert np.asarray(part).dtype == wanted.dtype
                assert np.array_equal(part, wanted)
        orders.append(np.concatenate([batch[1] for batch in found]).tolist())
    assert orders[0] == orders[2] != orders[1]
