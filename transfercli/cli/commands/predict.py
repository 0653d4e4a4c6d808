"""Command `transfercli predict`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from transfercli.cli import completion
from transfercli.cli.choices import Lines
from transfercli.cli.command import streams
from transfercli.cli.options import (
    IMAGE_PATHS,
    RUNS,
    Json,
    KeepImages,
    Log,
    OnEngine,
    Part,
    Runs,
    check_keeping,
    shard_of,
)
from transfercli.cli.runner import error_object, json_line
from transfercli.cli.ui.prediction_table import write_table
from transfercli.errors import DataError, UsageError
from transfercli.io.spreadsheet import SpreadsheetWriter
from transfercli.reporting import Reporter
from transfercli.workflows.result import versioned

if TYPE_CHECKING:
    from transfercli.workflows.predict.predict import Prediction, PredictionList, Predictions

RunOrArtefact = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="a run folder, EXPERIMENT, EXPERIMENT/RUN_ID, EXPERIMENT@champion, or an exported artefact",
        show_default=False,
        autocompletion=completion.runs,
    ),
]
Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        help=IMAGE_PATHS,
        show_default=False,
    ),
]
Top = Annotated[
    int, typer.Option("--top", metavar="K", min=1, help="number of the most probable classes or labels listed")
]
LinesOption = Annotated[
    Lines | None,
    typer.Option(
        "--format",
        help="a JSON object per line, or CSV with a header; without it JSON, on a terminal a table",
    ),
]
Abstain = Annotated[bool, typer.Option("--abstain", help="mark images, or labels of them, with a low confidence")]
Sets = Annotated[
    float | None,
    typer.Option(
        "--sets",
        metavar="LEVEL",
        help="add a set of labels that holds the true one with this probability, such as 0.9",
        show_default=False,
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="exit 4 if any image could not be read, not only if all")]
Watch = Annotated[
    Path | None,
    typer.Option("--watch", metavar="DIR", help="predict the images of a folder, then each new one, until stopped"),
]

Spreadsheet = Annotated[
    bool,
    typer.Option("--spreadsheet", help="with --format csv: for spreadsheet programs, with a BOM and without formulas"),
]


@dataclass(frozen=True)
class PredictionStream:
    """Predictions that are computed while they are read.

    lines: the format of their lines; None: a table on a terminal, else JSON.
    """

    predictions: Predictions
    lines: Lines | None
    spreadsheet: bool = False

    def as_json(self) -> dict[str, Any]:
        """Read the stream to its end. Raises `Unread` if the stream ends with an error."""
        from transfercli.workflows.predict.predict import PredictionList

        answers: list[Prediction] = []
        try:
            for answer in self.predictions.answers:
                answers.append(answer)  # noqa: PERF402 - those before an error are kept
        except DataError as error:
            raise Unread(error, PredictionList(answers, self.predictions.shard)) from error
        return PredictionList(answers, self.predictions.shard).as_json()

    def write(self, out: TextIO) -> None:
        if self.spreadsheet:
            _write_spreadsheet(self.predictions, out)
        elif self.lines is None and out.isatty() and not self.predictions.has_numbers:
            predictions = self.predictions
            write_table(
                predictions.answers,
                predictions.labels,
                predictions.columns,
                out,
                sets=predictions.sets,
                several=predictions.several,
                abstain=predictions.abstain,
            )
        else:
            WRITERS[self.lines or "jsonl"](self.predictions, out)


@dataclass(frozen=True)
class UnreadImages:
    """Result if too many images could not be read: the error, the predictions, and the reason for each unread image."""

    error: DataError
    answers: PredictionList

    def as_json(self) -> dict[str, Any]:
        return error_object(self.error) | self.answers.as_json()


class Unread(DataError):
    """Error if no image, or with `--strict` not every image, could be read; carries the predictions and reasons."""

    def __init__(self, error: DataError, answers: PredictionList) -> None:
        super().__init__(error.message, error.hint)
        self.result = UnreadImages(error, answers)


def _write_jsonl(predictions: Predictions, out: TextIO) -> None:
    for answer in predictions.answers:
        out.write(json_line(versioned(answer.as_json())) + "\n")
        out.flush()


def _write_csv(predictions: Predictions, out: TextIO) -> None:
    """Write one row per image; from the second class on, a column each for label and probability.

    If an image may have several labels, `labels` is the set of them, as in predictions.csv, `unsure` those that the
    model abstains from (empty without --abstain), and all of the most probable ones follow: `label` and `probability`
    are those of the answer, and need not be the first of them.
    A number per image has the columns path, value and error alone.
    `strange` and `unknown` are empty if the model has no out-of-distribution score. The last column of `--sets` is a
    JSON list, because a label may contain any character.

    File names are written as the bytes of the file system, even if they are not UTF-8:
    a reader finds the files by them.
    """
    if isinstance(out, TextIOWrapper):
        out.reconfigure(encoding="utf-8", errors="surrogateescape")
    _write_rows(predictions, csv.writer(out, lineterminator="\n"), out)


def _write_spreadsheet(predictions: Predictions, out: TextIO) -> None:
    """Write the same table as UTF-8 with a byte order mark, and without formulas."""
    if isinstance(out, TextIOWrapper):
        out.reconfigure(encoding="utf-8", errors="backslashreplace")
    _write_rows(predictions, SpreadsheetWriter(out, marked=predictions.has_header), out)


def _write_rows(predictions: Predictions, writer: Any, out: TextIO) -> None:
    if predictions.has_header:
        writer.writerow(_header(predictions))
    if predictions.has_numbers:
        for one in predictions.answers:
            writer.writerow([one.path, "" if one.value is None else one.value, one.error])
            out.flush()
        return
    for row in _rows(predictions):
        writer.writerow(row)
        out.flush()


def _header(predictions: Predictions) -> list[str]:
    """Return the names of the columns."""
    if predictions.has_numbers:
        return ["path", "value", "error"]
    first = 1 if predictions.several else 2
    more = [f"{name}_{rank}" for rank in range(first, predictions.columns + 1) for name in ("label", "probability")]
    answer = ["path", "label", "probability", "abstained", "error", *["labels", "unsure"] * predictions.several]
    return [*answer, *more, "strange", "unknown", *["set"] * predictions.sets]


def _rows(predictions: Predictions) -> Iterator[list[Any]]:
    from transfercli.data.label_sets import LabelSet

    for answer in predictions.answers:
        if answer.error:
            empty = 2 * predictions.columns + predictions.sets + 4 * predictions.several
            yield [answer.path, "", "", "", answer.error, *[""] * empty]
        else:
            label, probability = answer.best
            abstained = _flag(answer.abstained)
            score = ["", ""] if answer.unknown is None else [_flag(bool(answer.strange)), answer.unknown]
            held = [] if answer.labels is None else [dumps(answer.labels, ensure_ascii=False)]
            sets = [] if answer.answered is None else [[name for name, _ in answer.answered], answer.unsure]
            given = ["" if names is None else LabelSet.of(names).text for names in sets]
            others = [pair for pair in answer.top if pair[0] != label][: len(answer.top) - 1]
            more = (value for pair in (others if answer.answered is None else answer.top) for value in pair)
            yield [answer.path, label or "", probability, abstained, "", *given, *more, *score, *held]


def _flag(value: bool) -> str:
    return "true" if value else "false"


WRITERS = {"jsonl": _write_jsonl, "csv": _write_csv}


@streams(PredictionStream.write)
def predict(
    reporter: Reporter,
    run: RunOrArtefact,
    paths: Paths = None,
    top: Top = 5,
    lines: LinesOption = None,
    abstain: Abstain = False,
    sets: Sets = None,
    strict: Strict = False,
    watch: Watch = None,
    spreadsheet: Spreadsheet = False,
    shard: Part = None,
    log: Log = None,
    keep_images: KeepImages = 0,
    engine: OnEngine = "local",
    runs: Runs = RUNS,
    json: Json = False,
) -> PredictionStream:
    """Predict labels and probabilities of images, one line each.

    If an image may have several labels, it gets those at or above their thresholds, or none.

    Takes files, folders, patterns, a list on stdin, or a folder to watch. Exit 4 if no image could be read, with
    --strict if any could not. The outputs of all shards, one after another, are the whole.

    Example: transfercli predict flowers@champion photos --top 3
    """
    from transfercli.workflows.predict.engines import ENGINES
    from transfercli.workflows.predict.predict import PredictRequest, predict_images

    if not paths and watch is None:
        raise UsageError("predict needs images; received none", "name files or folders, - for stdin, or --watch DIR")
    if json and watch is not None:
        raise UsageError("--json prints one object at the end, but --watch has no end", "leave --json out")
    if strict and watch is not None:
        raise UsageError("--strict decides the exit code at the end, but --watch has no end", "leave --strict out")
    if engine != "local" and watch is not None:
        raise UsageError(f"--engine {engine} shares out a list of images, but --watch has no end", "leave one out")
    if spreadsheet and (lines != "csv" or json):
        raise UsageError("--spreadsheet is for CSV only", "add --format csv, and leave --json out")
    if sets is not None and not 0 < sets < 1:
        raise UsageError(f"--sets must be above 0 and below 1; received {sets:g}", "such as --sets 0.9")
    if engine != "local" and log is not None:
        raise UsageError(
            f"--log with --engine {engine}: a task that a lost node did is done again, and would be counted twice",
            "leave one out, or share out the images with --shard",
        )
    check_keeping(log, keep_images)
    part = shard_of(shard)
    request = PredictRequest(run, runs, tuple(paths or ()), top, abstain, watch, strict, sets, part, log, keep_images)
    predictions = predict_images(request, reporter, ENGINES[engine])
    return PredictionStream(predictions, lines, spreadsheet)
