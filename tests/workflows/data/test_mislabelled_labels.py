"""Likely errors in each label of images with several, by a cross-validated probe on given features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.digits import all_digits
from transfercli.data.label_sets import LabelSet
from transfercli.data.quality.check import CheckedImage
from transfercli.data.quality.mislabelled import ABSENT, PRESENT, Mislabelled
from transfercli.reporting import Reporter
from transfercli.workflows.data.label_errors import find_mislabelled_labels

DIGITS = all_digits()
PIXELS = DIGITS.features.astype("float32")
NAMES = ("zero", "four or six", "seven")
TRUTH = np.stack([DIGITS.labels == 0, np.isin(DIGITS.labels, (4, 6)), DIGITS.labels == 7], axis=1)


def seen_of(has: np.ndarray, unknown: np.ndarray | None = None) -> list[CheckedImage]:
    unknown = np.zeros(has.shape, bool) if unknown is None else unknown
    names = np.array(NAMES, object)
    sets = [LabelSet.of(names[row & ~no], names[no]) for row, no in zip(has, unknown, strict=True)]
    return [CheckedImage(f"{n}.png", s.text, "train", f"{n:064x}", 8, 8, label_set=s) for n, s in enumerate(sets)]


def flipped() -> tuple[np.ndarray, set[tuple[int, str]]]:
    """Labels of which 15 of each kind are wrong, and which."""
    draws, has = np.random.default_rng(0), TRUTH.copy()
    wrong = {(int(n), label) for label in NAMES for n in draws.choice(len(has), 15, replace=False)}
    for row, label in wrong:
        has[row, NAMES.index(label)] ^= True
    return has, wrong


@pytest.fixture(scope="module")
def found() -> Mislabelled:
    return find_mislabelled_labels(seen_of(flipped()[0]), PIXELS, [], {}, Reporter())


def test_flipped_labels_are_found_each_with_its_label(found: Mislabelled) -> None:
    has, wrong = flipped()
    listed = {(one.row, one.label) for one in found.suspects}
    assert len(listed & wrong) >= 0.7 * len(wrong)
    assert len(listed - wrong) <= 0.4 * len(listed)
    for one in found.suspects:
        stands = has[one.row, NAMES.index(one.label)]
        assert (one.given, one.suggested) == ((PRESENT, ABSENT) if stands else (ABSENT, PRESENT))
    assert list(found.suspects) == sorted(found.suspects, key=lambda one: -one.probability)
    assert found.search is not None
    assert found.search.images == len(has)
    assert 0.9 < found.search.agreement < 1


def test_an_unknown_label_is_neither_doubted_nor_taught(found: Mislabelled) -> None:
    has, wrong = flipped()
    unknown = np.zeros(has.shape, bool)
    for row, label in wrong:
        unknown[row, NAMES.index(label)] = True
    some = find_mislabelled_labels(seen_of(has, unknown), PIXELS, [], {}, Reporter())
    assert not {(one.row, one.label) for one in some.suspects} & wrong
    assert len(some.suspects) < len(found.suspects) / 2


def test_copies_with_the_same_wrong_label_do_not_vouch_for_each_other() -> None:
    has = np.concatenate([TRUTH[:500], np.repeat(~TRUTH[:1], 20, axis=0)])
    features = np.concatenate([PIXELS[:500], np.repeat(PIXELS[:1], 20, axis=0)])
    seen = seen_of(has)
    seen[500:] = [replace(one, pixels="f" * 64) for one in seen[500:]]
    suspects = find_mislabelled_labels(seen, features, [], {}, Reporter(), 1.0).suspects
    assert {(row, "seven") for row in range(500, 520)} <= {(one.row, one.label) for one in suspects}


def test_a_label_of_one_image_is_not_judged() -> None:
    has = TRUTH[:300].copy()
    has[:, 2] = np.arange(300) == 17
    suspects = find_mislabelled_labels(seen_of(has), PIXELS[:300], [], {}, Reporter(), 1.0).suspects
    assert "seven" not in {one.label for one in suspects}
    has[:] = True
    assert find_mislabelled_labels(seen_of(has), PIXELS[:300], [], {}, Reporter()) == Mislabelled()
