from __future__ import annotations

import json
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from transfercli.errors import DataError
from transfercli.evaluation.gates import parse
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.result import evaluate


def test_the_result_has_the_keys_of_the_contract(predictions: Predictions) -> None:
    result = evaluate(predictions, gates=[parse("accuracy=0.5")]).as_result()
    assert list(result)[:6] == ["examples", "metrics", "intervals", "per_class", "confusion_matrix", "gates"]
    assert result["examples"] == 600
    assert set(result["metrics"]) == set(METRICS)
    assert set(result["per_class"][0]) == {"label", "precision", "recall", "f1", "support"}
    assert {"accuracy", "macro_f1", "recall[zero]"} <= set(result["intervals"])
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_classes_and_confusions_agree_with_scikit_learn(predictions: Predictions) -> None:
    result = evaluate(predictions).as_result()
    expected = precision_recall_fscore_support(predictions.targets, predictions.predicted)
    for key, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([row[key] for row in result["per_class"]], values, atol=1e-12)
    assert [row["label"] for row in result["per_class"]] == list(predictions.labels)
    np.testing.assert_array_equal(
        result["confusion_matrix"], confusion_matrix(predictions.targets, predictions.predicted)
    )


def test_classes_without_images_keep_their_row(make: Callable[..., Predictions]) -> None:
    result = evaluate(make([0, 0, 1], [0, 2, 1], classes=4)).as_result()
    empty = {"precision": None, "recall": None, "f1": None, "support": 0}
    assert result["per_class"][3] == {"label": "class 3", **empty}
    assert result["per_class"][2] == {"label": "class 2", **empty, "precision": 0.0, "f1": 0.0}
    assert result["confusion_matrix"] == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert "recall[class 3]" not in result["intervals"]


def test_a_class_never_predicted_has_precision_zero(make: Callable[..., Predictions]) -> None:
    assert evaluate(make([0, 1], [0, 0])).per_class[1]["precision"] == 0.0


def test_the_same_predictions_give_the_same_result(predictions: Predictions) -> None:
    assert evaluate(predictions).as_result() == evaluate(predictions).as_result()


def test_an_empty_split_is_a_data_error() -> None:
    nothing = Predictions((), ("a", "b"), np.zeros(0, int), np.zeros((0, 2)))
    with pytest.raises(DataError, match="no image to evaluate"):
        evaluate(nothing)


@pytest.mark.parametrize(
    "targets, predicted",
    [([2], [2]), ([2], [0]), ([1] * 4, [1] * 4), ([0, 1, 2], [0, 1, 2]), ([0, 1], [2, 2])],
    ids=["one image right", "one image wrong", "all one class", "perfect", "only an absent class predicted"],
)
def test_extreme_splits_give_strict_json_without_a_warning(
    targets: list[int], predicted: list[int], make: Callable[..., Predictions]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(make(targets, predicted), shown=list(METRICS)).as_result()
    json.dumps(result, allow_nan=False)
    low, high = result["intervals"]["accuracy"]
    assert 0 <= low <= result["metrics"]["accuracy"] <= high <= 1
    assert high - low > 0.3
