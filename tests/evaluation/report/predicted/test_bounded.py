"""Collections of bounded size over a stream."""

from __future__ import annotations

import random

from transfercli.evaluation.report.predicted.bounded import Lowest, Sample


def test_the_lowest_keys_are_kept_in_their_order_and_of_equal_ones_the_first() -> None:
    keys = [random.Random(1).randrange(50) for _ in range(500)]
    lowest = Lowest[tuple[int, int]](20)
    for number, key in enumerate(keys):
        lowest.add(key, (key, number))
    assert lowest.entries() == sorted((key, number) for number, key in enumerate(keys))[:20]


def test_a_collection_of_none_keeps_none() -> None:
    lowest = Lowest[str](0)
    lowest.add(1, "a")
    assert lowest.entries() == []


def test_a_sample_is_bounded_holds_distinct_entries_and_is_the_same_each_time() -> None:
    samples = []
    for _ in range(2):
        sample = Sample[int](100)
        for entry in range(5000):
            sample.add(entry)
        samples.append(sample.entries)
    assert samples[0] == samples[1]
    assert len(set(samples[0])) == 100
    assert 1500 < sum(samples[0]) / 100 < 3500  # of the whole stream, not of one end


def test_a_short_stream_is_kept_whole() -> None:
    sample = Sample[int](10)
    for entry in range(7):
        sample.add(entry)
    assert sample.entries == list(range(7))
