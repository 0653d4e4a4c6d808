"""Ranking of bases by predictions of the same images."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.workflows.recommend.ranking import HeldOut, Rank, on_common_images, rank


def bases(*shifts: float, images: int = 200, spread: float = 0.1) -> list[HeldOut]:
    """Return bases whose losses are common to all images but for a shift, and noise of mean 0."""
    rng = np.random.default_rng(0)
    common = rng.exponential(1.0, images)
    found = []
    for shift in shifts:
        noise = rng.normal(0, spread, images)
        losses = common + shift + noise - noise.mean()
        found.append(HeldOut(losses, losses < 1.0))
    return found


def marks(ranks: list[Rank]) -> list[str]:
    return ["*" * each.recommended + "=" * each.tied + "p" * each.pareto for each in ranks]


def test_the_cheapest_base_that_is_as_good_as_the_best_is_recommended() -> None:
    found = bases(0.0, 0.002, 0.3)
    assert [mark.strip("p") for mark in marks(rank(found, [0.1, 0.01, 0.001], None))] == ["=", "*=", ""]


def test_few_images_that_do_not_tell_bases_apart_do_not_show_that_a_cheap_one_is_as_good() -> None:
    ranks = rank(bases(0.0, 0.002, images=8, spread=0.5), [0.1, 0.001], None)
    assert [(each.tied, each.as_good, each.recommended) for each in ranks] == [(True, True, True), (True, False, False)]


def test_a_base_that_is_worse_beyond_noise_is_not_recommended_however_cheap() -> None:
    ranks = rank(bases(0.0, 0.1), [1.0, 0.001], None)
    assert [each.recommended for each in ranks] == [True, False]
    assert ranks[1].difference.log_loss == pytest.approx(0.1, abs=0.03)
    assert ranks[0].difference.log_loss == ranks[0].difference.log_loss_error == 0


def test_times_that_a_busy_machine_does_not_tell_apart_leave_the_choice_to_the_loss() -> None:
    found = bases(0.0, 0.002)
    assert [each.recommended for each in rank(found, [0.0110, 0.0100], None)] == [True, False]
    assert [each.recommended for each in rank(found, [0.0200, 0.0100], None)] == [False, True]


def test_the_error_of_a_difference_is_paired() -> None:
    ranks = rank(bases(0.0, 0.05), [1.0, 1.0], None)
    assert ranks[1].difference.log_loss_error < 0.2 * ranks[1].log_loss_error


def test_images_of_one_group_count_together() -> None:
    one, other = bases(0.0, 0.05, images=40)
    repeated = [HeldOut(np.repeat(each.losses, 5), np.repeat(each.hits, 5)) for each in (one, other)]
    alone, grouped = rank([one, other], [1, 1], None), rank(repeated, [1, 1], np.repeat(np.arange(40), 5))
    for before, after in zip(alone, grouped, strict=True):
        assert after.log_loss_error == pytest.approx(before.log_loss_error, rel=0.05)
        assert after.difference.log_loss_error == pytest.approx(before.difference.log_loss_error, rel=0.05)
        assert np.ptp(after.accuracy_interval) >= np.ptp(before.accuracy_interval) * 0.9


def test_images_that_were_never_held_out_do_not_count() -> None:
    (base,) = bases(0.0, images=10)
    more = HeldOut(np.append(base.losses, np.nan), np.append(base.hits, False))
    assert rank([more], [1.0], None) == rank([base], [1.0], None)


def test_images_that_one_base_was_trained_on_count_for_no_base() -> None:
    good, flattered = bases(0.0, 0.3)
    learnt = np.arange(200) < 150
    flattered = HeldOut(np.where(learnt, 0.0, flattered.losses), flattered.hits | learnt)
    assert rank([good, flattered], [1.0, 1.0], None)[1].recommended
    common = on_common_images([good, flattered.of(~learnt)], 10)
    assert [base.known.sum() for base in common] == [50, 50]
    assert rank(common, [1.0, 1.0], None)[0].recommended
    assert on_common_images([good, flattered.of(~learnt)], 51)[0] is good


def test_a_base_is_on_the_front_unless_another_is_as_accurate_and_as_fast() -> None:
    losses = np.zeros(10)
    accuracies = (9, 9, 8, 7)
    found = [HeldOut(losses, np.arange(10) < right) for right in accuracies]
    assert [each.pareto for each in rank(found, [2.0, 1.0, 1.5, 0.5], None)] == [False, True, False, True]


def test_a_single_base_is_the_best() -> None:
    assert marks(rank(bases(0.0), [1.0], None)) == ["*=p"]
