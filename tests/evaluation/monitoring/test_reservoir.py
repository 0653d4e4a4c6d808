"""Bottom-k samples: uniform, exact for small numbers, and the same however images are shared out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfercli.evaluation.monitoring.reservoir import (
    MAX_BYTES,
    MAX_ROWS,
    NO_LIMIT,
    Reservoir,
    Sample,
    keys_of,
    merge_samples,
    rows_that_fit,
)

FEATURES = 3
asked = st.lists(st.integers(0, 2**64 - 1), max_size=60)
# A few different keys, so that images recur, in several processes, too.
shared_out = st.lists(st.lists(st.sampled_from([7 * n**5 % 2**64 for n in range(1, 40)]), max_size=40), min_size=1)


def features_of(keys: np.ndarray) -> np.ndarray:
    """Return features that depend on the image alone."""
    return (keys[:, None] % np.uint64(97) + np.arange(FEATURES, dtype=np.uint64)).astype(np.float32)


def sampled(keys: list[int], rows: int) -> Sample:
    reservoir = Reservoir(FEATURES, 2, rows)
    for start in range(0, len(keys), 7):
        part = np.array(keys[start : start + 7], np.uint64)
        reservoir.add(part, features_of(part), features_of(part)[:, :2] / 200)
    return reservoir.sample()


def assert_equal(one: Sample, other: Sample) -> None:
    for name in ("keys", "times", "features", "probabilities"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(asked, st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_a_sample_has_the_smallest_keys_each_with_the_number_of_times_that_it_was_asked(
    keys: list[int], rows: int
) -> None:
    sample, counts = sampled(keys, rows), Counter(keys)
    assert sample.keys.tolist() == sorted(counts)[:rows]
    assert sample.times.tolist() == [counts[key] for key in sorted(counts)[:rows]]
    np.testing.assert_array_equal(sample.features, features_of(sample.keys))
    assert (sample.limit == NO_LIMIT) is (len(counts) <= rows)


@given(shared_out, st.integers(1, 30))
@settings(max_examples=150, deadline=None)
def test_samples_of_processes_merge_into_a_part_of_the_sample_of_all_images(
    processes: list[list[int]], rows: int
) -> None:
    every = [key for keys in processes for key in keys]
    merged = merge_samples([sampled(keys, rows) for keys in processes], rows=1000)
    of_all, counts = sampled(every, 1000), Counter(every)
    assert merged.keys.tolist() == sorted(counts)[: len(merged)]
    assert merged.times.tolist() == [counts[int(key)] for key in merged.keys]
    assert len(merged) >= min(rows, len(counts))
    assert_equal(merged.smallest(rows), of_all.smallest(rows))
    assert_equal(merge_samples([sampled(keys, rows) for keys in processes], rows), of_all.smallest(rows))


@given(shared_out, st.integers(1, 10), st.integers(1, 10))
@settings(max_examples=100, deadline=None)
def test_merging_in_steps_is_merging_at_once_also_of_samples_of_different_sizes(
    processes: list[list[int]], first: int, second: int
) -> None:
    samples = [sampled(keys, first if index % 2 else second) for index, keys in enumerate(processes)]
    at_once = merge_samples(samples)
    in_steps = samples[0]
    for sample in samples[1:]:
        in_steps = merge_samples([in_steps, sample])
    assert_equal(in_steps, at_once)
    assert in_steps.limit == at_once.limit


def test_every_image_is_as_likely_to_be_in_the_sample() -> None:
    images = [np.full((2, 2, 3), 0, np.uint8) + np.uint8(number) for number in range(250)]
    keys = keys_of(images)
    chosen = sampled(keys.tolist(), 50)
    inside = np.isin(keys, chosen.keys)
    assert inside.sum() == 50
    for part in np.array_split(inside, 5):  # the order of the images does not matter: about 10 of each 50
        assert 3 <= part.sum() <= 18


def test_the_number_of_different_images_is_exact_and_beyond_the_sample_an_estimate() -> None:
    keys = np.random.default_rng(0).integers(0, 2**63, 20_000, np.uint64) * np.uint64(2)
    assert sampled(keys[:40].tolist() * 3, 50).different == 40
    assert sampled(keys.tolist(), 1000).different == pytest.approx(20_000, rel=0.1)


def test_keys_depend_on_all_pixels_and_on_nothing_else() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    other = image.copy()
    other[-1, -1, -1] ^= 1
    keys = keys_of([image, image[:, ::1].copy(), other])
    assert keys[0] == keys[1] != keys[2]
    assert int(keys[0]) == 553991917361347917  # the same in every process and version


@pytest.mark.parametrize("width, labels", [(0, 2), (64, 10), (2048, 1000), (25088, 2)])
def test_the_rows_of_a_file_fit_its_bound(width: int, labels: int) -> None:
    rows = rows_that_fit(width, labels)
    assert 1 <= rows <= MAX_ROWS
    assert rows * 4 * (width + labels) <= MAX_BYTES
