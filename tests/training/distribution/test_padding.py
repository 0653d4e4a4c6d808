"""A padded last batch trains as the batch without padding does; the arithmetic is that of every backend."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.trainers import tensors, trainer
from transfercli.data.batching.batches import Batches, Share
from transfercli.rows import ArrayRows
from transfercli.training.phases import Phase


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5, 1.0, 3.0]])
def test_padded_batches_give_the_same_weights_loss_and_accuracy(digits, weights):
    results = []
    for share in (Share(), Share(8)):
        training = trainer(digits, [Phase("none", 2, 0.01)])
        rows = digits.rows_of(5, 125)  # the last batch of 32 has 29 rows
        images, targets = digits.rgb(rows, 32), digits.labels[rows].astype("int32")
        batches = Batches(ArrayRows(images), targets, 32, seed=0, class_weights=weights, share=share)
        whole = training.set_up_phase
        training.set_up_phase = lambda phase, whole=whole, batches=batches: replace(whole(phase), batches=batches)
        lines = []
        training.keep = lambda progress, *_, lines=lines: lines.append(progress.line)
        training.run()
        results.append((tensors(training), lines))
    (alone, expected), (shared, lines) = results
    for name, value in alone.items():
        np.testing.assert_allclose(shared[name], value, atol=1e-5, err_msg=name)
    for line, one in zip(lines, expected, strict=True):
        assert line["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert line["accuracy"] == pytest.approx(one["accuracy"], abs=1e-6)
