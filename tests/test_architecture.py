"""Limits of the source tree: folders, circles, arrows between sub-packages, functions and docstrings."""

from __future__ import annotations

import pytest

from benchmarks import architecture


def test_no_folder_holds_more_than_twenty_modules() -> None:
    crowded = {folder: n for folder, n in architecture.modules_per_folder().items() if n > architecture.MOST_MODULES}
    assert crowded == {}


def test_no_modules_import_each_other() -> None:
    assert architecture.circles() == []


def test_sub_packages_import_only_the_siblings_that_are_drawn() -> None:
    assert architecture.sibling_arrows() == []


def test_no_function_is_longer_than_sixty_lines() -> None:
    assert architecture.long_functions() == []


def test_no_signature_outside_the_command_line_has_more_than_eight_parameters() -> None:
    assert architecture.crowded_signatures() == []


def test_no_docstring_opens_with_a_question_word() -> None:
    assert architecture.question_docstrings() == []


def test_a_circle_and_an_arrow_that_is_not_drawn_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = "transfercli.data.cache.images", "transfercli.data.decoding.decode"
    graph = architecture.import_graph()
    graph[one], graph[other] = graph[one] | {other}, graph[other] | {one}
    monkeypatch.setattr(architecture, "import_graph", lambda: graph)
    assert any({one, other} <= set(circle) for circle in architecture.circles())
    assert f"{one} -> {other}" in architecture.sibling_arrows()
