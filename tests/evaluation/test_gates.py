from __future__ import annotations

from collections.abc import Callable

import pytest

from transfercli.config.types import Task
from transfercli.errors import ConfigError, UsageError
from transfercli.evaluation.gates import Gate, from_config, parse, resolve
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.result import evaluate


@pytest.mark.parametrize(
    "text, gate",
    [
        ("accuracy=0.9", Gate("accuracy", ">=", 0.9)),
        ("accuracy>=0.9", Gate("accuracy", ">=", 0.9)),
        (" accuracy >= .9 ", Gate("accuracy", ">=", 0.9)),
        ("accuracy<=1", Gate("accuracy", "<=", 1.0)),
        ("ece=0.05", Gate("ece", "<=", 0.05)),
        ("ece<=5e-2", Gate("ece", "<=", 0.05)),
        ("log_loss=1.", Gate("log_loss", "<=", 1.0)),
        ("mcc=-0.5", Gate("mcc", ">=", -0.5)),
        ("recall[cat]=0.8", Gate("recall[cat]", ">=", 0.8)),
        ("f1[a=b]<=0.8", Gate("f1[a=b]", "<=", 0.8)),
        ("precision[x[1]]>=0.8", Gate("precision[x[1]]", ">=", 0.8)),
        ("recall[a>=0.5]=0.8", Gate("recall[a>=0.5]", ">=", 0.8)),
        ("recall[]=0.8", Gate("recall[]", ">=", 0.8)),
        ("recall[two\nlines]=0.8", Gate("recall[two\nlines]", ">=", 0.8)),
    ],
)
def test_a_gate_of_the_command_line_is_read(text: str, gate: Gate) -> None:
    assert parse(text) == gate


@pytest.mark.parametrize("name", METRICS)
def test_a_bare_value_bounds_the_bad_side_of_each_metric(name: str) -> None:
    assert parse(f"{name}=0.5").op == (">=" if METRICS[name].higher_is_better else "<=")


NO_GATES = (
    "|accuracy|accuracy=|=0.9|accuracy=high|accuracy=nan|accuracy=inf|accuracy=1e999|accuracy>0.9|a=1,b=1|[cat]=0.5"
)


@pytest.mark.parametrize("text", NO_GATES.split("|"))
def test_what_is_no_gate_is_a_usage_error_that_shows_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "received" in caught.value.message


@pytest.mark.parametrize(
    "text", ["accuracy=2", "ece<=-0.1", "mcc=-1.01", "brier=2.1", "log_loss=-1", "recall[cat]=1.5"]
)
def test_a_bound_that_no_value_can_reach_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"must be a number (from|of at least) .*; received"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["accuracy=1", "mcc=-1", "cohen_kappa<=-0.5", "brier=2", "log_loss=9", "recall[cat]=0"]
)
def test_a_bound_at_the_end_of_what_a_metric_can_be_is_taken(text: str) -> None:
    assert parse(text).bound == float(text.partition("=")[2])


def test_a_bound_of_the_config_that_no_value_can_reach_is_told_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"evaluation.gates.accuracy: the bound .* from 0 to 1; received 2"):
        from_config({"accuracy": 2})


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        parse("acuracy=0.9")
    with pytest.raises(ConfigError, match="did you mean 'macro_f1'"):
        from_config({"macro_fl": 0.9})


def test_an_unknown_class_names_the_nearest_where_the_classes_are_known() -> None:
    assert parse("recall[cta]=0.8").metric == "recall[cta]"
    with pytest.raises(UsageError, match=r"'cta' is not a known class: allowed are 'cat', 'dog'; did you mean 'cat'\?"):
        parse("recall[cta]=0.8", ("cat", "dog"))
    with pytest.raises(ConfigError, match="did you mean 'dog'"):
        from_config({"recall[dgo]": 0.8}, ("cat", "dog"))


def test_only_metrics_of_one_class_take_a_class() -> None:
    with pytest.raises(UsageError, match="metric of one class: allowed are precision, recall, f1"):
        parse("accuracy[cat]=0.9")
    with pytest.raises(
        UsageError, match=r"not a known metric.*; metrics of one class are precision\[LABEL\], recall\[LABEL\]"
    ):
        parse("recall=0.9")


def test_gates_of_the_config_are_numbers_or_bounds() -> None:
    found = from_config(
        {"accuracy": 0.9, "ece": "<=0.05", "log_loss": 1, "mcc": " >= 0.5", "recall[cat]": 0.7, "brier": 1e-5}
    )
    assert found == [
        Gate("accuracy", ">=", 0.9),
        Gate("ece", "<=", 0.05),
        Gate("log_loss", "<=", 1.0),
        Gate("mcc", ">=", 0.5),
        Gate("recall[cat]", ">=", 0.7),
        Gate("brier", "<=", 1e-5),
    ]


@pytest.mark.parametrize("value", ["high", "==1", "", float("nan"), True])
def test_a_config_value_that_bounds_nothing_is_a_config_error(value: object) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.gates\.accuracy"):
        from_config({"accuracy": value})  # type: ignore[dict-item]


