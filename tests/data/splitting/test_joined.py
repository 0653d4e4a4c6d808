from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transfercli.data.splitting.joined import Joined


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_what_a_chain_of_pairs_leads_to_is_together_and_nothing_else(pairs: list[tuple[int, int]]) -> None:
    joined: Joined[int] = Joined()
    groups = {n: {n} for n in range(13)}  # the same, by relabelling everything at each pair
    for one, other in pairs:
        assert joined.join(one, other) is (groups[one] is not groups[other])
        merged = groups[one] | groups[other]
        for member in merged:
            groups[member] = merged
    for one in range(13):
        assert joined.find(one) in groups[one]
        assert {n for n in range(13) if joined.find(n) == joined.find(one)} == groups[one]


def test_everything_named_is_listed_once_in_its_order() -> None:
    joined: Joined[str] = Joined()
    joined.join("b", "a")
    joined.find("c")
    joined.join("a", "b")
    assert list(joined) == ["b", "a", "c"]
