"""Coordinates of features: centred, scaled, and fewer."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transfer.probe.probes import examples, probabilities, probe, reference, wide
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.row_space import WIDE, coordinates


def test_many_features_of_few_images_give_what_the_full_problem_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = wide()
    assert features.shape[1] > WIDE * len(features)
    assert coordinates(ArrayRows(features)).rows.shape[1] <= 20  # 20 different images, centred, and the ones
    found = probe(features, targets, 5)
    assert abs(probabilities(found, features) - reference(features, targets, found.strength)).max() < 1e-4
    monkeypatch.setattr("transfercli.transfer.probe.row_space.WIDE", 1000)
    assert coordinates(ArrayRows(features)).span is None
    direct = probe(features, targets, 5)
    beyond_the_span = np.random.default_rng(0).permuted(features, axis=1)
    for seen in (features, beyond_the_span):
        assert abs(probabilities(found, seen) - probabilities(direct, seen)).max() < 1e-3
    assert direct.strength == found.strength
    assert np.allclose([loss for _, loss, _ in found.path], [loss for _, loss, _ in direct.path], rtol=0.05)


@pytest.mark.parametrize("make", [examples, wide])
def test_the_way_back_to_raw_features_changes_no_logit(make) -> None:
    features, _ = make()
    found = coordinates(ArrayRows(features))
    theta = np.random.default_rng(0).normal(size=(5, found.rows.shape[1]))
    kernel, bias = found.to_feature_space(theta)
    assert np.allclose(features.astype(np.float64) @ kernel + bias, found.rows @ theta.T, atol=2e-5)


def test_a_feature_that_never_varies_gets_no_weight_however_large_it_is() -> None:
    features, targets = examples(4)
    constant = np.full((len(features), 1), 1e4, "float32")
    with_it, without = probe(np.append(features, constant, 1), targets, 4), probe(features, targets, 4)
    assert not with_it.kernel[-1].any()
    assert with_it.strength == without.strength
    assert np.allclose(with_it.kernel[:-1], without.kernel, atol=1e-4)


def test_what_was_read_of_a_mapped_file_leaves_the_memory() -> None:
    class Mapped(ArrayRows):
        released = 0

        def release(self) -> None:
            Mapped.released += 1

    features, _ = examples()
    coordinates(Mapped(features))
    assert Mapped.released
