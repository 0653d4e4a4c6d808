"""Whether keeping features pays."""

from __future__ import annotations

from dataclasses import replace

from transfercli.transfer.features.cost_model import Boundary, why_not

DEEP = Boundary(multiplications=4e9, row_bytes=8192, images=100, rows=100, epochs=10)  # ResNet50 at 224, pooled
SHALLOW = replace(DEEP, multiplications=1e7, row_bytes=3_000_000)  # behind a first convolution


def test_pooled_features_of_a_deep_base_are_kept_and_large_maps_of_a_cheap_one_are_not() -> None:
    assert why_not(DEEP, 1e12) == ""
    assert "would not pay" in why_not(SHALLOW, 1e12)


def test_a_single_epoch_does_not_pay_and_neither_do_as_many_views_as_epochs() -> None:
    assert "1 epoch would not pay" in why_not(replace(DEEP, epochs=1), 1e12)
    assert "would not pay" in why_not(replace(DEEP, rows=1000), 1e12)
    assert why_not(replace(DEEP, rows=400), 1e12) == ""


def test_no_room_is_said_with_the_figures_even_where_features_are_required() -> None:
    large = replace(DEEP, row_bytes=10**8)
    assert why_not(large, 2e9, required=True) == "they need 10.0 GB, and there is room for 2.0 GB"


def test_required_features_are_kept_though_they_do_not_pay() -> None:
    assert why_not(SHALLOW, 1e12, required=True) == ""
