"""Whether keeping features pays."""

from __future__ import annotations

from dataclasses import replace

from transfercli.transfer.features.cost_model import CachingCost, reason_not_to_cache

DEEP = CachingCost(multiplications=4e9, row_bytes=8192, images=100, rows=100, epochs=10)  # ResNet50 at 224, pooled
SHALLOW = replace(DEEP, multiplications=1e7, row_bytes=3_000_000)  # behind a first convolution


def test_pooled_features_of_a_deep_base_are_kept_and_large_maps_of_a_cheap_one_are_not() -> None:
    assert reason_not_to_cache(DEEP, 1e12) == ""
    assert "saves no time" in reason_not_to_cache(SHALLOW, 1e12)


def test_a_single_epoch_does_not_pay_and_neither_do_as_many_views_as_epochs() -> None:
    assert "with 1 epoch, computing and reading them saves no time" in reason_not_to_cache(
        replace(DEEP, epochs=1), 1e12
    )
    assert "saves no time" in reason_not_to_cache(replace(DEEP, rows=1000), 1e12)
    assert reason_not_to_cache(replace(DEEP, rows=400), 1e12) == ""


def test_no_room_is_said_with_the_figures_even_where_features_are_required() -> None:
    large = replace(DEEP, row_bytes=10**8)
    assert reason_not_to_cache(large, 2e9, required=True) == "they need 10.0 GB, but only 2.0 GB are free"


def test_required_features_are_kept_though_they_do_not_pay() -> None:
    assert reason_not_to_cache(SHALLOW, 1e12, required=True) == ""
