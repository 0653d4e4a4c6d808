"""Keys in which configs differ, and the names that they give."""

from __future__ import annotations

from typing import Any

import pytest

from transfercli.config.differing_keys import (
    all_keys,
    differing_keys,
    keys_meant,
    names_by_difference,
    short_names,
    value_text,
    value_texts,
)


def config(rate: float = 0.001, **more: Any) -> dict[str, Any]:
    training = {"optimizer": {"name": "adam", "learning_rate": rate}, "schedule": {"name": "constant"}}
    return {"name": "flowers", "seed": 0, "training": training, "compute": {"threads": None}} | more


def test_a_mapping_in_place_of_a_word_is_one_difference() -> None:
    first = {"seed": 0, "model": {"weights": "none", "head": {"hidden": []}}}
    other = {"seed": 0, "model": {"weights": {"run": "s/one", "until": None}, "head": {"hidden": [8]}}}
    assert differing_keys([first, other]) == {
        "model.weights": ["none", {"run": "s/one"}],
        "model.head.hidden": [[], [8]],
    }


def test_keys_that_differ_between_any_two_of_many_are_found_once_in_their_order() -> None:
    configs = [config(), config(0.003), config(seed=1), config()]
    assert differing_keys(configs) == {
        "seed": [0, 0, 1, 0],
        "training.optimizer.learning_rate": [0.001, 0.003, 0.001, 0.001],
    }
    assert differing_keys([config()]) == differing_keys([]) == differing_keys([config(), config()]) == {}
    assert differing_keys([{"a": None}, {"a": {"b": 1}}, {}]) == {"a": [None, {"b": 1}, None]}


def test_a_name_is_as_short_as_it_can_be_without_meaning_another_key() -> None:
    keys = all_keys([config()])
    wanted = ["training.optimizer.learning_rate", "training.optimizer.name", "name"]
    assert list(short_names(wanted, keys).values()) == ["learning_rate", "optimizer.name", "name"]
    assert keys_meant("learning_rate", keys) == ["training.optimizer.learning_rate"]
    assert keys_meant("optimizer.name", keys) == ["training.optimizer.name"]
    assert keys_meant("name", keys) == ["name"]  # a whole key is no end of others
    assert keys_meant("rate", keys) == []


def test_a_run_is_named_by_what_differs_and_by_places_only_if_nothing_else_does() -> None:
    assert names_by_difference([config(), config(0.003)]) == ["learning_rate 0.001", "learning_rate 0.003"]
    assert names_by_difference([config(), config(0.003, name="other")])[1] == "learning_rate 0.003"
    assert names_by_difference([config(), config(name="other")]) == ["name flowers", "name other"]
    assert names_by_difference([config(), config()]) == ["", ""]
    many = [dict.fromkeys("abcdef", number) for number in (1, 2)]
    assert names_by_difference(many)[0] == "a 1, b 1, c 1, d 1 and 2 more"


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "null"),
        (True, "true"),
        ([], "[]"),
        ([256, 0.1], "[256, 0.1]"),
        ({"run": "a/b"}, "{run: a/b}"),
        (1e-05, "1e-05"),
        ("adam", "adam"),
        (30, "30"),
    ],
)
def test_a_value_is_written_as_in_a_config(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_drawn_numbers_have_four_digits_unless_these_do_not_keep_them_apart() -> None:
    assert value_texts([0.00031278164, 0.1]) == ["0.0003128", "0.1"]
    assert value_texts([0.00031278164, 0.00031278999]) == ["0.00031278164", "0.00031278999"]


def test_a_merged_run_is_named_by_the_number_of_its_networks_after_the_keys_of_its_config() -> None:
    member = {"base": "small_cnn", "head": {"pooling": "avg", "hidden": []}}
    model, data = {"members": None}, {"folds": None, "fold": None}
    configs = [
        config(model=model, data=data),
        config(0.003, model=model, data={"folds": 3, "fold": 1}),
        config(model={"members": [member, member]}, data=data),
    ]
    assert names_by_difference(configs)[2] == "learning_rate 0.001, members average of 3, folds null, fold null"
    long = names_by_difference([{"a": "x" * 500}, {"a": "y"}])[0]
    assert len(long) < 70
