"""The page of the command line is the program's own help."""

from __future__ import annotations

from pathlib import Path

from transfercli.cli.reference_docs import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_page_has_every_command_with_its_options() -> None:
    page = reference()
    for command in ("finetune", "data check", "runs compare", "promote"):
        assert f"## `transfercli {command}`" in page
    assert "- `--keep-last N`: " in page
    assert "- `--mislabelled / --no-mislabelled`: " in page


def test_a_group_has_no_entry_of_its_own() -> None:
    assert "## `transfercli data`\n" not in reference()
