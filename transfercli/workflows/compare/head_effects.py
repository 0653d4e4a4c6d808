"""Effects of single changes on a metric, by heads that are solved again with and without each change.

The players of the game are the changes from the first run to the second; the value of a coalition is the metric, on the
same test images, of the head that is solved with these changes alone. A change is worth its Shapley value: its mean
effect over all orders in which the changes could have been made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import numpy as np

from transfercli.config.schema import TrainingConfig
from transfercli.data.clusters import cluster_indices
from transfercli.data.dataset import Split
from transfercli.data.sources.labels import find_label
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.design_effect import expanded_confidence
from transfercli.evaluation.statistics.intervals import CONFIDENCE, Interval, percentiles
from transfercli.evaluation.statistics.shapley import coalitions, shapley_values
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.text import counted
from transfercli.transfer.probe.probe import MIDDLE, STRENGTHS, solve
from transfercli.transfer.probe.subsets import solve_subsets
from transfercli.workflows.train.training_data import class_weights, sampled_weights

ALWAYS, NEVER = -1, -2  # players of images that both runs trained on, and of validation images
DRAWS = 10  # of the training images, for the spread of another seed
OTHER_FOLDS = 2  # cross-validations of the first and of the last head on other folds, for the spread of the strength
QUANTILE = 1.959963984540054  # two-sided normal, 95%
MOST_PLAYERS = 8  # 256 heads
WORK = 2**8 * 2000 * 512 * 10  # heads x images x features x classes that are solved in seconds
RESAMPLED_NUMBERS = 2.5e8  # heads x test images x resamples


@dataclass(frozen=True)
class TrainingRows:
    """Training images of both runs and validation images of the second.

    Attributes:
        features: float32 [N, D] of each network: before and after the change of network.
        targets: int [N], indices of `labels`.
        player: int [N], number of the change that concerns a row, `ALWAYS` or `NEVER`.
        joins: bool [N], True if the row is there with the change, False if it is there without it.
        groups: name of each row's group, "" for none; empty if no image has one.
    """

    features: tuple[np.ndarray, np.ndarray]
    targets: np.ndarray
    player: np.ndarray
    joins: np.ndarray
    labels: tuple[str, ...]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Game:
    """Changes between two runs, and the images on which they are measured.

    Attributes:
        players: number of changes.
        network, weights: number of the change of network and of class weights, or None.
        settings: training section of the first and of the second run.
        queries: float32 [M, D], features of the test images by each network. truth: int [M], their classes.
        metric: name of a row of METRICS.
        of_image: int [M], the cluster of each test image; None if every image is independent.
    """

    rows: TrainingRows
    players: int
    network: int | None
    weights: int | None
    settings: tuple[TrainingConfig, TrainingConfig]
    queries: tuple[np.ndarray, np.ndarray]
    truth: np.ndarray
    metric: str
    seed: int
    of_image: np.ndarray | None = None

    def setting(self, member: np.ndarray) -> TrainingConfig:
        """Return the training section whose class weights a coalition, bool [players], has."""
        return self.settings[1 if self.weights is None else int(member[self.weights])]

    @cached_property
    def resamples(self) -> np.ndarray:
        """Weights of the test images, float64 [M, 1 + R]: the images themselves, and the resamples of a bootstrap."""
        affordable = int(RESAMPLED_NUMBERS / (2**self.players * len(self.truth)))
        number = int(np.clip(affordable, RESAMPLES // 5, RESAMPLES))
        blocks = resample_weights(self.truth, number, np.random.default_rng(self.seed), self.of_image)
        return np.concatenate([np.ones((len(self.truth), 1)), *blocks], axis=1)

    def score(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the metric of probabilities [M, C] for each column of weights [M, R]."""
        return METRICS[self.metric].rule(Sample(self.truth, probabilities, weights, len(self.truth)))

    def widened(self, values: np.ndarray, spread: float = 0.0) -> Interval | None:
        """Return the interval of a value [0] with its resamples [1:], widened by an independent spread."""
        clusters = None if self.of_image is None else int(self.of_image.max()) + 1
        interval = percentiles(values[1:], expanded_confidence(CONFIDENCE, clusters))
        if interval is None:
            return None if spread == 0 else (float(values[0] - spread), float(values[0] + spread))
        below, above = (float(np.hypot(values[0] - end, spread)) for end in interval)
        return float(values[0]) - below, float(values[0]) + above


