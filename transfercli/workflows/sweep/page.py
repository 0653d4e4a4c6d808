"""The page of `sweep --report FILE`. It needs only the trials' rows, so it can be written again at any time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.dump import dump_values
from transfercli.config.schema import SearchRange, SweepConfig
from transfercli.config.search.check import with_values
from transfercli.io import atomic
from transfercli.redaction import hide_paths_in_yaml
from transfercli.text import counted
from transfercli.workflows.command_lines import command_line, runs_option, shown_path
from transfercli.workflows.sweep.result import SweepRequest, SweepResult, TrialRow
from transfercli.workflows.sweep.search.space import overrides_of
from transfercli.workflows.sweep.search.study import direction
from transfercli.workflows.sweep.winner import ON_TEST

if TYPE_CHECKING:
    from transfercli.evaluation.report.search.charts import SearchedTrial
    from transfercli.evaluation.report.search.page import Rival, Winner
    from transfercli.evaluation.report.search.parallel_coordinates import SearchAxis
    from transfercli.evaluation.statistics.importance import KeyImportance

SAMPLERS = {
    "tpe": "the sampler tpe, which learns from the trials so far (Bergstra et al. 2011)",
    "random": "the sampler random",
    "grid": "the sampler grid, which tries every combination",
}
PRUNERS = {
    "none": "No trial was ended early.",
    "median": "Trials below the median of the others at the same epoch were pruned.",
    "successive_halving": "Trials were pruned by successive halving (Li et al. 2018).",
}


def write_sweep_page(
    path: Path, result: SweepResult, settings: SweepConfig, request: SweepRequest, seed: int = 0
) -> None:
    """Write the page atomically; the same trials give the same bytes.

    Args:
        settings: section `sweep` of the config.
        seed: of the resamples for the importance of the keys.
    """
    from transfercli.evaluation.report.search.page import SweepPage, render_sweep_page

    lower = direction(settings) == "minimize"
    axes = search_axes(settings.space, [row.values for row in result.trials])
    trials = [_searched(row) for row in result.trials]
    best = next((row for row in result.trials if result.winner and row.number == result.winner["trial"]), None)
    page = SweepPage(
        experiment=result.experiment,
        sweep=result.sweep,
        metric=result.metric,
        lower=lower,
        method=_method(settings),
        axes=axes,
        trials=trials,
        winner=_winner(result.winner, result) if best and result.winner else None,
        importances=_importances(axes, trials, seed, lower=lower),
        features=result.cache.get("features"),
        config=hide_paths_in_yaml(dump_values(with_values({}, best.values))) if best else "",
        command=_command_of_trial(request, best.values) if best else "",
        reproduce=request.command("--report", shown_path(path), shown=True),
    )
    atomic.write_bytes(path, render_sweep_page(page).encode("utf-8", "replace"))


def search_axes(space: Mapping[str, SearchRange], values: Iterable[Mapping[str, Any]]) -> list[SearchAxis]:
    """Return the axes of a space, in its order, wide enough for the values of every trial."""
    from transfercli.evaluation.report.search.parallel_coordinates import SearchAxis

    values = list(values)
    axes = []
    for key, searched in space.items():
        tried = [trial[key] for trial in values if key in trial]
        if searched.choice is not None:
            others = [value for n, value in enumerate(tried) if value not in searched.choice and value not in tried[:n]]
            axes.append(SearchAxis(key, "choice", choices=(*searched.choice, *others)))
            continue
        numbers = [
            *(searched.log or searched.range or ()),
            *(value for value in tried if isinstance(value, int | float)),
        ]
        axes.append(SearchAxis(key, "log" if searched.log else "linear", min(numbers), max(numbers)))
    return axes


def _searched(row: TrialRow) -> SearchedTrial:
    from transfercli.evaluation.report.search.charts import SearchedTrial

    return SearchedTrial(
        row.number,
        row.state,
        row.values,
        score=row.value if row.state == "completed" else None,
        epochs=row.steps[-1][0] if row.steps else None,
        seconds=row.seconds,
        run=row.run.name if row.run else None,
        reason=row.reason,
    )


def _importances(
    axes: Sequence[SearchAxis], trials: Sequence[SearchedTrial], seed: int, *, lower: bool
) -> list[KeyImportance]:
    """Return the importance of each key over the trials that are completed, without a tail of bad scores."""
    from transfercli.evaluation.report.search.charts import score_range, scored_trials
    from transfercli.evaluation.statistics.importance import SearchColumn, key_importances

    columns: dict[str, list[float]] = {axis.key: [] for axis in axes}
    scores = []
    for trial, score in scored_trials(trials):
        shares = [axis.share(trial.values.get(axis.key)) for axis in axes]
        if None in shares:
            continue
        scores.append(score)
        for axis, share in zip(axes, shares, strict=True):
            columns[axis.key].append(share or 0.0)
    if not scores:
        return []
    low, high = score_range(scores, lower=lower)
    return key_importances(
        {
            axis.key: SearchColumn(
                [int(share * len(axis.choices)) for share in columns[axis.key]] if axis.choices else columns[axis.key],
                len(axis.choices),
            )
            for axis in axes
        },
        [min(max(score, low), high) for score in scores],
        seed,
    )


def _winner(winner: Mapping[str, Any], result: SweepResult) -> Winner:
    """Return the page's form of the winner in the JSON result; an older one may have fewer keys."""
    from transfercli.evaluation.report.search.page import Score, Winner

    corrected, test = winner.get("corrected"), winner.get("test") or {}
    words = winner.get("reason") or "there is no correction"
    name = ON_TEST[result.metric]
    return Winner(
        trial=winner["trial"],
        naive=Score(winner["naive"]),
        corrected=None if corrected is None else Score(corrected, _pair(winner.get("interval"))),
        corrected_words=words if corrected is None else "to be expected on new images",
        test=None if test.get("value") is None else Score(test["value"], _pair(test.get("intervals", {}).get(name))),
        test_words=f"{counted(test['examples'], 'image')} that nothing else in the sweep reads"
        if test
        else "there are none",
        sentences=result.sentences[1:],
        rivals=_rivals(winner.get("indistinguishable") or []),
        cheapest=(winner.get("one_standard_error") or {}).get("trial"),
    )


def _pair(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0], interval[1])


def _rivals(found: Sequence[Mapping[str, Any]]) -> list[Rival]:
    """Return the trials that may be the best, with the cost of a prediction relative to that of the first."""
    from transfercli.evaluation.report.search.page import Rival

    costs = [(rival.get("cost") or {}).get("multiply_adds") for rival in found]
    return [
        Rival(
            rival["trial"],
            rival["score"],
            rival["difference"],
            rival["error"],
            cost / costs[0] if cost is not None and costs[0] else None,
        )
        for rival, cost in zip(found, costs, strict=True)
    ]


def _method(settings: SweepConfig) -> str:
    judged = f"by cross-validation with {settings.folds} folds" if settings.folds else "by its validation images"
    return f"Values by {SAMPLERS[settings.sampler]}. Each trial is judged {judged}. {PRUNERS[settings.pruner]}"


def _command_of_trial(request: SweepRequest, values: Mapping[str, Any]) -> str:
    """Return the command line that trains a trial alone, without absolute paths."""
    settings = [word for override in (*request.overrides, *overrides_of(values)) for word in ("--set", override)]
    return command_line("finetune", shown_path(request.config), *settings, *runs_option(request.runs))
