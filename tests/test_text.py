"""Texts for people: counts, durations, names from elsewhere."""

from __future__ import annotations

import pytest

from transfercli.text import counted, duration, printable, squeezed, without_colours


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    assert printable("cat\x1b[2J\u202egod\nnext") == "cat\\x1b[2J\\u202egod\nnext"


def test_durations_read_naturally() -> None:
    assert [duration(s) for s in (3.21, 42, 185, 7800)] == ["3.2 s", "42 s", "3:05 min", "2:10 h"]


def test_one_is_told_in_the_singular() -> None:
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]


@pytest.mark.parametrize("most", range(1, 8))
def test_a_squeezed_text_keeps_both_ends(most: int) -> None:
    short = squeezed("abcdefgh", most)
    assert len(short) == most
    head, tail = short.split("…")
    assert "abcdefgh".startswith(head)
    assert "abcdefgh".endswith(tail)
    assert 0 <= len(head) - len(tail) <= 1
    assert squeezed("abc", 3) == "abc"


def test_colours_of_a_library_are_left_out() -> None:
    assert without_colours("\x1b[1mDense\x1b[0m: \x1b[38;5;9mno\x1b[K [1m]") == "Dense: no [1m]"