@dataclass(frozen=True)
class Effect:
    """Effect of a change on the metric, and its interval; NaN if the metric is not defined."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class HeadEffects:
    """Effects of the changes on solved heads.

    Attributes:
        changes: one per player.
        total: float64 [1 + R], value of all changes minus that of none, in the resamples of the game.
        spread: 95% of the differences between two runs that differ in the draw of their training images are smaller.
        solves: number of heads that were solved.
        strengths: of the heads of none and of all changes.
    """

    changes: tuple[Effect, ...]
    total: np.ndarray
    spread: float
    solves: int
    strengths: tuple[float, float]


def most_players(images: int, width: int, classes: int) -> int:
    """Return the number of changes whose coalitions are solved in seconds, from 2 to `MOST_PLAYERS`."""
    return int(np.clip(np.log2(max(WORK / (images * width * classes), 1)), 2, MOST_PLAYERS))


def measure_effects(game: Game, reporter: Reporter) -> HeadEffects:
    """Solve the heads of all coalitions, and those of other draws of the training images."""
    member = coalitions(game.players)
    present = _present(game.rows, member)
    strengths, doubt = _strengths(game, member, present, reporter)
    reporter.info(f"solving {len(member)} heads for {counted(game.players, 'change')}")
    values = _values(game, member, present, strengths, game.resamples, reporter)
    contributions = shapley_values(values, game.players)
    effects, spread, drawn = _spreads(game, strengths, doubt, reporter)
    return HeadEffects(
        changes=tuple(
            Effect(float(values_of[0]), game.widened(values_of, spread_of))
            for values_of, spread_of in zip(contributions, effects, strict=True)
        ),
        total=values[-1] - values[0],
        spread=spread,
        solves=len(member) + drawn,
        strengths=(float(strengths[0]), float(strengths[-1])),
    )


def _present(rows: TrainingRows, member: np.ndarray) -> np.ndarray:
    """Return the images of each coalition, bool [K, N]."""
    chosen = np.zeros((len(member), len(rows.targets)), bool)
    chosen[:, rows.player == ALWAYS] = True
    concerned = np.flatnonzero(rows.player >= 0)
    chosen[:, concerned] = member[:, rows.player[concerned]] == rows.joins[concerned]
    return chosen


def _ends(players: int) -> list[int]:
    """Return the coalitions of none, of all, of each player alone, and of all but one."""
    everyone = 2**players - 1
    return sorted({0, everyone, *(1 << p for p in range(players)), *(everyone ^ 1 << p for p in range(players))})


def _strengths(game: Game, member: np.ndarray, present: np.ndarray, reporter: Reporter) -> tuple[np.ndarray, float]:
    """Return the strength of the head of each coalition, [K], and the standard deviation of its exponent by the folds.

    A training chooses it by cross-validation, and mislabelled images make it choose a stronger penalty, so it is a part
    of the effect of a change. It is chosen as in a training for the coalitions of `_ends`, and for the others each
    change adds its mean effect on the exponent. Other folds are tried for the coalitions of none and of all.
    """
    ends, last = _ends(game.players), len(member) - 1
    tried = [(coalition, 0) for coalition in ends]
    tried += [(coalition, folds) for coalition in {0, last} for folds in range(1, OTHER_FOLDS + 1)]
    exponents: dict[int, list[float]] = {coalition: [] for coalition in ends}
    for number, (coalition, folds) in enumerate(tried):
        reporter.progress("strengths", number, len(tried), "heads")
        strength = _cross_validated(game, member[coalition], present[coalition], game.seed + folds)
        exponents[coalition].append(np.log10(strength))
    reporter.progress("strengths", len(tried), len(tried), "heads")
    doubt = float(np.sqrt(np.mean([np.var(exponents[coalition], ddof=1) for coalition in (0, last)])))
    exponent = {coalition: values[0] for coalition, values in exponents.items()}
    steps = [
        (exponent[1 << player] - exponent[0] + exponent[last] - exponent[last ^ 1 << player]) / 2
        for player in range(game.players)
    ]
    estimated = [exponent.get(number, exponent[0] + np.dot(each, steps)) for number, each in enumerate(member)]
    return _nearest(np.array(estimated)), doubt


def _nearest(exponents: np.ndarray) -> np.ndarray:
    """Return the strengths of the probe's grid that are nearest to powers of ten."""
    grid = np.array(STRENGTHS)
    return grid[np.abs(np.log10(grid) - exponents[..., None]).argmin(axis=-1)]


def _cross_validated(game: Game, member: np.ndarray, present: np.ndarray, seed: int) -> float:
    """Return the strength that a training on the images of a coalition chooses; `MIDDLE` if it has no two classes."""
    targets = game.rows.targets[present]
    if len(np.unique(targets)) < 2:
        return MIDDLE
    network = 1 if game.network is None else int(member[game.network])
    probe = solve(
        ArrayRows(game.rows.features[network][present]),
        targets,
        len(game.rows.labels),
        class_weights=_class_weights(game.setting(member), targets, game.rows.labels),
        seed=seed,
        reporter=Reporter(),
        groups=tuple(compress(game.rows.groups, present)),
    )
    return probe.strength


