"""Tables of runs: all experiments, the leaderboard of one, and the same as CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transfercli.cli.ui.tables import print_pairs, print_table, print_text, terminal_width
from transfercli.config.differing_keys import MADE_OF, value_texts
from transfercli.text import counted, duration, squeezed

if TYPE_CHECKING:
    from transfercli.runs.decisions import Decision
    from transfercli.workflows.runs.leaderboard import RunList
    from transfercli.workflows.runs.rows import RunRow

MOST_LETTERS = 24  # of a config value on a terminal
SPLITS_SHOWN = ("val", "test")  # whose headline metric every list has


def print_runs(result: RunList) -> None:
    """Print the runs, then the best, interrupted runs with the line that goes on, and the last decisions."""
    if not result.runs:
        hidden = f": the filters leave out {counted(result.hidden, 'run')}" if result.hidden else " yet"
        print(f"no runs{hidden}")
        return
    if result.experiment is None:
        _print_all(result)
    else:
        _print_leaderboard(result)
    unfinished = {
        row.experiment: f"{row.run_id} was interrupted; go on: {row.going_on}" for row in result.runs if row.resume
    }
    for pairs in (
        _best(result),
        unfinished,
        {experiment: _decision(last) for experiment, last in result.decisions.items()},
    ):
        if pairs:
            print()
            print_pairs(pairs.items())


def _print_all(result: RunList) -> None:
    asked, headlines = _asked(result), _headlines(result)
    print_table(
        ("run", "status", "created", *map(_words, asked), *map(_words, headlines), "time", "links"),
        [
            (
                f"{row.experiment}/{row.run_id}",
                row.status,
                _created(row),
                *(values[number] for values in asked.values()),
                *(values[number] for values in headlines.values()),
                _time(row),
                ", ".join(row.links),
            )
            for number, row in enumerate(result.runs)
        ],
        droppable=("created", "time"),  # the id contains the time
    )


def _print_leaderboard(result: RunList) -> None:
    """Print a row a run, with the keys that differ; say which columns a narrow terminal has no room for.

    Of the keys, those with the fewest different values are omitted first.
    """
    rows, asked, keys = result.runs, _asked(result), list(result.keys)
    columns: dict[str, Sequence[Any]] = {
        "run": [row.run_id for row in rows],
        "status": [row.status for row in rows],
        **{_words(name): values for name, values in asked.items()},
    }
    for name, values in _headlines(result).items():
        if name.startswith("val") or any(value is not None for value in values):
            columns[_words(name)] = values
    columns |= {result.keys[key]: _texts(result, key) for key in keys}
    others = {
        "failure": ["" if row.status == "pruned" else row.failure or "" for row in rows],
        "trial": [_trial(row) for row in rows],
        "time": [_time(row) for row in rows],
        "created": [_created(row) for row in rows],
        "links": [", ".join(row.links) for row in rows],
    }
    columns |= {name: cells for name, cells in others.items() if any(cells)}
    all_completed = {row.status for row in rows} == {"completed"}
    droppable = ["created", "trial", "time", *["status"] * all_completed, "failure", "links"]
    droppable += [result.keys[key] for key in sorted(keys, key=lambda key: len({*_texts(result, key)}))]
    omitted = print_table(list(columns), list(zip(*columns.values(), strict=True)), droppable)
    if omitted:
        print()
        print_text(_not_shown(omitted, result))


def _not_shown(omitted: Sequence[str], result: RunList) -> str:
    names = [result.keys[key] for key in result.keys if result.keys[key] in omitted]
    others = [name for name in omitted if name not in names]
    parts = [", ".join(others)] if others else []
    if names:
        parts.append(f"{len(names)} of {counted(len(result.keys), 'key')} that differ ({', '.join(names)})")
    return f"No room on this terminal for {' and '.join(parts)}: --csv and --json have every column."


def _headlines(result: RunList) -> dict[str, list[float | None]]:
    """Return the headline metrics of the runs, of validation and test images: accuracy, or map with several labels.

    A list of both kinds of runs has both metrics, each of the runs whose headline it is.
    """
    names = list(dict.fromkeys(row.headline for row in result.runs if row.metrics)) or ["accuracy"]
    return {
        f"{split}_{name}": [
            getattr(row, f"{split}_{name}") if row.headline == name or len(names) == 1 else None for row in result.runs
        ]
        for split in SPLITS_SHOWN
        for name in sorted(names)
    }


def _asked(result: RunList) -> Mapping[str, Sequence[float | None]]:
    """Return the metrics of `--sort` and `--filter` that have no column of their own."""
    shown = _headlines(result)
    return {name: values for name, values in result.metrics.items() if name not in shown}


def _best(result: RunList) -> dict[str, str]:
    if result.best is None or result.experiment is None:
        return {}
    row, number = result.runs[result.best], result.best
    values = {name: getattr(row, name) for name in ("val_accuracy", "test_accuracy", "val_map", "test_map")}
    values |= {name: each[number] for name, each in result.metrics.items()}
    name = ", ".join(f"{result.keys[key]} {_texts(result, key)[number]}" for key in list(result.keys)[:4])
    text = f"{row.run_id}, {_words(result.best_by)} {values[result.best_by]:.4f}"
    return {"best": f"{text}: {name}" if name else text}


def _texts(result: RunList, key: str) -> list[str | None]:
    """Return the values of a config key as texts, shortened on a terminal; None for a run without a config."""
    known = iter(value_texts([config[key] for config in result.configs if config is not None], key))
    texts = [None if config is None else next(known) for config in result.configs]
    if key in MADE_OF:
        texts = [None if text == "null" else text for text in texts]
    if terminal_width() is None:
        return texts
    return [text and squeezed(text, MOST_LETTERS) for text in texts]


def _words(metric: str) -> str:
    """Return the words for a metric: `val_macro_f1` -> `val macro_f1`."""
    return " ".join(metric.split("_", 1))


def _trial(row: RunRow) -> str:
    sweep = row.marks.get("sweep")
    return f"{sweep.get('id')} {sweep.get('trial')}" if sweep else ""


def _created(row: RunRow) -> str:
    return (row.created or "-")[:19]


def _time(row: RunRow) -> str:
    return "-" if row.total_seconds is None else duration(row.total_seconds)


def _decision(last: Decision) -> str:
    return f"champion {last.champion or 'none'}; last decided {last.time[:19]}, {last.decision}: {last.reason}"


def write_csv(result: RunList) -> None:
    """Write the list to stdout as CSV: one row a run, config keys by their whole name, empty cells for no value."""
    several = ["val_map", "test_map"] if any(row.several for row in result.runs) else []
    metrics = list(dict.fromkeys(["val_accuracy", "val_loss", "test_accuracy", *several, *result.metrics]))
    header = ["run", "experiment", "run_id", "status", "failure", "created", "workflow", "total_seconds", *metrics]
    header += ["links", "parent", "sweep", "trial", "folds", "fold", "seeds", *result.keys]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    for number, row in enumerate(result.runs):
        values = {"test_accuracy": row.test_accuracy, "test_map": row.test_map, **row.metrics}
        values |= {name: each[number] for name, each in result.metrics.items()}
        sweep, folds, seeds = (row.marks.get(mark, {}) for mark in ("sweep", "folds", "seeds"))
        facts = [row.run, row.experiment, row.run_id, row.status, row.failure, row.created, row.workflow]
        facts += [row.total_seconds, *(values.get(name) for name in metrics), " ".join(row.links), row.parent]
        facts += [sweep.get("id"), sweep.get("trial"), folds.get("id"), folds.get("fold"), seeds.get("id")]
        config = result.configs[number] if result.configs else {}
        writer.writerow([*facts, *_csv_cells(None if config is None else config.get(key) for key in result.keys)])


def _csv_cells(values: Iterable[Any]) -> list[Any]:
    """Return config values as cells: text and numbers as they are, others as JSON, null as an empty cell."""
    return [
        value
        if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))
        else json.dumps(value, ensure_ascii=False)
        for value in values
    ]
