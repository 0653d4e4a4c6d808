"""Batches whose rows are shared out over devices."""

import numpy as np
import pytest

from transfercli.data.batching.batches import Batches, Share
from transfercli.rows import ArrayRows


def batches(count, share, **options):
    rows = np.arange(count * 2, dtype="float32").reshape(count, 2)
    return Batches(ArrayRows(rows), np.arange(count) % 3, 8, seed=1, share=share, **options)


@pytest.mark.parametrize(
    "rows, share, sizes, padding",
    [
        (20, Share(), [8, 8, 4], 0),
        (20, Share(4), [8, 8, 4], 0),
        (19, Share(4), [8, 8, 4], 1),
        (17, Share(4), [8, 8, 4], 3),
        (19, Share(4, drops=True), [8, 8], 0),
        (22, Share(4, drops=True), [8, 8, 4], 0),
        (3, Share(4, drops=True), [4], 1),  # nothing would be left
    ],
)
def test_the_last_batch_divides_by_the_devices(rows, share, sizes, padding):
    shared = batches(rows, share)
    assert [len(shared[number][1]) for number in range(len(shared))] == sizes
    assert shared.padding == padding
    assert shared.rows_per_epoch == sum(sizes) - padding


def test_added_rows_have_no_weight_and_the_mean_stays_that_of_the_batch():
    alone, shared = batches(19, Share()), batches(19, Share(4))
    (x, y, weights), (padded_x, padded_y, padded_weights) = alone[2], shared[2]
    assert np.array_equal(padded_x[:3], x)
    assert np.array_equal(padded_y[:3], y)
    assert padded_weights[3:].tolist() == [0.0]
    losses = np.array([1.0, 2.0, 4.0])
    assert (padded_weights * [*losses, 100.0]).mean() == pytest.approx((weights * losses).mean())


def test_other_rows_are_left_out_in_every_epoch():
    shared, seen = batches(19, Share(4, drops=True)), set()
    for epoch in range(8):
        shared.set_epoch(epoch)
        rows = np.concatenate([shared[number][0][:, 0] for number in range(len(shared))])
        assert len(np.unique(rows)) == 16
        seen |= set(rows.tolist())
    assert len(seen) == 19
