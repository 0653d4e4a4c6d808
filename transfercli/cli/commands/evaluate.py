"""`transfercli evaluate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli.commands.runs import curves_of
from transfercli.cli.options import RUNS, Json, Quiet, Run, Runs, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.robustness_tables import show_robustness, show_tta
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.errors import GateError
from transfercli.text import counted

SHOWN_MATRIX = 12  # classes up to which the whole matrix fits a terminal


class SplitName(StrEnum):
    validation = "validation"
    test = "test"


class GateOn(StrEnum):
    POINT = "point"
    LOWER = "lower"


class GateFailed(GateError):
    """Carries the normal result of the evaluation."""

    def __init__(self, result: dict[str, Any]) -> None:
        failed = [gate for gate in result["gates"] if not gate["passed"]]
        told = "; ".join(
            f"{g['metric']} is {_number(g['value'])}, wanted {g['op']} {g['bound']:g}{_missed_by(g)}" for g in failed
        )
        super().__init__(f"{len(failed)} of {len(result['gates'])} gates not met: {told}")
        self.result = result


def evaluate(
    run: Run,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="other images, one sub-folder a class")
    ] = None,
    split: Annotated[SplitName, typer.Option("--split", help="which images of the run's data")] = SplitName.test,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC=VALUE", help="a gate, such as accuracy=0.9 or ece<=0.05; repeatable"),
    ] = None,
    gate_on: Annotated[
        GateOn, typer.Option("--gate-on", help="hold gates against the value, or the worse end of its 95% interval")
    ] = GateOn.POINT,
    corrupt: Annotated[
        bool, typer.Option("--corrupt", help="also with noise, blur, brightness, contrast, JPEG, rotation: 30 passes")
    ] = False,
    tta: Annotated[
        bool, typer.Option("--tta", help="also averaged over crops, and flips where training had them: 5 or 11 passes")
    ] = False,
    runs: Runs = RUNS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Metrics, a report and gates; exit 5 where a gate is not met."""

    def work(console: Any) -> dict[str, Any]:
        from transfercli.runs.folder import RunFolder
        from transfercli.workflows.evaluate.evaluate import evaluate_run
        from transfercli.workflows.evaluate.request import EvaluateRequest, evaluation_folder

        request = EvaluateRequest(run, runs, split.value, data, tuple(minimum or ()), gate_on.value, corrupt, tta)
        result, evaluation = evaluate_run(request, console)
        shown.extend(evaluation.shown)
        places.append(evaluation_folder(RunFolder(Path(result["run"])), request))
        if not evaluation.passed:
            raise GateFailed(result)
        return result

    shown: list[str] = []
    places: list[Path] = []
    run_command(work, lambda result: _show(result, shown, places[0]), as_json=json, quiet=quiet, verbose=verbose)


def _show(result: dict[str, Any], shown: list[str], place: Path) -> None:
    names = dict.fromkeys((*shown, "accuracy", "macro_f1", "log_loss", "ece"))
    print_pairs(
        [
            ("run", result["run"]),
            ("split", f"{result['split']}, {counted(result['examples'], 'image')}"),
            *((name, _with_interval(result, name)) for name in names),
            *curves_of(Path(result["run"])),
        ]
    )
    print()
    print_table(
        ("class", "precision", "recall", "f1", "images"),
        [(r["label"], r["precision"], r["recall"], r["f1"], r["support"]) for r in result["per_class"]],
    )
    labels = [row["label"] for row in result["per_class"]]
    if len(labels) <= SHOWN_MATRIX:
        print("\nconfusion matrix (rows: true class, columns: predicted)")
        rows = [(label, *row) for label, row in zip(labels, result["confusion_matrix"], strict=True)]
        print_table(("true class", *labels), rows)
    elif pairs := confused(labels, result["confusion_matrix"]):
        print("\nmost confused")
        print_table(("true class", "taken for", "images"), pairs)
    _show_trust(result)
    if result["slices"]:
        print()
        print_table(
            ("slice", "part", "images", "accuracy", "macro f1"),
            [
                (s["slice"], s["value"], s["examples"], s["metrics"]["accuracy"], s["metrics"]["macro_f1"])
                for s in result["slices"]
            ],
        )
    show_robustness(result["robustness"])
    show_tta(result["tta"], result["metrics"], names)
    if result["gates"]:
        print()
        print_table(
            ("gate", "wanted", "value", "outcome"),
            [
                (
                    g["metric"],
                    f"{g['op']} {g['bound']:g}",
                    g["value"],
                    "passed" if g["passed"] else f"NOT MET{_missed_by(g)}",
                )
                for g in result["gates"]
            ],
        )
    print(f"\nreport  {place / 'report.html'}")


def confused(labels: list[str], matrix: list[list[int]]) -> list[tuple[str, str, int]]:
    """(true class, what it was taken for, images), the most frequent mistakes first."""
    import numpy as np

    from transfercli.evaluation.examples import most_confused

    found = most_confused(np.asarray(matrix, np.int64), tuple(labels))
    return [(one.truth, one.predicted, one.images) for one in found]


def _show_trust(result: dict[str, Any]) -> None:
    calibration, abstention = result["calibration"], result["abstention"]
    if calibration:
        ece, loss = (
            f"{calibration[f'{name}_before']:.4f} -> {calibration[f'{name}_after']:.4f}" for name in ("ece", "log_loss")
        )
        print(f"\ntemperature {calibration['temperature']:.3f}: error of calibration {ece}, log loss {loss}")
    if abstention:
        (name, wanted) = next(iter(abstention["target"].items()))
        threshold = abstention["threshold"]
        rule = "always" if threshold is None else f"below a confidence of {threshold:.3f}"
        print(
            f"abstains {rule}, chosen on validation for {name} {wanted:g}: here it keeps {abstention['coverage']:.1%}"
            f" of the images, accuracy {_number(abstention['accuracy'])}"
        )


def _missed_by(gate: dict[str, Any]) -> str:
    return "" if gate["value"] is None else f", missed by {abs(gate['value'] - gate['bound']):.4f}"


def _with_interval(result: dict[str, Any], name: str) -> str:
    interval = result["intervals"].get(name)
    bounds = f"  (95%: {interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
    return f"{_number(result['metrics'][name])}{bounds}"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
