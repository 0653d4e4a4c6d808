"""The HTML page of `sweep --report FILE`: the winner, all trials as lines, the importance of each key, and a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from transfercli.config.differing_keys import public_text, short_names
from transfercli.evaluation.report.html import jinja_environment, load_script
from transfercli.evaluation.report.search.charts import (
    SearchedTrial,
    best_so_far_chart,
    progress_words,
    score_range,
    scored_trials,
    slice_chart,
    slice_words,
)
from transfercli.evaluation.report.search.parallel_coordinates import (
    CHOICE_LENGTH,
    CoordinateLine,
    SearchAxis,
    parallel_coordinates,
)
from transfercli.evaluation.statistics.importance import FEWEST_TRIALS, RESAMPLES, SHUFFLES, KeyImportance
from transfercli.text import counted, duration

LISTED = 20  # trials beside the winner in its table
REASONS = 5  # of failure, in the verdict
CONTENTS = {
    "verdict": "Winner",
    "search": "Search",
    "parallel": "All trials",
    "importance": "Importance",
    "progress": "Best so far",
    "slices": "Score by key",
    "trials": "Table",
    "use": "How to use it",
}


@dataclass(frozen=True, slots=True)
class Score:
    """Score and its 95% interval, if it has one."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Rival:
    """Trial that may be the best. difference: of its score to the winner's; error: standard error of that difference.

    cost: of one prediction as a share of the winner's; None if unknown.
    """

    trial: int
    score: float
    difference: float
    error: float
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The best trial.

    naive: its score in the search; corrected: without the luck of the choice; test: on the test images. None: unknown.
    corrected_words, test_words: what stands below the two.
    sentences: on what the scores say.
    rivals: the trials that the images cannot distinguish, the winner first; empty if unknown.
    cheapest: number of the cheapest trial within one standard error.
    """

    trial: int
    naive: Score
    corrected: Score | None = None
    test: Score | None = None
    corrected_words: str = ""
    test_words: str = ""
    sentences: Sequence[str] = ()
    rivals: Sequence[Rival] = ()
    cheapest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPage:
    """Content of the page.

    metric: of the search; lower: True if lower values are better.
    method: a sentence on sampler and pruner.
    trials: by number.
    features: misses and hits of the feature cache; None if unknown.
    config: the winner's values as YAML; command: trains it alone; reproduce: goes on with the sweep.
    """

    experiment: str
    sweep: str
    metric: str
    lower: bool
    method: str
    axes: Sequence[SearchAxis]
    trials: Sequence[SearchedTrial]
    winner: Winner | None
    importances: Sequence[KeyImportance]
    features: Mapping[str, int] | None
    config: str
    command: str
    reproduce: str


def render_sweep_page(page: SweepPage) -> str:
    """Return the HTML page: the same content gives the same bytes."""
    code, policy = load_script("report.js")
    slices, keys = _slices(page), [axis.key for axis in page.axes]
    best = next((trial for trial in page.trials if page.winner and trial.number == page.winner.trial), None)
    text: str = (
        jinja_environment()
        .get_template("sweep.html.j2")
        .render(
            page=page,
            winner=page.winner if best else None,
            best_trial=best,
            best_values=[(axis.key, public_text(best.values.get(axis.key))) for axis in page.axes] if best else [],
            contents=[(name, title) for name, title in CONTENTS.items() if slices or name != "slices"],
            counts=Counter(trial.state for trial in page.trials),
            facts=_facts(page),
            method=page.method,
            reasons=_reasons(page.trials),
            coordinates=_coordinates(page),
            unclear=[row for row in page.importances if not row.beyond_chance],
            no_importance=_no_importance(page),
            progress=best_so_far_chart(page.trials, page.metric, lower=page.lower),
            progress_words=_capital(progress_words(page.trials, lower=page.lower))
            if scored_trials(page.trials)
            else "",
            slices=slices,
            names=short_names(keys, keys),
            has_choices=any(axis.scale == "choice" for axis in page.axes),
            has_reasons=any(trial.reason for trial in page.trials),
            texts=lambda axis: [public_text(choice) for choice in axis.choices],
            long=lambda axis: any(len(public_text(choice)) > CHOICE_LENGTH for choice in axis.choices),
            public_text=public_text,
            listed=LISTED,
            resamples=RESAMPLES,
            shuffles=SHUFFLES,
            script=code,
            policy=policy,
        )
    )
    return text


def _facts(page: SweepPage) -> list[tuple[str, str]]:
    """Return the numbers of the search, with their names."""
    counts = Counter(trial.state for trial in page.trials)
    facts = [("trials", str(len(page.trials))), *((state, str(number)) for state, number in sorted(counts.items()))]
    times = [trial.seconds for trial in page.trials if trial.seconds is not None]
    if times:
        facts.append(("time of trials", duration(sum(times))))
    if page.features is not None:
        facts += [("image features computed", f"{page.features.get('misses', 0):,}")]
        facts += [("image features reused", f"{page.features.get('hits', 0):,}")]
    return facts


def _reasons(trials: Sequence[SearchedTrial]) -> list[tuple[str, int]]:
    """Return why trials ended without a score, the most frequent reason first."""
    reasons = Counter(trial.reason or trial.state for trial in trials if trial.score is None)
    return reasons.most_common(REASONS)


def _coordinates(page: SweepPage) -> Markup:
    """Return the picture of all trials: the most important key next to the score, or the config's order."""
    shares = {row.key: row.share for row in page.importances}
    keys = sorted(page.axes, key=lambda axis: shares.get(axis.key, 0.0)) if shares else list(page.axes)
    scored = scored_trials(page.trials)
    axes = list(keys)
    if scored:
        low, high = score_range([score for _, score in scored], lower=page.lower)
        axes.append(SearchAxis(page.metric, "linear", *((high, low) if page.lower else (low, high))))
    ranks = _ranks(scored, lower=page.lower)
    winner = page.winner.trial if page.winner else None
    lines = [
        CoordinateLine(
            trial.number,
            (*(trial.values.get(axis.key) for axis in keys), trial.score)[: len(axes)],
            ranks.get(trial.number),
            _line_title(trial, page),
            "winner" if trial.number == winner else trial.state,
        )
        for trial in page.trials
    ]
    words = [f"{axis.key}: {slice_words(axis, page.trials, winner, lower=page.lower)}" for axis in keys]
    seen = words if scored else []
    label = f"parallel coordinates of {counted(len(lines), 'trial')} over {counted(len(keys), 'key')}"
    return parallel_coordinates(axes, lines, "; ".join([label, *seen]))


