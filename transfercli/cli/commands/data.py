"""`transfercli data check | diff | drift`: look at the images before, and after, training on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli.options import RUNS, ConfigFile, Json, Overrides, Quiet, Run, Runs, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.errors import DataError, GateError
from transfercli.text import printable

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Check images, and tell what changed or drifted in them."
)

SHOWN = 10
DOUBTFUL = ("path", "label", "suggested", "confidence")  # keys of a likely mislabelled image, columns of their table
# Tests of `data drift`, and which of their numbers is shown.
TESTS = (("classifier", "accuracy"), ("mmd", "value"), ("class_mix", "total_variation"), ("confidence", "statistic"))

Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="DIR", help="write an offline page, a contact sheet a class and a CSV there"),
]
Mislabelled = Annotated[
    bool,
    typer.Option(
        "--mislabelled/--no-mislabelled",
        help="where the experiment has a completed run: predict all images crosswise and list doubtful labels",
    ),
]


class DataRefused(DataError):
    """Carries the normal result of the check."""

    def __init__(self, result: dict[str, Any], hint: str | None) -> None:
        more = len(result["refusals"]) - 1
        also = f" (and {more} more reason{'s' * (more > 1)})" if more else ""
        super().__init__(f"training would refuse: {result['refusals'][0]}{also}", hint)
        self.result = result


class Drifted(GateError):
    """Carries the normal result of the comparison."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(f"the images have drifted: the score is {result['score']:.4f}, wanted <= {result['max']:g}")
        self.result = result


@app.command()
def check(
    config: ConfigFile,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    report: Report = None,
    mislabelled: Mislabelled = True,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Read all images and report what is wrong with them.

    Exit 4 where training would refuse.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.data.check import CheckRequest, check_data

        request = CheckRequest(config, runs, tuple(overrides or ()), report, mislabelled)
        result, found = check_data(request, console)
        if not found.usable:
            raise DataRefused(result, found.hints[0] or None)
        return result

    run_command(work, _show_check, as_json=json, quiet=quiet, verbose=verbose)


@app.command()
def diff(
    config: ConfigFile,
    run: Run,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """What changed since a run trained.

    Images added, removed, changed and relabelled; classes new and lost.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.data.diff import DiffRequest, diff_data

        return diff_data(DiffRequest(config, run, runs, tuple(overrides or ())), console)

    run_command(work, _show_diff, as_json=json, quiet=quiet, verbose=verbose)


@app.command()
def drift(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="recent images, at any depth", show_default=False)],
    maximum: Annotated[
        float | None, typer.Option("--max", min=0, max=1, help="exit 5 where the score, from 0 to 1, is above it")
    ] = None,
    runs: Runs = RUNS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """How far images without labels are from a run's.

    In features, predictions and confidence; exit 5 where the score is above --max.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.data.drift import DriftRequest, data_drift

        result = data_drift(DriftRequest(run, folder, runs, maximum), console)
        if not result["passed"]:
            raise Drifted(result)
        return result

    run_command(work, _show_drift, as_json=json, quiet=quiet, verbose=verbose)


def _show_check(result: dict[str, Any]) -> None:
    shape = result["sizes"].get("median", ())
    pairs = [
        ("usable", "yes" if result["usable"] else "NO: training would refuse"),
        ("images", f"{result['images']} in {len(result['classes'])} classes"),
        ("splits", ", ".join(f"{count} {side}" for side, count in result["splits"].items()) or None),
        ("typical size", "x".join(map(str, shape)) or None),
        ("largest to smallest class", f"{result['imbalance']:.1f} to 1" if result["imbalance"] else None),
        ("likely mislabelled", len(result["mislabelled"]) if result["mislabelled_run"] else None),
        ("report", result.get("report")),
    ]
    print_pairs(pairs)
    sides, balance = list(result["splits"]), result["balance"]
    print()
    print_table(
        ("class", "images", *sides),
        [(label, count, *(balance[label].get(s, 0) for s in sides)) for label, count in result["classes"].items()],
    )
    for reason in result["refusals"]:
        print(f"\ntraining would refuse: {printable(reason)}")
    for side, labels in result["missing_classes"].items():
        _some(f"classes without {side} images", ("class",), [(label,) for label in labels])
    problems = [(p["path"], p["problem"], "used" if p["used"] else "left out") for p in result["problems"]]
    _some("problems", ("path", "problem", "outcome"), problems)
    for kind in ("duplicates", "near_duplicates"):
        for part in ("", "_across_splits", "_with_other_labels"):
            _some(f"{kind}{part}".replace("_", " "), ("path", "looks like"), result[f"{kind}{part}"])
    unusual = [(one["path"], one["width"], one["height"]) for one in result["unusual_sizes"]]
    _some("unusual sizes", ("path", "width", "height"), unusual)
    doubtful = [tuple(one[key] for key in DOUBTFUL) for one in result["mislabelled"]]
    _some(f"likely mislabelled, by the features of {result['mislabelled_run']}", DOUBTFUL, doubtful)
    if result["mislabelled_note"]:
        print(f"\nlikely mislabelled: not looked for: {printable(result['mislabelled_note'])}")


def _show_diff(result: dict[str, Any]) -> None:
    lists = ("added", "removed", "changed", "relabelled", "moved", "renamed", "new_classes", "lost_classes")
    counts = [(name.replace("_", " "), len(result[name]) or None) for name in lists]
    print_pairs([("unchanged", "yes" if result["unchanged"] else "no"), ("same", result["same"]), *counts])
    for name in ("added", "removed", "changed"):
        _some(name, ("path",), [(path,) for path in result[name]])
    earlier = result["earlier_labels"]
    _some("relabelled", ("path", "was"), [(path, earlier[path]) for path in result["relabelled"]])
    _some("moved to another side", ("path",), [(path,) for path in result["moved"]])
    _some("renamed", ("was", "is"), result["renamed"])
    for name in ("new_classes", "lost_classes"):
        _some(name.replace("_", " "), ("class",), [(label,) for label in result[name]])


def _show_drift(result: dict[str, Any]) -> None:
    tests, sides = result["tests"], result["reference"]
    bound = "" if result["max"] is None else f", wanted <= {result['max']:g}{'' if result['passed'] else ': NOT MET'}"
    pairs = [
        ("run", result["run"]),
        ("images", f"{result['images']}, {result['compared']} of them compared"),
        ("drifted", "yes" if result["drifted"] else "no"),
        ("score", f"{result['score']:.4f}{bound}"),
        *((f"{what} against", f"{side['images']} {side['split']} images") for what, side in sides.items()),
    ]
    print_pairs(pairs)
    print()
    print_table(
        ("test", "measure", "value", "p"), [(name, of, tests[name][of], tests[name]["p_value"]) for name, of in TESTS]
    )


def _some(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A few of them under a title that counts all; nothing where there are none."""
    if not rows:
        return
    print(f"\n{title}: {len(rows)}")
    print_table(header, rows[:SHOWN])
    if len(rows) > SHOWN:
        print(f"… and {len(rows) - SHOWN} more; --json lists all")
