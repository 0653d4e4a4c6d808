"""Command `transfercli evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli.choices import GateOn, Split
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_evaluation
from transfercli.cli.options import RUNS, MaxBad, Part, Run, Runs, shard_of
from transfercli.cli.ui.label_tables import show_labels
from transfercli.cli.ui.robustness_tables import show_robustness, show_tta
from transfercli.cli.ui.series_tables import show_evaluations
from transfercli.cli.ui.tables import print_pairs, print_table, print_text
from transfercli.cli.ui.training_results import curves_of
from transfercli.errors import GateError
from transfercli.reporting import Reporter
from transfercli.text import counted, decimal, in_groups

if TYPE_CHECKING:
    import numpy as np

    from transfercli.evaluation.result import Evaluation
    from transfercli.workflows.evaluate.evaluate import EvaluateResult
    from transfercli.workflows.evaluate.shards import ShardResult
    from transfercli.workflows.series.evaluate import SeriesEvaluation

SHOWN_MATRIX = 12  # largest number of classes whose confusion matrix fits a terminal

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DATA",
        help="other images: a folder of class folders, a table, an address (s3://…) or tar shards",
    ),
]
SplitOption = Annotated[Split, typer.Option("--split", help="the split of the run's own images")]
Minimum = Annotated[
    list[str] | None,
    typer.Option("--min", metavar="METRIC=VALUE", help="a gate, such as accuracy=0.9 or ece<=0.05; repeatable"),
]
GateOnOption = Annotated[
    GateOn, typer.Option("--gate-on", help="compare gates with the value, or with the worse end of its 95% interval")
]
Corrupt = Annotated[
    bool,
    typer.Option("--corrupt", help="also under noise, blur, brightness, contrast, JPEG and rotation, in 30 passes"),
]
Tta = Annotated[
    bool, typer.Option("--tta", help="also averaged over crops, and flips if training had them, in 5 or 11 passes")
]

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="write the files there, not into the run, which may be read-only"),
]

Spreadsheet = Annotated[
    bool,
    typer.Option("--spreadsheet", help="also write predictions-spreadsheet.csv, for spreadsheet programs"),
]


MergeShards = Annotated[
    int | None,
    typer.Option(
        "--merge-shards",
        metavar="N",
        min=1,
        help="evaluate the outputs that --shard 1/N to N/N have computed, instead of computing them",
        show_default=False,
    ),
]


class GateFailed(GateError):
    """Error for a gate that is not met; carries the result."""

    def __init__(self, result: EvaluateResult | SeriesEvaluation, gates: list[dict[str, Any]]) -> None:
        failed = [gate for gate in gates if not gate["passed"]]
        reasons = "; ".join(
            f"{g['metric']} is {decimal(g['value'])}, required {g['op']} {g['bound']:g}{_missed_by(g)}" for g in failed
        )
        super().__init__(f"{len(failed)} of {len(gates)} gates not met: {reasons}")
        self.result = result


def _show(result: EvaluateResult | SeriesEvaluation | ShardResult) -> None:
    from transfercli.evaluation.metric_tables import METRIC_TABLES
    from transfercli.evaluation.multilabel.result import LabelEvaluation
    from transfercli.workflows.evaluate.shards import ShardResult
    from transfercli.workflows.series.evaluate import SeriesEvaluation

    if isinstance(result, ShardResult):
        _show_shard(result)
        return
    always_shown = METRIC_TABLES[result.task].shown
    if isinstance(result, SeriesEvaluation):
        show_evaluations(result, always_shown)
        _show_gates(result.gates)
        return
    evaluation = result.evaluation
    names = tuple(dict.fromkeys((*evaluation.shown, *always_shown)))
    print_pairs(
        [
            ("run", result.run),
            ("split", f"{result.split}, {counted(evaluation.examples, 'image')}{in_groups(evaluation.groups)}"),
            *((name, _with_interval(evaluation.metrics, evaluation.intervals, name)) for name in names),
            *_honest_rows(evaluation, names),
            *curves_of(result.run),
        ]
    )
    if isinstance(evaluation, LabelEvaluation):
        show_labels(evaluation)
    elif evaluation.per_class:
        _show_classes(evaluation)
    _show_trust(evaluation.trust)
    _show_slices(evaluation.slices, (evaluation.headline, "macro_f1" if evaluation.per_class else "r2"))
    show_robustness(evaluation.robustness)
    show_tta(evaluation.tta, evaluation.metrics, names)
    _show_gates(evaluation.gates)
    print(f"\nreport  {result.report}")


def _show_shard(result: ShardResult) -> None:
    print_pairs(
        [
            ("run", result.run),
            ("split", result.split),
            ("shard", f"{result.shard}, {counted(result.examples, 'image')}"),
            ("outputs", f"{result.file}{', which was there' * result.known}"),
            ("metrics", f"those of all shards together, once all {result.shard.count} are there"),
        ]
    )


def _show_classes(evaluation: Evaluation) -> None:
    """Print the metrics of each class, and the confusion matrix or the most frequent mistakes."""
    labels = evaluation.labels
    print()
    print_table(
        ("class", "precision", "recall", "f1", "images"),
        [(row["label"], row["precision"], row["recall"], row["f1"], row["support"]) for row in evaluation.per_class],
    )
    if len(labels) <= SHOWN_MATRIX:
        print("\nconfusion matrix (rows: true class, columns: predicted)")
        rows = [(label, *row) for label, row in zip(labels, evaluation.confusion.tolist(), strict=True)]
        print_table(("true class", *labels), rows)
    elif pairs := confused(labels, evaluation.confusion):
        print("\nmost confused")
        print_table(("true class", "predicted", "images"), pairs)


def _show_slices(slices: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    if not slices:
        return
    print()
    print_table(
        ("slice", "value", "images", *(name.replace("_", " ") for name in names)),
        [(row["slice"], row["value"], row["examples"], *(row["metrics"][name] for name in names)) for row in slices],
    )


def _show_gates(gates: Sequence[dict[str, Any]]) -> None:
    if not gates:
        return
    print()
    print_table(
        ("gate", "required", "value", "outcome"),
        [
            (
                gate["metric"],
                f"{gate['op']} {gate['bound']:g}",
                gate["value"],
                "passed" if gate["passed"] else f"NOT MET{_missed_by(gate)}",
            )
            for gate in gates
        ],
    )


def confused(labels: Iterable[str], matrix: np.ndarray | list[list[int]]) -> list[tuple[str, str, int]]:
    """Return (true class, predicted class, number of images), the most frequent mistakes first."""
    import numpy as np

    from transfercli.evaluation.examples import most_confused

    mistakes = most_confused(np.asarray(matrix, np.int64), tuple(labels))
    return [(mistake.truth, mistake.predicted, mistake.images) for mistake in mistakes]


def _show_trust(trust: dict[str, Any]) -> None:
    calibration, abstention = trust.get("calibration"), trust.get("abstention")
    if calibration and "labels" in calibration:
        _show_labels_trust(trust)
        return
    if threshold := trust.get("threshold"):
        print_text(f"\n{_threshold_in_words(threshold)}")
    if calibration and calibration["temperature"] == 1:
        print_text("\nno temperature: none improved the probabilities of images held out from training beyond chance")
    elif calibration:
        ece, loss = (
            f"{calibration[f'{name}_before']:.4f} -> {calibration[f'{name}_after']:.4f}" for name in ("ece", "log_loss")
        )
        print_text(f"\ntemperature {calibration['temperature']:.3f}: calibration error {ece}, log loss {loss}")
    if abstention:
        name, target = next(iter(abstention["target"].items()))
        threshold = abstention["threshold"]
        rule = "always" if threshold is None else f"below a confidence of {threshold:.3f}"
        possible = abstention["possible"]
        most = "" if possible is None else f" (they can promise {possible:g} at most)"
        print_text(
            f"abstains {rule}, chosen on images held out from training for {name} {target:g}{most}: on this split it"
            f" answers for {abstention['coverage']:.1%} of the images, with accuracy {decimal(abstention['accuracy'])}"
        )
    if conformal := trust.get("conformal"):
        _show_sets(conformal)


def _threshold_in_words(threshold: dict[str, Any]) -> str:
    """Return the threshold of two classes and what held-out images promise of it."""
    from transfercli.evaluation.confidence.thresholds import rule_in_words

    promised = [
        f"{name} {threshold[f'promised_{name}']:.4f}"
        for name in ("precision", "recall")
        if threshold[f"promised_{name}"] is not None
    ]
    text = f"the second class is answered from a probability of {threshold['threshold']:.4f}, chosen for"
    text += f" {rule_in_words(threshold['rule'])}"
    if promised:
        text += f"; with 95% certainty new images have at least {' and '.join(promised)} of it"
    return f"{text}; {threshold['reason']}" if threshold["reason"] else text


def _show_labels_trust(trust: dict[str, Any]) -> None:
    """Print the mean over labels of the calibration error, and of what abstention leaves."""
    calibration, abstention = trust["calibration"], trust["abstention"]
    fitted = sum(row.get("source") in ("own", "common") for row in calibration["labels"])
    ece, loss = (
        f"{decimal(calibration[f'{name}_before'])} -> {decimal(calibration[f'{name}_after'])}"
        for name in ("ece", "log_loss")
    )
    labels = counted(len(calibration["labels"]), "label")
    print_text(f"\n{fitted} of {labels} calibrated: mean calibration error {ece}, log loss {loss}")
    if abstention:
        name, target = next(iter(abstention["target"].items()))
        rows = [row for row in abstention["labels"] if row["coverage"] is not None]
        always = sum(row["threshold"] is None for row in abstention["labels"])
        sure = sum(row["coverage"] for row in rows) / max(len(rows), 1)
        print_text(
            f"abstains label by label, chosen on images held out from training for {name} {target:g}: on this split"
            f" {sure:.1%} of the answers are sure; {always} of {labels} are always unsure"
        )


def _show_sets(conformal: dict[str, Any]) -> None:
    """Print the coverage and size of conformal sets at the levels that the held-out images can serve."""
    rows = [row for row in conformal["levels"] if row["coverage"] is not None]
    if rows:
        print()
        columns = ("predict --sets", "sets with the true label", "labels in a set")
        print_table(columns, [(f"{row['level']:g}", row["coverage"], row["mean_size"]) for row in rows])


def _missed_by(gate: dict[str, Any]) -> str:
    return "" if gate["value"] is None else f", missed by {abs(gate['value'] - gate['bound']):.4f}"


def _honest_rows(evaluation: Evaluation, names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the rows of the metrics without the images that were learnt from; none if there are no such images."""
    from transfercli.workflows.known_images import known_in_words

    if evaluation.honest_examples == evaluation.examples:
        return []
    values = {name: _with_interval(evaluation.honest, evaluation.honest_intervals, name) for name in names}
    return [
        ("learnt from", f"the run or an ancestor {known_in_words(evaluation.known)} these images"),
        ("honest", f"{counted(evaluation.honest_examples, 'other image')}, which gates hold against")
        if evaluation.honest_examples
        else ("honest", "no other image is left, so no gate can be met"),
        *((f"honest {name}", value) for name, value in values.items() if evaluation.honest_examples),
    ]


