"""Predictions as columns of numbers and labels, one row an image, in the order of the model's labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transfercli.web.messages import Refusal
from transfercli.workflows.predict.predict import Prediction
from transfercli.workflows.serve.service import ServedModel

PROBABILITIES, VALUE, LABELS = "probabilities", "value", "labels"


def columns_of(model: ServedModel, predictions: Sequence[Prediction]) -> dict[str, list[Any]]:
    """Return the columns of predictions that have all classes.

    value: [N][1], alone, of a model that gives numbers. Else probabilities: [N][C]; label and probability of the
    answer, [N]; abstained: [N]; unknown and strange: [N], if there is a score; answered and unsure: bool [N][C], if an
    image may have several labels. A label is None if an image has none.
    """
    if model.has_numbers:
        return {VALUE: [[prediction.value] for prediction in predictions]}
    best = [prediction.best for prediction in predictions]
    found: dict[str, list[Any]] = {
        PROBABILITIES: [in_order(model, dict(prediction.top)) for prediction in predictions],
        "label": [label for label, _ in best],
        "probability": [probability for _, probability in best],
        "abstained": [prediction.abstained for prediction in predictions],
    }
    if any(prediction.unknown is not None for prediction in predictions):
        found["unknown"] = [prediction.unknown for prediction in predictions]
        found["strange"] = [prediction.strange for prediction in predictions]
    if model.several:
        answered = [{label for label, _ in prediction.answered or ()} for prediction in predictions]
        found["answered"] = [[label in labels for label in model.labels] for labels in answered]
    if model.several and any(prediction.unsure is not None for prediction in predictions):
        unsure = [set(prediction.unsure or ()) for prediction in predictions]
        found["unsure"] = [[label in labels for label in model.labels] for labels in unsure]
    return found


def in_order(model: ServedModel, probabilities: dict[str, float]) -> list[float]:
    """Return the probability of each label of a model."""
    return [probabilities[label] for label in model.labels]


def refuse_unread(predictions: Sequence[Prediction], place: str) -> None:
    """Raise `Refusal` if an image could not be read: a tensor has no place for that. place: of the images."""
    unread = [(number, prediction.error) for number, prediction in enumerate(predictions) if prediction.error]
    if unread:
        number, problem = unread[0]
        more = f" (and {len(unread) - 1} more of {len(predictions)})" if len(unread) > 1 else ""
        raise Refusal(400, "image", f"{place}[{number}] cannot be read: {problem}{more}")
