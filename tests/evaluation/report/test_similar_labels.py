"""The page of similar images if an image may have several labels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.evaluation.page_reading import Page
from transfercli.evaluation.report.similar_page import MatchedImage, QueryImage, write_page
from transfercli.workflows.embed.similar import _labels_answered, _query_json

MATCHES = tuple(
    MatchedImage(rank=rank, path=f"{rank}.png", sha256=str(rank), similarity=1 / rank, **facts)
    for rank, facts in enumerate(
        (
            {"label": "dog, sea", "labels": ("dog", "sea"), "split": "train"},
            {"predicted": "sea", "predicted_labels": ("sea",), "probability": 0.9},
            {"label": "no label", "labels": (), "split": "train"},
        ),
        start=1,
    )
)
ANSWER: dict[str, Any] = {"predicted": "no label", "predicted_labels": (), "probability": 0.2}
ASKED = QueryImage(path="q.png", sha256="0", itself=False, neighbours=MATCHES, **ANSWER)


def test_each_label_of_the_neighbours_is_counted_and_sets_are_words(tmp_path: Path) -> None:
    assert ASKED.classes() == [("sea", 2), ("dog", 1)]
    words = Page(write_page(tmp_path, "scenes/one", "images", 3, [ASKED], "transfercli similar").read_text()).words
    assert "dog, sea" in words
    assert '["' not in words


def test_json_has_lists_for_several_labels_and_no_such_keys_for_one_class() -> None:
    found = _query_json(ASKED)
    assert (found["predicted_labels"], found["neighbours"][0]["labels"]) == ([], ["dog", "sea"])
    one = _query_json(QueryImage(path="q.png", sha256="3", itself=False, neighbours=(), predicted="7", probability=0.9))
    assert {"labels", "predicted_labels", "picture"}.isdisjoint(one)


@pytest.mark.parametrize(
    "row, words, probability",
    [([0.9, 0.2, 0.4], "dog, sea", 0.9), ([0.1, 0.2, 0.3], "no label", 0.3), ([0.1, 0.5, 0.6], "cat, sea", 0.6)],
)
def test_an_image_is_answered_with_the_labels_at_or_above_their_thresholds(
    row: list[float], words: str, probability: float
) -> None:
    trust = SimpleNamespace(thresholds=np.array([0.5, 0.5, 0.35]))
    run: Any = SimpleNamespace(labels=("dog", "cat", "sea"), label_trust=trust)
    answer = _labels_answered(run, np.array(row))
    assert (answer["predicted"], answer["probability"]) == (words, probability)