def _with_interval(metrics: Mapping[str, float | None], intervals: Mapping[str, tuple[float, float]], name: str) -> str:
    interval = intervals.get(name)
    bounds = f"  (95%: {interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
    return f"{decimal(metrics[name])}{bounds}"


@reports(_show, after_evaluation)
def evaluate(
    reporter: Reporter,
    run: Run,
    data: Data = None,
    split: SplitOption = "test",
    minimum: Minimum = None,
    gate_on: GateOnOption = "point",
    corrupt: Corrupt = False,
    tta: Tta = False,
    max_bad: MaxBad = None,
    out: Out = None,
    spreadsheet: Spreadsheet = False,
    shard: Part = None,
    merged: MergeShards = None,
    runs: Runs = RUNS,
) -> EvaluateResult | SeriesEvaluation | ShardResult:
    """Evaluate a run: metrics, a report and gates.

    EXPERIMENT/ID of folds or seeds evaluates each run, and shows mean and spread; with --split validation it evaluates
    the predictions out of fold.

    --shard 1/4 computes one of four parts, for a job each, and --merge-shards 4 then evaluates all of them.

    Exit 5 if a gate is not met.

    Example: transfercli evaluate flowers --min accuracy=0.9
    """
    from transfercli.workflows.evaluate.request import EvaluateRequest
    from transfercli.workflows.evaluate.shards import ShardResult
    from transfercli.workflows.series.evaluate import SeriesEvaluation, evaluate_run_or_series

    request = EvaluateRequest(
        run,
        runs,
        split,
        data,
        tuple(minimum or ()),
        gate_on,
        corrupt,
        tta,
        out,
        max_bad,
        spreadsheet,
        shard_of(shard),
        merged,
    )
    result = evaluate_run_or_series(request, reporter)
    if isinstance(result, ShardResult):
        return result
    gates = result.gates if isinstance(result, SeriesEvaluation) else result.evaluation.gates
    if not all(gate["passed"] for gate in gates):
        raise GateFailed(result, gates)
    return result
