"""Metrics, intervals and files of one number per image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error

from transfercli.errors import ArtefactError, ConfigError
from transfercli.evaluation.gates import from_config
from transfercli.evaluation.regression.predictions import ValuePredictions
from transfercli.evaluation.regression.result import evaluate_values, value_metrics_of
from transfercli.evaluation.report.regression.page import render_value_report, scatter_png
from transfercli.evaluation.report.report import ReportContext


def predictions(images: int = 40, groups: tuple[str, ...] = ()) -> ValuePredictions:
    rng = np.random.default_rng(0)
    truth = rng.normal(30, 10, images).round(1)  # some numbers are equal
    paths = tuple(f"{index}.png" for index in range(images))
    return ValuePredictions(paths, "age", truth, truth + rng.normal(0, 3, images), groups)


def test_metrics_are_those_of_scikit_learn_and_scipy() -> None:
    given = predictions()
    truth, values = given.targets, given.values
    expected = {
        "mae": mean_absolute_error(truth, values),
        "rmse": root_mean_squared_error(truth, values),
        "r2": r2_score(truth, values),
        "median_error": median_absolute_error(truth, values),
        "pearson": pearsonr(truth, values).statistic,
        "spearman": spearmanr(truth, values).statistic,
    }
    assert value_metrics_of(given) == pytest.approx(expected, abs=1e-12)


def test_metrics_that_equal_numbers_do_not_define_are_none() -> None:
    same = ValuePredictions(("a", "b"), "age", np.array([3.0, 3.0]), np.array([1.0, 5.0]))
    result = evaluate_values(same)
    assert (result.metrics["mae"], result.metrics["r2"], result.metrics["pearson"]) == (2.0, None, None)
    assert "r2" not in result.intervals


def test_intervals_hold_the_value_and_are_wider_for_groups() -> None:
    single = evaluate_values(predictions(200))
    for name, (low, high) in single.intervals.items():
        assert low < single.metrics[name] < high
    copied, rows = predictions(50), np.repeat(np.arange(50), 4)
    whole = copied.of(rows)
    grouped = ValuePredictions(
        tuple(map(str, range(200))), "age", whole.targets, whole.values, tuple(f"g{row}" for row in rows)
    )
    apart = ValuePredictions(grouped.paths, "age", whole.targets, whole.values)
    widths = [np.ptp(evaluate_values(one).intervals["mae"]) for one in (apart, grouped)]
    assert widths[1] > 1.5 * widths[0]


def test_gates_hold_for_numbers_and_those_of_classes_are_refused() -> None:
    gates = from_config({"mae": "<=2.5", "r2": -1.0}, ("age",), "regression")
    result = evaluate_values(predictions(), gates=gates)
    assert [gate["passed"] for gate in result.gates] == [bool(result.metrics["mae"] <= 2.5), True]
    with pytest.raises(ConfigError, match="is a metric of task: classify"):
        from_config({"accuracy": 0.9}, ("age",), "regression")


def test_files_have_the_numbers_and_the_largest_errors_first(tmp_path: Path) -> None:
    given = predictions()
    given.write_csv(tmp_path / "predictions.csv")
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines[0] == "path,label,predicted"
    assert [np.float32(line.split(",")[2]) for line in lines[1:]] == given.values.astype(np.float32).tolist()
    result, picture = evaluate_values(given), scatter_png(given, "a title")
    page = render_value_report(result, given, ReportContext(experiment="e", run_id="r", split="test"), picture)
    worst = np.argsort(-np.abs(given.errors))
    assert page.index(f">{given.paths[worst[0]]}<") < page.index(f">{given.paths[worst[1]]}<")
    assert picture.startswith(b"\x89PNG")


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ArtefactError, match="NaN or infinite values for 1 of 2 images"):
        ValuePredictions(("a", "b"), "age", np.zeros(2), np.array([0.0, np.nan]))