def _ranks(scored: Sequence[tuple[SearchedTrial, float]], *, lower: bool) -> dict[int, float]:
    """Return the rank of each trial, 0 (worst) to 1 (best); equal scores have the same."""
    scores = sorted((score for _, score in scored), reverse=lower)
    if len(scores) == 1:
        return {trial.number: 1.0 for trial, _ in scored}
    last = len(scores) - 1
    first = {score: place for place, score in reversed(list(enumerate(scores)))}
    return {trial.number: (first[score] + scores.count(score) - 1) / last for trial, score in scored}


def _line_title(trial: SearchedTrial, page: SweepPage) -> str:
    score = trial.state if trial.score is None else f"{page.metric} {trial.score:.4f}"
    values = (f"{axis.key}: {public_text(trial.values[axis.key])}" for axis in page.axes if axis.key in trial.values)
    return "\n".join([f"trial {trial.number}, {score}", *values])


def _slices(page: SweepPage) -> list[tuple[SearchAxis, Markup, str]]:
    """Return for each key its chart and what it shows in words; none without any score."""
    winner = page.winner.trial if page.winner else None
    found = []
    for axis in page.axes:
        chart = slice_chart(axis, page.trials, winner, lower=page.lower)
        if chart is not None:
            found.append((axis, chart, _capital(slice_words(axis, page.trials, winner, lower=page.lower))))
    return found


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _no_importance(page: SweepPage) -> str:
    """Return why there are no importances."""
    completed = len(scored_trials(page.trials))
    if completed < FEWEST_TRIALS:
        return (
            f"{counted(completed, 'completed trial')} cannot show which key matters: it takes {FEWEST_TRIALS} or more."
        )
    return "All scores are equal, so that no key shows an effect."
