"""Effects of changes on heads that are solved again, on the pixels of the digits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.digits import all_digits
from transfercli.config.schema import TrainingConfig
from transfercli.evaluation.metrics.registry import value_of
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.probe import solve
from transfercli.workflows.compare.head_effects import (
    ALWAYS,
    NEVER,
    Game,
    HeadEffects,
    TrainingRows,
    _drawn,
    measure_effects,
    most_players,
)

PLAIN = TrainingConfig()
WRONG = 15  # images of 8 that are shown as 9


def game(*, weights: bool = False, network: bool = False) -> Game:
    """A game on 200 digits: player 0 relabels `WRONG` images, player 1 adds 40 images."""
    digits = all_digits()
    features = digits.features.astype(np.float32)
    rows = np.arange(300)
    targets, player = digits.labels[rows].copy(), np.full(300, ALWAYS)
    player[200:240], player[240:] = 1, NEVER
    wrong = np.flatnonzero((targets == 8) & (player == ALWAYS))[:WRONG]
    player[wrong] = 0
    rows, targets, player = (np.append(part, part[wrong]) for part in (rows, targets, player))
    joins = np.ones(len(rows), bool)
    joins[wrong] = False
    targets[-len(wrong) :] = 9
    first = features[rows] * (np.arange(64) < 32) if network else features[rows]
    test = np.arange(300, 800)
    queries = features[test] * (np.arange(64) < 32) if network else features[test]
    heavy = TrainingConfig(class_weights={str(label): 100.0 if label == 1 else 1.0 for label in range(10)})
    return Game(
        rows=TrainingRows((first, features[rows]), targets, player, joins, tuple(map(str, range(10)))),
        players=2 + weights + network,
        network=2 if network else None,
        weights=2 + network if weights else None,
        settings=(PLAIN, heavy if weights else PLAIN),
        queries=(queries, features[test]),
        truth=digits.labels[test],
        metric="accuracy",
        seed=0,
    )


def accuracy(one: Game, chosen: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The accuracy of a probe of the chosen rows, as a training solves it."""
    probe = solve(
        ArrayRows(one.rows.features[1][chosen]),
        one.rows.targets[chosen],
        10,
        class_weights=weights,
        seed=0,
        reporter=Reporter(),
    )
    logits = one.queries[1] @ probe.kernel + probe.bias
    value = value_of("accuracy", one.truth, np.exp(logits - logits.max(1, keepdims=True)))
    assert value is not None
    return value


@pytest.fixture(scope="module")
def effects() -> HeadEffects:
    return measure_effects(game(), Reporter())


def test_parts_sum_to_the_difference_of_two_probes(effects: HeadEffects) -> None:
    one = game()
    first = (one.rows.player == ALWAYS) | ((one.rows.player == 0) & ~one.rows.joins)
    second = (one.rows.player == ALWAYS) | (one.rows.player == 1) | ((one.rows.player == 0) & one.rows.joins)
    assert sum(effect.value for effect in effects.changes) == pytest.approx(effects.total[0])
    assert effects.total[0] == pytest.approx(accuracy(one, second) - accuracy(one, first), abs=0.005)
    assert effects.solves == 4 + 10 * 4


def test_wrong_labels_cost_and_new_images_help(effects: HeadEffects) -> None:
    wrong, new = effects.changes
    assert wrong.value < -0.02
    assert new.value > 0
    for effect in effects.changes:
        assert effect.interval is not None
        assert effect.interval[0] < effect.value < effect.interval[1]
    assert 0 < effects.spread < 0.1


def test_the_same_game_has_the_same_effects_to_the_bit(effects: HeadEffects) -> None:
    assert measure_effects(game(), Reporter()).changes == effects.changes


def test_class_weights_and_the_network_are_changes_too() -> None:
    one = game(weights=True, network=True)
    found = measure_effects(one, Reporter())
    _, _, network, weights = found.changes
    assert network.value > 0.02  # half of the pixels were not seen before
    assert weights.value < 0
    assert found.solves == 16 + 10 * 10


def test_a_class_that_only_the_second_run_has_is_worth_its_images() -> None:
    one = game()
    rows = one.rows
    new = (rows.targets == 3) & (rows.player == ALWAYS)
    player = np.where(new, 1, np.where(rows.player == 1, NEVER, rows.player))
    moved = TrainingRows(rows.features, rows.targets, player, rows.joins, rows.labels)
    found = measure_effects(
        Game(moved, 2, None, None, one.settings, one.queries, one.truth, one.metric, one.seed), Reporter()
    )
    assert 0.04 < found.changes[1].value < (one.truth == 3).mean()


def test_runs_that_share_no_image_have_a_difference_too() -> None:
    one = game()
    rows = one.rows
    here = rows.player != NEVER
    player = np.where(here, (np.arange(len(rows.player)) >= 100).astype(int), NEVER)
    unrelated = TrainingRows(rows.features, rows.targets, player, player == 1, rows.labels)
    balanced = TrainingConfig(class_weights="balanced")
    settings, queries = (balanced, balanced), one.queries
    found = measure_effects(
        Game(unrelated, 2, None, None, settings, queries, one.truth, one.metric, one.seed), Reporter()
    )
    removed, added = found.changes
    assert removed.value < 0 < added.value


@pytest.mark.parametrize(
    "images, width, classes, players",
    [(200, 64, 10, 8), (2000, 512, 10, 8), (20000, 512, 10, 4), (10**6, 2048, 100, 2)],
)
def test_larger_data_has_fewer_groups(images: int, width: int, classes: int, players: int) -> None:
    assert most_players(images, width, classes) == players


def test_an_interval_is_widened_by_an_independent_spread() -> None:
    values = np.append(1.0, 1 + np.linspace(-3, 3, 1001))
    low, high = game().widened(values) or (0, 0)
    assert (low, high) == pytest.approx((-1.85, 3.85), abs=0.02)
    assert game().widened(values, 4.0) == pytest.approx((1 - np.hypot(1 - low, 4), 1 + np.hypot(high - 1, 4)))
    assert game().widened(np.ones(10)) is None
    assert game().widened(np.ones(10), 0.5) == (0.5, 1.5)


def test_images_of_a_group_are_resampled_drawn_and_folded_together() -> None:
    one = game()
    groups = tuple(str(number // 10) for number in range(len(one.rows.targets)))
    grouped = replace(one, rows=replace(one.rows, groups=groups), of_image=np.arange(len(one.truth)) // 10)
    weights = grouped.resamples.reshape(-1, 10, grouped.resamples.shape[1])
    assert (weights == weights[:, :1]).all()
    drawn = _drawn(grouped.rows, np.zeros((1, len(groups)), bool), np.random.default_rng(0))[0]
    pool = np.isin(grouped.rows.player, (ALWAYS, NEVER))
    assert 0 < drawn.sum() <= (grouped.rows.player == ALWAYS).sum()
    for name in set(groups):
        of_group = pool & (np.array(groups) == name)
        assert len(set(drawn[of_group])) <= 1
    values = np.r_[0.5, np.random.default_rng(0).normal(0.5, 0.1, 200)]
    wide, plain = grouped.widened(values), one.widened(values)
    assert wide is not None
    assert plain is not None
    assert wide[0] < plain[0] < plain[1] < wide[1]
