"""Names from elsewhere in Markdown."""

from __future__ import annotations

from transfercli.export.card.markdown import code, escaped


def test_a_name_is_escaped_to_one_line() -> None:
    assert escaped("a_b*c\nd|e") == "a\\_b\\*c d\\|e"
    assert escaped("plain words, 12.5%") == "plain words, 12.5%"
    assert escaped("HTTPS://a.b www.a.b") == "HTTPS\\://a.b www\\.a.b"


def test_code_ends_at_no_backtick_and_holds_one_line() -> None:
    assert code("a`b\nc") == "`a'b c`"
    assert code("\x1b[2J") == "`\ufffd[2J`"
