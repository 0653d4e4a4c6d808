"""Likely label errors by a cross-validated probe on given features."""

from __future__ import annotations

import numpy as np
import pytest

from tests.digits import all_digits
from transfercli.data.quality.check import CheckedImage
from transfercli.data.quality.mislabelled import Mislabelled
from transfercli.reporting import Reporter
from transfercli.workflows.data.label_errors import find_mislabelled

DIGITS = all_digits()
PIXELS = DIGITS.features.astype("float32")


def seen_of(labels: np.ndarray) -> list[CheckedImage]:
    return [CheckedImage(f"{label}/{n}.png", str(label), "train", f"{n:064x}", 8, 8) for n, label in enumerate(labels)]


def flipped(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of which `count` got the label of another class, and which."""
    draws = np.random.default_rng(0)
    labels, rows = DIGITS.labels.copy(), draws.choice(len(DIGITS.labels), count, replace=False)
    labels[rows] = (labels[rows] + draws.integers(1, 10, count)) % 10
    return labels, rows


def test_flipped_labels_are_found_with_the_right_suggestion_and_little_else() -> None:
    labels, rows = flipped(40)
    found = find_mislabelled(seen_of(labels), PIXELS, [], {}, Reporter()).suspects
    assert len({one.row for one in found} & set(rows)) >= 32
    assert len({one.row for one in found} - set(rows)) <= 18
    right = [one for one in found if one.row in rows and one.suggested == str(DIGITS.labels[one.row])]
    assert len(right) >= 32
    assert len({one.row for one in found[:20]} & set(rows)) >= 17  # the surest come first
    assert found == find_mislabelled(seen_of(labels), PIXELS, [], {}, Reporter()).suspects
    assert found == sorted(found, key=lambda one: -one.probability)


@pytest.mark.parametrize("how", ["pixels", "near", "group"])
def test_copies_with_the_same_wrong_label_do_not_vouch_for_each_other(how: str) -> None:
    labels = np.concatenate([DIGITS.labels[:600], np.full(30, (DIGITS.labels[0] + 1) % 10)])
    features = np.concatenate([PIXELS[:600], np.repeat(PIXELS[:1], 30, axis=0)])
    seen, copies = seen_of(labels), range(600, 630)
    alone = {one.row for one in find_mislabelled(seen, features, [], {}, Reporter(), 1.0).suspects}
    assert not alone & set(copies)
    if how == "pixels":
        seen[600:] = [CheckedImage(one.path, one.label, one.split, "f" * 64, 8, 8) for one in seen[600:]]
    near = [(600, row) for row in copies[1:]] if how == "near" else []
    groups = {seen[row].path: "ann" for row in copies} if how == "group" else {}
    together = {one.row for one in find_mislabelled(seen, features, near, groups, Reporter(), 1.0).suspects}
    assert together >= set(copies)


def test_a_class_of_one_image_is_neither_judged_nor_suggested() -> None:
    labels = DIGITS.labels[:300].astype(object)
    labels[17] = "rare"
    seen = [CheckedImage(f"{n}", str(label), "train", f"{n:064x}", 8, 8) for n, label in enumerate(labels)]
    found = find_mislabelled(seen, PIXELS[:300], [], {}, Reporter()).suspects
    assert 17 not in {one.row for one in found}
    assert "rare" not in {one.suggested for one in found}
    assert find_mislabelled(seen[17:18], PIXELS[17:18], [], {}, Reporter()) == Mislabelled()


def test_a_weak_model_doubts_no_good_labels_and_the_summary_says_why() -> None:
    projection = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)
    found = find_mislabelled(seen_of(DIGITS.labels), PIXELS @ projection, [], {}, Reporter(), 1.0)
    assert found.search is not None
    assert 0.5 < found.search.agreement < 0.7
    assert found.suspects == []
    assert found.summary() == [f"the model agrees with {found.search.agreement:.0%} of the labels: too weak to judge"]


def test_flips_between_two_similar_classes_are_found_too() -> None:
    labels = DIGITS.labels.copy()
    rows = np.random.default_rng(0).choice(np.flatnonzero(labels == 8), 17, replace=False)
    labels[rows] = 1  # the digits that pixels confuse most
    found = find_mislabelled(seen_of(labels), PIXELS, [], {}, Reporter())
    right = {one.row for one in found.suspects if one.suggested == "8"} & set(rows)
    assert len(right) >= 10
    assert len(found.suspects) <= 25
    assert found.expected_false_alarms <= 10
    assert found.summary()[1] == (
        f"about {found.expected_false_alarms:.1f} of {len(found.suspects)} are expected to be false alarms"
    )
