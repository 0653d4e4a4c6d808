"""Answers as columns of numbers and labels, one row an image, in the order of the model's labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.web.messages import Refusal
from transfercli.workflows.predict.predictions import Prediction
from transfercli.workflows.serve.hosting import Answers

PROBABILITIES, VALUE, LABELS = "probabilities", "value", "labels"
ANSWERED, UNSURE, UNKNOWN, STRANGE, ABSTAINED = "answered", "unsure", "unknown", "strange", "abstained"
Column = np.ndarray | list[Any]


def columns_of(answers: Answers) -> dict[str, Column]:
    """Return the columns of answers to images that could all be read.

    value: float32 [N, 1], alone, of a model that gives numbers. Else probabilities: float32 [N, C]; label and
    probability of the answer, [N]; abstained: [N]; unknown and strange: [N], if there is a score; answered and unsure:
    bool [N, C], if an image may have several labels. A label is None if an image has none.
    """
    rows = [row for row in answers.probabilities if row is not None]
    if answers.has_numbers:
        return {VALUE: np.reshape(np.asarray(rows, np.float32), (len(rows), 1))}
    best = [prediction.best for prediction in answers]
    found: dict[str, Column] = {
        PROBABILITIES: np.reshape(np.asarray(rows, np.float32), (len(rows), len(answers.labels))),
        "label": [label for label, _ in best],
        "probability": [probability for _, probability in best],
        ABSTAINED: [prediction.abstained for prediction in answers],
    }
    if any(prediction.unknown is not None for prediction in answers):
        found[UNKNOWN] = [prediction.unknown for prediction in answers]
        found[STRANGE] = [prediction.strange for prediction in answers]
    if answers.several:
        found[ANSWERED] = [_has(answers.labels, (pair[0] for pair in one.answered or ())) for one in answers]
        if any(prediction.unsure is not None for prediction in answers):
            found[UNSURE] = [_has(answers.labels, prediction.unsure or ()) for prediction in answers]
    return found


def _has(labels: Sequence[str], chosen: Any) -> list[bool]:
    names = set(chosen)
    return [label in names for label in labels]


def plain(column: Column) -> list[Any]:
    """Return a column as lists for JSON; each number has the fewest digits that are the same float32."""
    if isinstance(column, list):
        return column
    return [[float(str(value)) for value in row] for row in column]


def refuse_unread(answers: Sequence[Prediction], place: str) -> None:
    """Raise `Refusal` if an image could not be read: a tensor has no place for that. place: of the images."""
    unread = [(number, prediction.error) for number, prediction in enumerate(answers) if prediction.error]
    if unread:
        number, problem = unread[0]
        more = f" (and {len(unread) - 1} more of {len(answers)})" if len(unread) > 1 else ""
        raise Refusal(400, "image", f"{place}[{number}] cannot be read: {problem}{more}")
