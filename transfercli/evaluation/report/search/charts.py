"""Charts of a sweep: the best score so far by trial, and the scores by the values of one key."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from transfercli.config.differing_keys import public_text
from transfercli.evaluation.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    grid_lines,
    nice_ticks,
    svg_chart,
    svg_dot,
    svg_line,
    svg_text,
    tick_label,
)
from transfercli.evaluation.report.search.parallel_coordinates import SearchAxis
from transfercli.text import first_of

SLICE_WIDTH, SLICE_HEIGHT = 300, 190
SLICE_LEFT, SLICE_BOTTOM = 44, 44
LONGEST_TAIL = 5.0  # of the scores' range below the median, in units of the range above it
FEW_NAMED = 5  # trials with the best score, in a sentence
FEW = 0.2  # share of the trials that a slice calls the best
GOLDEN = 0.618  # spreads the dots of one choice evenly, and the same way each time


@dataclass(frozen=True, slots=True)
class SearchedTrial:
    """Trial of a sweep as the page shows it.

    values: of the space's keys. score: None unless the trial is completed. epochs: that it trained. run: its label.
    """

    number: int
    state: str
    values: Mapping[str, Any]
    score: float | None = None
    epochs: int | None = None
    seconds: float | None = None
    run: str | None = None
    reason: str | None = None


def best_so_far_chart(trials: Sequence[SearchedTrial], metric: str, *, lower: bool) -> Markup | None:
    """Return the chart of scores (up) by trial (across), with the best so far as a line; None without any score.

    lower: True if lower scores are better. Marks below the chart are trials that were pruned or failed.
    """
    scored = scored_trials(trials)
    if not scored:
        return None
    low, high = score_range([score for _, score in scored], lower=lower)
    ticks = nice_ticks(low, high)
    across = Axis(trials[0].number, trials[-1].number, LEFT + 8, WIDTH - RIGHT - 8)
    up = Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM - 12, TOP)
    parts = grid_lines(up, ticks)
    numbers = range(trials[0].number, trials[-1].number + 1)
    every = int(nice_ticks(0, max(1, len(numbers) - 1))[1]) or 1
    parts += [_text_below(across(number), str(number)) for number in numbers if number % every == 0]
    parts.append(svg_text("tick middle", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "trial"))
    parts += [svg_dot("validation faint", across(trial.number), up(_within(y, ticks)), 3) for trial, y in scored]
    parts += _marks(trials, lambda trial: across(trial.number), HEIGHT - BOTTOM - 4)
    best, path = scored[0][1], ""
    for trial, score in scored:
        best = min(best, score) if lower else max(best, score)
        x = across(trial.number)
        path += f"H{x:.1f}V{up(best):.1f}" if path else f"M{x:.1f} {up(best):.1f}"
    parts.append(f'<path class="curve training" d="{path}H{across.end:.1f}"/>')
    return svg_chart(parts, f"best {metric} so far by trial: {progress_words(trials, lower=lower)}", HEIGHT)


def progress_words(trials: Sequence[SearchedTrial], *, lower: bool) -> str:
    """Return when the best score came, in words; there is at least one score."""
    scored = scored_trials(trials)
    (first, start), (trial, best) = scored[0], (min if lower else max)(scored, key=lambda pair: pair[1])
    if trial is first:
        equal = [str(other.number) for other, score in scored[1:] if score == best]
        named = f"{'trial' if len(equal) == 1 else 'trials'} {first_of(equal, FEW_NAMED)}"
        same = f"; {named} reached the same" if equal else ""
        return f"trial {first.number}, the first with a score, was never beaten ({tick_label(best)}){same}."
    later = sum(other.number > trial.number for other, _ in scored)
    return (
        f"{tick_label(start)} at first, {tick_label(best)} from trial {trial.number} on; {later} more did not beat it."
    )


def slice_chart(axis: SearchAxis, trials: Sequence[SearchedTrial], winner: int | None, *, lower: bool) -> Markup | None:
    """Return the small chart of scores (up) by the values of one key (across); None without any score."""
    scored = scored_trials(trials)
    if not scored:
        return None
    low, high = score_range([score for _, score in scored], lower=lower)
    ticks = nice_ticks(low, high)
    across = Axis(0, 1, SLICE_LEFT + 6, SLICE_WIDTH - 10)
    up = Axis(ticks[0], ticks[-1], SLICE_HEIGHT - SLICE_BOTTOM - 10, 8)
    shown = [tick for n, tick in enumerate(ticks) if n % 2 == 0 or len(ticks) < 5]
    parts = [svg_line("grid", SLICE_LEFT, up(tick), SLICE_WIDTH, up(tick)) for tick in ticks]
    parts += [svg_text("tick end", SLICE_LEFT - 6, up(tick) + 4, tick_label(tick)) for tick in shown]
    parts += _slice_ticks(axis, across)

    def place(trial: SearchedTrial) -> float | None:
        share = axis.share(trial.values.get(axis.key))
        if share is None:
            return None
        if axis.scale == "choice":
            share += 0.6 * ((trial.number * GOLDEN) % 1 - 0.5) / len(axis.choices)
        return across(share)

    for share, _, middle in choice_medians(axis, scored):
        half = 0.38 / len(axis.choices)
        parts.append(svg_line("median", across(share - half), up(middle), across(share + half), up(middle)))
    for trial, score in scored:
        x = place(trial)
        if x is not None:
            kind = "training" if trial.number == winner else "validation faint"
            parts.append(svg_dot(kind, x, up(_within(score, ticks)), 5 if trial.number == winner else 3))
    parts += _marks(trials, place, SLICE_HEIGHT - SLICE_BOTTOM - 3)
    words = slice_words(axis, trials, winner, lower=lower)
    return svg_chart(parts, f"score by {axis.key}: {words}", SLICE_HEIGHT, SLICE_WIDTH)


def slice_words(axis: SearchAxis, trials: Sequence[SearchedTrial], winner: int | None = None, *, lower: bool) -> str:
    """Return what a slice shows in words: the values of the best trials, or the median score of each choice.

    winner: number of the winner, which comes first among trials with an equal score.
    """
    scored = sorted(scored_trials(trials), key=lambda pair: (pair[1] if lower else -pair[1], pair[0].number != winner))
    if axis.scale == "choice":
        medians = [f"{text} {middle:.4g}" for _, text, middle in choice_medians(axis, scored)]
        return "medians: " + "; ".join(medians) if medians else "no score"
    count = max(1, round(FEW * len(scored)))
    best = [value for trial, _ in scored[:count] if isinstance(value := trial.values.get(axis.key), int | float)]
    if not best:
        return "no score"
    if count == 1:
        return f"the best trial has {public_text(best[0])}"
    return f"the best {count} trials have {public_text(min(best))} to {public_text(max(best))}"


def choice_medians(axis: SearchAxis, scored: Sequence[tuple[SearchedTrial, float]]) -> list[tuple[float, str, float]]:
    """Return the place, short text and median score of each choice that has a score."""
    scores: dict[float, list[float]] = {}
    for trial, score in scored if axis.scale == "choice" else ():
        share = axis.share(trial.values.get(axis.key))
        if share is not None:
            scores.setdefault(share, []).append(score)
    return [(share, text, statistics.median(scores[share])) for share, text in axis.ticks() if share in scores]


def scored_trials(trials: Sequence[SearchedTrial]) -> list[tuple[SearchedTrial, float]]:
    """Return the completed trials with their scores."""
    return [(trial, trial.score) for trial in trials if trial.score is not None]


def score_range(scores: Sequence[float], *, lower: bool) -> tuple[float, float]:
    """Return the lowest and highest score to draw: without a tail of bad scores that would flatten the others."""
    low, high = min(scores), max(scores)
    middle, best = statistics.median(scores), low if lower else high
    tail = LONGEST_TAIL * abs(best - middle)
    if tail == 0.0:
        return low, high
    return (low, min(high, middle + tail)) if lower else (max(low, middle - tail), high)


def _within(score: float, ticks: Sequence[float]) -> float:
    return min(max(score, ticks[0]), ticks[-1])


def _marks(trials: Sequence[SearchedTrial], place: Any, y: float) -> list[str]:
    """Return a mark for each trial without a score: a bar if it was pruned, a cross if it failed."""
    parts = []
    for trial in trials:
        x = place(trial)
        if x is None or trial.state not in ("pruned", "failed"):
            continue
        if trial.state == "pruned":
            parts.append(svg_line("mark", x, y - 4, x, y + 4))
        else:
            parts.append(svg_line("mark bad", x - 3, y - 3, x + 3, y + 3))
            parts.append(svg_line("mark bad", x - 3, y + 3, x + 3, y - 3))
    return parts


def _slice_ticks(axis: SearchAxis, across: Axis) -> list[str]:
    """Return the labels below a slice; of many choices every second stands lower."""
    y = SLICE_HEIGHT - SLICE_BOTTOM + 15
    ticks = axis.ticks()
    crowded = sum(len(text) for _, text in ticks) > 34
    return [
        svg_text("tick middle", across(at), y + 14 * (crowded and n % 2), text) for n, (at, text) in enumerate(ticks)
    ]


def _text_below(x: float, text: str) -> str:
    return svg_text("tick middle", x, HEIGHT - BOTTOM + 16, text)
