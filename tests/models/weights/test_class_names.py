"""Names of classes in the config.json of a repository."""

from __future__ import annotations

import pytest

from transfercli.models.weights.class_names import class_names


def test_names_are_read_in_the_order_of_the_outputs() -> None:
    assert class_names({"label_names": ["b ", "a"]}, 2) == ("b", "a")
    assert class_names({"id2label": {"1": "a", "0": "b"}}, 2) == ("b", "a")
    assert class_names({"pretrained_cfg": {"label_names": ["b", "a"]}}, 2) == ("b", "a")


@pytest.mark.parametrize("names", [["a", "a "], ["a", ".."], ["a", "b/c"], ["a", ""], ["a", 1], ["a"], "ab"])
def test_names_that_no_two_folders_can_have_are_unknown(names: object) -> None:
    assert class_names({"label_names": names}, 2) == ()
