"""Table of predictions: the columns and rows of `predict --format csv`."""

from __future__ import annotations

from json import dumps
from typing import Any

from transfercli.data.label_sets import LabelSet
from transfercli.workflows.predict.predict import Prediction, Predictions


def table_header(predictions: Predictions) -> list[str]:
    """Return the names of the columns."""
    if predictions.has_numbers:
        return ["path", "value", "error"]
    first = 1 if predictions.several else 2
    more = [f"{name}_{rank}" for rank in range(first, predictions.columns + 1) for name in ("label", "probability")]
    answer = ["path", "label", "probability", "abstained", "error", *["labels", "unsure"] * predictions.several]
    return [*answer, *more, "strange", "unknown", *["set"] * predictions.sets]


def table_row(prediction: Prediction, predictions: Predictions) -> list[Any]:
    """Return the row of an image.

    From the second class on, there are a column each for label and probability. If an image may have several labels,
    `labels` is the set of them, as in predictions.csv, `unsure` those that the model abstains from (empty without
    --abstain), and all of the most probable ones follow: `label` and `probability` are those of the answer, and need
    not be the first of them. A number per image has the columns path, value and error alone.

    `strange` and `unknown` are empty if the model has no out-of-distribution score. The last column of `--sets` is a
    JSON list, because a label may contain any character.
    """
    if predictions.has_numbers:
        return [prediction.path, "" if prediction.value is None else prediction.value, prediction.error]
    if prediction.error:
        empty = 2 * predictions.columns + predictions.sets + 4 * predictions.several
        return [prediction.path, "", "", "", prediction.error, *[""] * empty]
    label, probability = prediction.best
    score = ["", ""] if prediction.unknown is None else [_flag(bool(prediction.strange)), prediction.unknown]
    held = [] if prediction.labels is None else [dumps(prediction.labels, ensure_ascii=False)]
    answered = prediction.answered
    sets = [] if answered is None else [[name for name, _ in answered], prediction.unsure]
    given = ["" if names is None else LabelSet.of(names).text for names in sets]
    others = [pair for pair in prediction.top if pair[0] != label][: len(prediction.top) - 1]
    more = (value for pair in (others if answered is None else prediction.top) for value in pair)
    return [prediction.path, label or "", probability, _flag(prediction.abstained), "", *given, *more, *score, *held]


def _flag(value: bool) -> str:
    return "true" if value else "false"
