"""Table of several runs, each compared with the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transfercli.cli.ui.tables import print_pairs, print_table, print_text
from transfercli.text import in_groups

if TYPE_CHECKING:
    from transfercli.workflows.compare.comparison import ComparedRun, CompareResult, PairComparison


def print_comparisons(result: CompareResult) -> None:
    """Print one row a run, the first on top and the others by their gain, the largest first."""
    first, *others = result.compared
    pairs = sorted(zip(result.comparisons, others, strict=True), key=lambda each: _gain(each[0]), reverse=True)
    metric, number = result.comparisons[0].comparison.metric, len(pairs)
    test = "McNemar's exact test" if metric == "accuracy" else "random swaps of the predictions"
    print_pairs(
        [
            ("first", f"{_label(first)}: {first.name}" if first.name else _label(first)),
            ("images", _images(result)),
            (
                "p",
                f"of {test}; p (Holm), verdicts and intervals are corrected for {number} comparisons",
            ),
        ]
    )
    print()
    level = f"{100 * result.comparisons[0].comparison.confidence:.0f}% interval"
    one_experiment = len({run.path.resolve().parent for run in result.compared}) == 1
    rows = [_first_row(first, result, one_experiment)]
    rows += [_row(run, pair, one_experiment) for pair, run in pairs]
    header = ("run", "differs", metric, "difference", level, "fixed", "broken", "p", "p (Holm)", "verdict")
    if omitted := print_table(header, rows, droppable=("fixed", "broken", level, "difference", "p")):
        print()
        print_text(f"This terminal is too narrow for: {', '.join(omitted)}. --report FILE and --json have all.")


def _gain(pair: PairComparison) -> float:
    gain = pair.comparison.gain()
    return float("-inf") if gain is None else gain


def _label(run: ComparedRun) -> str:
    return f"{run.path.resolve().parent.name}/{run.path.resolve().name}"


def _name(run: ComparedRun, one_experiment: bool) -> str:
    return run.path.resolve().name if one_experiment else _label(run)


def _images(result: CompareResult) -> str:
    counts = sorted({pair.comparison.examples for pair in result.comparisons})
    groups = {pair.comparison.groups for pair in result.comparisons}
    images = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    left_out = max(pair.left_out for pair in result.comparisons)
    learnt = f", without up to {left_out} that a run or an ancestor learnt from" if left_out else ""
    return f"{images} of {result.split}{in_groups(groups.pop()) if len(groups) == 1 else ''}{learnt}"


def _first_row(run: ComparedRun, result: CompareResult, one_experiment: bool) -> Sequence[Any]:
    values = {pair.comparison.decisive.champion for pair in result.comparisons}
    value = values.pop() if len(values) == 1 else None  # it differs if the pairs have different images in common
    return (_name(run, one_experiment), run.name, value, *[None] * 6, _role(run, "first"))


def _row(run: ComparedRun, pair: PairComparison, one_experiment: bool) -> Sequence[Any]:
    compared, adjusted = pair.comparison, pair.adjusted
    assert adjusted is not None
    decisive, interval = compared.decisive, adjusted.interval
    return (
        _name(run, one_experiment),
        run.name,
        decisive.challenger,
        "-" if decisive.difference is None else f"{decisive.difference:+.4f}",
        "-" if interval is None else f"{interval[0]:+.4f} to {interval[1]:+.4f}",
        len(compared.fixed),
        len(compared.broken),
        p_text(adjusted.p_value),
        p_text(adjusted.p_holm),
        _role(run, pair.outcome),
    )


def _role(run: ComparedRun, word: str) -> str:
    return f"{word}, champion" if run.is_champion else word


def p_text(p_value: float) -> str:
    """Return a p-value with three significant digits."""
    return f"{p_value:.3g}"
