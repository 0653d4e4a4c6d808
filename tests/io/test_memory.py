"""Memory of the machine, or of a container that has less."""

from __future__ import annotations

from pathlib import Path

from transfercli.io.memory import usable_memory


def test_the_limit_of_a_container_counts_if_it_is_lower(tmp_path: Path) -> None:
    machine = usable_memory(())
    assert machine > 10**8
    low, high, none = (tmp_path / name for name in ("low", "high", "none"))
    low.write_text("1000000\n")
    high.write_text("9223372036854771712\n")
    none.write_text("max\n")
    assert usable_memory((str(none), str(tmp_path / "missing"))) == machine
    assert usable_memory((str(high),)) == machine
    assert usable_memory((str(none), str(low))) == 1_000_000
