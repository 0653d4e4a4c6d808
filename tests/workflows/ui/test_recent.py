"""What is kept in memory: the values that were used last, and the stamps that say if a file is another."""

from __future__ import annotations

from pathlib import Path

from transfercli.workflows.ui.recent import Recent
from transfercli.workflows.ui.stamps import stamp_of


def test_the_least_recently_used_value_gives_way() -> None:
    dropped: list[str] = []
    recent = Recent(2, dropped.append)
    recent.put("a", "A")
    recent.put("b", "B")
    assert recent.get("a") == "A"  # now "b" was not used for longest
    recent.put("c", "C")
    assert dropped == ["B"]
    assert recent.get("b") is None
    recent.clear()
    assert dropped == ["B", "A", "C"]


def test_a_value_is_made_once() -> None:
    made: list[int] = []
    recent = Recent[int](1)
    for _ in range(2):
        assert recent.made("a", lambda: made.append(0) or 7) == 7
    assert len(made) == 1


def test_a_stamp_differs_for_another_content_and_is_none_for_no_file(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("1")
    link.symlink_to(file)
    before, of_link = stamp_of(file), stamp_of(link)
    file.write_text("12")
    assert stamp_of(file) != before
    assert stamp_of(link) == of_link
    assert stamp_of(link, follow=True) == stamp_of(file)
    assert stamp_of(tmp_path / "gone") is None
    assert stamp_of(Path("a\0b")) is None
