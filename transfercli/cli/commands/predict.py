"""`transfercli predict`."""

from __future__ import annotations

import csv
import json as json_text
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from transfercli.cli import completion
from transfercli.cli.options import RUNS, Json, Quiet, Runs, Verbose
from transfercli.cli.runner import error_object, run_command
from transfercli.errors import DataError, UsageError

if TYPE_CHECKING:
    from transfercli.workflows.predict.predict import Prediction, Predictions


class Lines(StrEnum):
    jsonl = "jsonl"
    csv = "csv"


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="a run folder, EXPERIMENT, EXPERIMENT/RUN_ID, EXPERIMENT@champion, or an exported artefact",
            show_default=False,
            autocompletion=completion.runs,
        ),
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...", help="image files, folders, patterns, or - for a list on stdin", show_default=False
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="classes told of each image")] = 5,
    lines: Annotated[Lines, typer.Option("--format", help="one JSON object a line, or CSV with a header")] = (
        Lines.jsonl
    ),
    abstain: Annotated[
        bool, typer.Option("--abstain", help="mark what the run is not sure of, or has seen nothing like")
    ] = False,
    watch: Annotated[
        Path | None,
        typer.Option(
            "--watch",
            metavar="DIR",
            help="a drop folder: answer its images, then each that comes into it, until stopped",
        ),
    ] = None,
    runs: Runs = RUNS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Labels and probabilities for images, one line each.

    Files, folders, patterns, a list or a drop folder, answered as they come; exit 4 where all failed.
    """
    out = sys.stdout  # while a command works, `sys.stdout` is stderr: libraries may print

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.predict.predict import PredictCall, predict_images

        if not paths and watch is None:
            raise UsageError(
                "predict needs images; received none", "name files or folders, - for a list, or --watch DIR"
            )
        if json and watch is not None:
            raise UsageError(
                "--json prints one object at the end, and --watch has none", "without --json: a line an image"
            )
        predictions = predict_images(PredictCall(run, runs, tuple(paths or ()), top, abstain, watch), console)
        if json:
            return _whole(predictions)
        try:
            WRITERS[lines](predictions, out)
        except BrokenPipeError:  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return {}

    # On a terminal the lines themselves are the progress, and a bar would stand between them.
    quiet = quiet or (out.isatty() and not json)
    run_command(work, lambda _: None, as_json=json, quiet=quiet, verbose=verbose)


class NothingRead(DataError):
    """All images failed; carries the answer that says why each did."""

    def __init__(self, error: DataError, found: list[Prediction]) -> None:
        super().__init__(error.message, error.hint)
        self.result = error_object(error) | _counted(found)


def _whole(predictions: Predictions) -> dict[str, Any]:
    found: list[Prediction] = []
    try:
        for one in predictions.answers:
            found.append(one)  # noqa: PERF402 - what was answered before an error is wanted too
    except DataError as error:
        raise NothingRead(error, found) from error
    return _counted(found)


def _counted(found: list[Prediction]) -> dict[str, Any]:
    failed = sum(bool(one.error) for one in found)
    return {"images": len(found), "failed": failed, "predictions": [one.as_json() for one in found]}


def _write_jsonl(predictions: Predictions, out: TextIO) -> None:
    for one in predictions.answers:
        out.write(json_text.dumps(one.as_json(), allow_nan=False) + "\n")
        out.flush()


def _write_csv(predictions: Predictions, out: TextIO) -> None:
    """One row an image; from the second class on, a column each for label and probability.

    Names stand as the file system has them, also where their bytes are no text: whoever reads the rows finds the files.
    """
    if isinstance(out, TextIOWrapper):
        out.reconfigure(encoding="utf-8", errors="surrogateescape")
    more = [f"{name}_{rank}" for rank in range(2, predictions.columns + 1) for name in ("label", "probability")]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", "label", "probability", "abstained", "error", *more])
    for row in _rows(predictions):
        writer.writerow(row)
        out.flush()


def _rows(predictions: Predictions) -> Iterator[list[Any]]:
    for one in predictions.answers:
        if one.error:
            yield [one.path, "", "", "", one.error, *[""] * (2 * predictions.columns - 2)]
        else:
            (label, probability), *others = one.top
            said = "true" if one.abstained else "false"
            yield [one.path, label, probability, said, "", *(value for pair in others for value in pair)]


WRITERS = {Lines.jsonl: _write_jsonl, Lines.csv: _write_csv}
