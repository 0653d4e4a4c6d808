from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from transfercli.data.label_errors import find_mislabelled
from transfercli.data.quality.check import CheckedImage
from transfercli.data.quality.confident_learning import cross_validated, find_suspects
from transfercli.reporting import Reporter

DIGITS = load_digits()
PIXELS = DIGITS.data.astype("float32")


def seen_of(labels: np.ndarray) -> list[CheckedImage]:
    return [CheckedImage(f"{label}/{n}.png", str(label), "train", f"{n:064x}", 8, 8) for n, label in enumerate(labels)]


def flipped(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of which `count` got the label of another class, and which."""
    draws = np.random.default_rng(0)
    labels, rows = DIGITS.target.copy(), draws.choice(len(DIGITS.target), count, replace=False)
    labels[rows] = (labels[rows] + draws.integers(1, 10, count)) % 10
    return labels, rows


def test_flipped_labels_are_found_with_the_right_suggestion_and_little_else() -> None:
    labels, rows = flipped(40)
    found = find_mislabelled(seen_of(labels), PIXELS, [], {}, Reporter())
    assert len({one.row for one in found} & set(rows)) >= 32
    assert len({one.row for one in found} - set(rows)) <= 18
    right = [one for one in found if one.row in rows and one.suggested == str(DIGITS.target[one.row])]
    assert len(right) >= 32
    assert len({one.row for one in found[:20]} & set(rows)) >= 17  # the surest come first
    assert found == find_mislabelled(seen_of(labels), PIXELS, [], {}, Reporter())


@pytest.mark.parametrize("how", ["pixels", "near", "group"])
def test_copies_with_the_same_wrong_label_do_not_vouch_for_each_other(how: str) -> None:
    labels = np.concatenate([DIGITS.target[:600], np.full(30, (DIGITS.target[0] + 1) % 10)])
    features = np.concatenate([PIXELS[:600], np.repeat(PIXELS[:1], 30, axis=0)])
    seen, copies = seen_of(labels), range(600, 630)
    alone = {one.row for one in find_mislabelled(seen, features, [], {}, Reporter())}
    assert not alone & set(copies)
    if how == "pixels":
        seen[600:] = [CheckedImage(one.path, one.label, one.split, "f" * 64, 8, 8) for one in seen[600:]]
    near = [(600, row) for row in copies[1:]] if how == "near" else []
    groups = {seen[row].path: "ann" for row in copies} if how == "group" else {}
    together = {one.row for one in find_mislabelled(seen, features, near, groups, Reporter())}
    assert together >= set(copies)


def test_a_class_of_one_image_is_neither_judged_nor_suggested() -> None:
    labels = DIGITS.target[:300].astype(object)
    labels[17] = "rare"
    seen = [CheckedImage(f"{n}", str(label), "train", f"{n:064x}", 8, 8) for n, label in enumerate(labels)]
    found = find_mislabelled(seen, PIXELS[:300], [], {}, Reporter())
    assert 17 not in {one.row for one in found}
    assert "rare" not in {one.suggested for one in found}
    assert find_mislabelled(seen[17:18], PIXELS[17:18], [], {}, Reporter()) == []


def test_confidence_counts_by_each_class_s_own_threshold() -> None:
    chances = np.array(
        [
            [0.9, 0.1, 0.0],  # the mean of class 0 is (0.9 + 0.5 + 0.1) / 3 = 0.5
            [0.5, 0.5, 0.0],
            [0.1, 0.5, 0.4],  # confidently of class 1, whose threshold is 0.35
            [0.6, 0.4, 0.0],  # confidently of 0 and of 1: the likelier counts
            [0.45, 0.3, 0.25],  # of no class confidently
        ]
    )
    rows, guesses = find_suspects(chances, np.array([0, 0, 0, 1, 1]))
    assert rows.tolist() == [2, 3]
    assert guesses.tolist() == [1, 0]


def test_a_class_that_the_other_folds_lack_is_taken_at_its_word() -> None:
    features = np.array([[0.0], [0.1], [1.0], [1.1], [5.0]])
    targets, folds = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    chances = cross_validated(features, targets, folds, Reporter())
    assert chances[4].tolist() == [0, 0, 1]
    assert not (chances[:4] == 1).any()
    assert np.allclose(chances.sum(axis=1), 1)