def test_the_command_line_replaces_the_config_on_the_same_metric() -> None:
    found = resolve({"accuracy": 0.9, "ece": 0.1}, ["accuracy=0.5", "accuracy<=0.99", "mcc=0"])
    assert found == [
        Gate("ece", "<=", 0.1),
        Gate("accuracy", ">=", 0.5),
        Gate("accuracy", "<=", 0.99),
        Gate("mcc", ">=", 0.0),
    ]


def test_a_bound_that_is_just_reached_is_met(make: Callable[..., Predictions]) -> None:
    one = make([0, 0, 1, 1], [0, 0, 1, 0])
    result = evaluate(one, gates=resolve({}, ["accuracy>=0.75", "accuracy<=0.75", "recall[class 1]=0.51"]))
    assert result.gates == [
        {"metric": "accuracy", "op": ">=", "bound": 0.75, "value": 0.75, "passed": True},
        {"metric": "accuracy", "op": "<=", "bound": 0.75, "value": 0.75, "passed": True},
        {"metric": "recall[class 1]", "op": ">=", "bound": 0.51, "value": 0.5, "passed": False},
    ]
    assert not result.passed


def test_a_metric_without_a_value_fails_its_gate(make: Callable[..., Predictions]) -> None:
    one = make([0, 0], [0, 0])
    result = evaluate(one, gates=resolve({}, ["roc_auc>=0", "recall[class 2]>=0", "cohen_kappa<=1"]))
    assert [(gate["value"], gate["passed"]) for gate in result.gates] == [(None, False)] * 3


def test_on_lower_the_end_of_the_interval_that_is_nearer_to_failing_is_held(predictions: Predictions) -> None:
    gates = resolve({}, ["accuracy=0.5", "accuracy<=0.99", "ece<=0.99", "recall[zero]=0.1"])
    result = evaluate(predictions, gates=gates, gate_on="lower")
    ends = [result.intervals["accuracy"][0], result.intervals["accuracy"][1], result.intervals["ece"][1]]
    assert [gate["value"] for gate in result.gates] == [*ends, result.intervals["recall[zero]"][0]]
    accuracy = result.metrics["accuracy"]
    at = [parse(f"accuracy={accuracy}")]
    assert evaluate(predictions, gates=at).passed
    assert not evaluate(predictions, gates=at, gate_on="lower").passed


def test_a_perfect_split_passes_on_lower_as_far_as_its_images_show(make: Callable[..., Predictions]) -> None:
    one = make([0, 1, 2] * 20, [0, 1, 2] * 20)
    assert evaluate(one, gates=resolve({}, ["macro_f1=0.9", "f1[class 1]=0.8"]), gate_on="lower").passed
    assert not evaluate(one, gates=resolve({}, ["macro_f1=0.99"]), gate_on="lower").passed


def test_the_class_of_a_gate_is_matched_by_its_normalised_name() -> None:
    [gate] = from_config({"recall[cafe\u0301 ]": 0.5}, ("caf\u00e9", "dog"))
    assert gate.metric == parse("recall[caf\u00e9]=0.5", ("caf\u00e9",)).metric == "recall[caf\u00e9]"
    assert resolve({"recall[cafe\u0301]": 0.5}, ["recall[caf\u00e9]=0.7"], ("caf\u00e9", "dog"))[0].bound == 0.7
    with pytest.raises(ConfigError, match=r"'st\u043ep' \(U\+0073 U\+0074 U\+043E.*allowed are 'stop' \(U\+0073"):
        from_config({"recall[st\u043ep]": 0.5}, ("stop", "go"))


@pytest.mark.parametrize(
    "text, gate",
    [
        ("map>=0.8", Gate("map", ">=", 0.8)),
        ("hamming_loss=0.1", Gate("hamming_loss", "<=", 0.1)),
        ("coverage=3", Gate("coverage", "<=", 3.0)),
        ("ap[dog]>=0.8", Gate("ap[dog]", ">=", 0.8)),
        ("recall[dog]=0.8", Gate("recall[dog]", ">=", 0.8)),
        ("auroc[a]=[b>=1]<=0.8", Gate("auroc[a]=[b>=1]", "<=", 0.8)),
        ("f1[ñandú, 2 «x»]=0.5", Gate("f1[ñandú, 2 «x»]", ">=", 0.5)),
    ],
)
def test_a_gate_on_several_labels_is_read(text: str, gate: Gate) -> None:
    labels = ("dog", "a]=[b>=1", "ñandú, 2 «x»")
    assert parse(text, labels, "multilabel") == gate


@pytest.mark.parametrize(
    "text, task, said",
    [
        (
            "map=0.8",
            "classify",
            "'map' is a metric of task: multilabel, and this task is classify, one class per image",
        ),
        ("ap[cat]=0.8", "classify", "'ap' is a metric of one class of task: multilabel.*allowed are precision, recall"),
        ("mcc=0.8", "multilabel", "'mcc' is a metric of task: classify.*several labels per image: allowed are map"),
        ("mp=0.8", "multilabel", r"'mp' is not a known metric.*did you mean 'map'\?.*ap\[LABEL\]"),
        ("ap[dgo]=0.8", "multilabel", r"'dgo' is not a known label.*did you mean 'dog'\?"),
    ],
)
def test_a_metric_of_another_task_is_an_error_with_the_names_allowed(text: str, task: Task, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(text, ("cat", "dog"), task)
