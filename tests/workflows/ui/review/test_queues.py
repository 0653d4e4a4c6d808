"""Reasons of the queues, in words that a reviewer can use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet
from transfercli.workflows.ui.review.queues import ModelAnswers, of_answers


def image(label: str) -> Record:
    return Record("a.png", "0" * 64, label, "train")


def answers(rows: Sequence[Sequence[float]], labels: Sequence[str]) -> ModelAnswers:
    return ModelAnswers(np.zeros((len(rows), 2), np.float32), np.array(rows, np.float32), labels)


def test_an_unsure_answer_names_the_two_most_probable_labels_with_their_probabilities() -> None:
    found = answers([[0.9, 0.06, 0.04], [0.15, 0.42, 0.43]], ["cat", "cow", "dog"])
    _, unsure = of_answers([image("cat"), image("cow")], found, several=False)
    assert [*unsure] == [1, 0]
    assert unsure[1] == "the model is unsure: 43% for 'dog' and 42% for 'cow'"


def test_doubts_about_one_of_several_labels_name_it() -> None:
    found = answers([[0.9, 0.2], [0.05, 0.45]], ["cat", "dog"])
    images = [image(LabelSet.of([], []).text), image(LabelSet.of(["cat"], []).text)]
    disagrees, unsure = of_answers(images, found, several=True)
    assert disagrees == {
        1: "the model answers that the image has not 'cat', with 95%",
        0: "the model answers that the image has 'cat', with 90%",
    }
    assert unsure[1] == "the model is unsure: 45% for 'dog'"
