from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from transfercli.data.quality import near_duplicates as module
from transfercli.data.quality.near_duplicates import close_pairs, fingerprints_of, near_duplicates


def looks_of(*images: Image.Image) -> module.Fingerprints:
    return fingerprints_of([np.asarray(one.convert("RGB").resize((64, 64))) for one in images])


def pairs_of(*images: Image.Image) -> list[tuple[int, int]]:
    return near_duplicates(looks_of(*images), np.arange(len(images)))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("L")


def test_a_reencoded_a_smaller_and_a_brighter_copy_look_the_same(digit: Callable[[int], Image.Image]) -> None:
    for n in range(0, 60, 5):
        image = digit(n).resize((96, 96))
        copies = [jpeg(image, 40), image.resize((48, 48)), ImageEnhance.Brightness(image).enhance(0.8)]
        for copy in copies:
            assert pairs_of(image, digit(n + 1), copy) == [(0, 2)]


def test_different_digits_do_not_look_the_same(digit: Callable[[int], Image.Image]) -> None:
    assert len(pairs_of(*(digit(n) for n in range(300)))) == 0


def test_images_of_one_colour_are_blank_and_like_nothing(digit: Callable[[int], Image.Image]) -> None:
    images = [Image.new("L", (9, 9), 0), Image.new("L", (9, 9), 255), digit(0), Image.new("L", (9, 9), 0)]
    looks = looks_of(*images)
    assert looks["blank"].tolist() == [True, True, False, True]
    assert near_duplicates(looks, np.arange(4)) == []


def test_a_crowd_is_joined_and_not_listed_pair_by_pair(digit: Callable[[int], Image.Image]) -> None:
    crowd = [jpeg(digit(3).resize((96, 96)), quality) for quality in range(60, 96, 4)]
    pairs = pairs_of(*crowd, digit(50))
    assert len(pairs) == len(crowd) - 1
    assert {row for pair in pairs for row in pair} == set(range(len(crowd)))


def test_nothing_to_look_at_is_no_pair() -> None:
    assert near_duplicates(np.zeros(0, module.FINGERPRINT), np.arange(0)) == []


def test_every_pair_within_four_bits_is_found_and_no_other() -> None:
    rng = np.random.default_rng(5)
    base = rng.integers(0, 2**63, 400, np.uint64)
    flips = [np.uint64(sum(1 << int(bit) for bit in rng.choice(64, 1 + n % 6, replace=False))) for n in range(400)]
    hashes = np.unique(np.concatenate([base, base ^ np.array(flips, np.uint64)]))
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    expected = np.argwhere(np.triu(bits <= module.MAX_BITS, 1))
    assert np.array_equal(close_pairs(hashes), expected)
    assert len(expected) > 200


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_hashes_are_fine(count: int) -> None:
    assert close_pairs(np.arange(count, dtype=np.uint64) << np.uint64(32)).shape == (count // 2, 2)


def test_many_hashes_that_agree_in_most_bands_stay_cheap() -> None:
    hashes = np.arange(8_000, dtype=np.uint64)
    assert 8_000 <= len(close_pairs(hashes)) <= 15 * 8_000 * module.NEIGHBOURS