def _class_weights(setting: TrainingConfig, targets: np.ndarray, labels: tuple[str, ...]) -> np.ndarray | None:
    """Return the class weights [C] of a run's config on training images; 1 for a class that the run does not know."""
    split = Split("train", (), targets, labels, ArrayRows(np.empty(0)), ())
    given = setting.class_weights
    if isinstance(given, dict):
        named = {name: label for name in given if (label := find_label(name, labels))}
        given = {label: 1.0 for label in labels if label not in named.values()} | {
            label: given[name] for name, label in named.items()
        }
    return sampled_weights(class_weights(given, split), setting.sampling, split)


def _values(
    game: Game, member: np.ndarray, present: np.ndarray, strengths: np.ndarray, columns: np.ndarray, reporter: Reporter
) -> np.ndarray:
    """Return the metric of each coalition, float64 [K, R], for weights of the test images [M, R]."""
    values = np.empty((len(member), columns.shape[1]))
    after = member[:, game.network].astype(int) if game.network is not None else np.ones(len(member), int)
    weights = np.stack([_image_weights(game, *each) for each in zip(member, present, strict=True)])
    for network, strength in sorted({*zip(after.tolist(), strengths.tolist(), strict=True)}):
        chosen = np.flatnonzero((after == network) & (strengths == strength))
        features, queries = game.rows.features[network], game.queries[network]
        heads = solve_subsets(features, game.rows.targets, weights[chosen], queries, strength, reporter)
        for number, probabilities in heads:
            values[chosen[number]] = game.score(_with_all_classes(probabilities, len(game.rows.labels)), columns)
    return values


def _with_all_classes(probabilities: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities [M, C] with a column of zeros for each class behind the last one that has images."""
    return np.pad(probabilities, ((0, 0), (0, classes - probabilities.shape[1])))


def _image_weights(game: Game, member: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the weights of all images in a coalition, float64 [N]."""
    weights = present.astype(np.float64)
    if not present.any():
        return weights
    by_class = _class_weights(game.setting(member), game.rows.targets[present], game.rows.labels)
    return weights if by_class is None else weights * by_class[game.rows.targets]


def _spreads(game: Game, strengths: np.ndarray, doubt: float, reporter: Reporter) -> tuple[np.ndarray, float, int]:
    """Return the spread of each change's effect and of the metric over draws of the images, and the heads solved.

    A draw takes as many images of each class as both runs trained on, out of these and the validation images: what
    another seed of the split does. Images of a group are drawn together. Its strengths vary as those of other folds;
    doubt: standard deviation of their exponents. The effect of a change is that of making it first and of making it
    last.
    """
    everyone, alone, wanted = 2**game.players - 1, [1 << p for p in range(game.players)], _ends(game.players)
    member = coalitions(game.players)[wanted]
    present = _present(game.rows, member)
    rng = np.random.default_rng(game.seed)
    drawn = np.concatenate([_drawn(game.rows, present, rng) for _ in range(DRAWS)])
    columns = np.ones((len(game.truth), 1))
    exponents = np.log10(np.tile(strengths[wanted], DRAWS))
    varied = _nearest(exponents + doubt * rng.standard_normal(len(exponents)))
    found = _values(game, np.tile(member, (DRAWS, 1)), drawn, varied, columns, reporter)
    value = dict(zip(wanted, found.reshape(DRAWS, len(wanted)).T, strict=True))
    effects = [(value[bit] - value[0] + value[everyone] - value[everyone ^ bit]) / 2 for bit in alone]
    spread = float(QUANTILE * np.sqrt(2) * value[everyone].std(ddof=1))
    return np.array([QUANTILE * effect.std(ddof=1) for effect in effects]), spread, len(drawn)


def _drawn(rows: TrainingRows, present: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return coalitions [K, N] on another draw of the images that both runs have in common."""
    chosen = present.copy()
    pool = (rows.player == ALWAYS) | (rows.player == NEVER)
    chosen[:, pool] = False
    of_image = cluster_indices(tuple(compress(rows.groups, pool)))
    if of_image is not None:  # a group may have images of several classes: draw until there are as many images
        sizes = np.bincount(of_image)
        order = rng.permutation(len(sizes))
        taken = order[np.cumsum(sizes[order]) <= (rows.player == ALWAYS).sum()]
        chosen[:, np.flatnonzero(pool)[np.isin(of_image, taken)]] = True
        return chosen
    for label in np.unique(rows.targets[pool]):
        of_class = np.flatnonzero(pool & (rows.targets == label))
        number = int((rows.player[of_class] == ALWAYS).sum())
        chosen[:, rng.permutation(of_class)[:number]] = True
    return chosen
