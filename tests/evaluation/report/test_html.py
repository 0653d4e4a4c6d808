"""Filters and scripts that all pages share."""

from __future__ import annotations

import base64
import hashlib

import pytest

from transfercli.evaluation.report.html import TEMPLATES, jinja_environment, load_script


def rendered(text: str, **values: object) -> str:
    return str(jinja_environment().from_string(text).render(**values))


@pytest.mark.parametrize(
    "template, value, text",
    [
        ("{{ value }}", "<b>&", "&lt;b&gt;&amp;"),
        ("{{ value|fixed }}", None, "–"),
        ("{{ value|fixed(2) }}", 0.456, "0.46"),
        ("{{ value|percent }}", 0.1234, "12.3%"),
        ("{{ value|signed }}", -0.5, "−0.500"),
        ("{{ value|title }}", "macro_f1", "macro F1"),
        ("{{ value|amount('class') }}", 1200, "1,200 classes"),
        ("{{ value|amount('image') }}", 1, "1 image"),
        ("{{ value|path }}", "a/<b>.png", "a/<wbr>&lt;b&gt;.png"),
        ("{{ value|line }}", "read /home/zebulon/pictures", "read …/pictures"),
    ],
)
def test_a_value_is_escaped_and_formatted(template: str, value: object, text: str) -> None:
    assert rendered(template, value=value) == text


def test_a_name_is_one_printable_line_of_bounded_length() -> None:
    text = rendered("{{ value|name }}", value="a\n\x1b[31m\u202e" + "x" * 500)
    assert text.isprintable()
    assert len(text) <= 60


def test_a_missing_value_is_an_error_and_not_an_empty_text() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        rendered("{{ missing }}")


def test_a_script_comes_with_the_hash_that_the_policy_of_a_page_lets_run() -> None:
    name = next(path.name for path in sorted(TEMPLATES.iterdir()) if path.suffix == ".js")
    text, source = load_script(name)
    digest = hashlib.sha256((TEMPLATES / name).read_bytes()).digest()
    assert source == "sha256-" + base64.b64encode(digest).decode()
    assert text == (TEMPLATES / name).read_text("utf-8")
