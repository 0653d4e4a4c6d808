"""The documentation: links lead somewhere, lines are short, and the commands it shows exist."""

from __future__ import annotations

import functools
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from transfercli.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")})
TEXTS = [*PAGES, *ROOT.glob("configs/**/*.yaml")]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
SHELL = re.compile(r"(?:^|[|&$(;] *|\.venv/bin/)(transfercli [a-z-].*)", re.MULTILINE)
INLINE = re.compile(r"`(transfercli [a-z-][^`]*)`")
MODULE = re.compile(r"(?:transfercli/)?((?:[a-z_]+/)+[a-z_0-9]+\.py)")
WIDTH = 120


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub derives them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    return LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every `transfercli ...` that a page shows, up to the next shell operator."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    shown = [match for fence in FENCE.findall(text) for match in SHELL.findall(fence)]
    for command in (*shown, *INLINE.findall(FENCE.sub("", text))):
        lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = itertools.takewhile(lambda word: word[0] not in "|&;<>()", lexer)
        yield list(words)[1:]


@functools.cache
def program() -> Any:
    return typer.main.get_command(app)


def unknown(words: list[str]) -> list[str]:
    """Return what the program does not know of a command line: its command, or some of its options."""
    command = program()
    context = typer.Context(command, info_name="transfercli")
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return [words[0]]
        command = command.commands[words.pop(0)]
        context = typer.Context(command, parent=context, **command.context_settings)
    known = {option for p in command.get_params(context) for option in (*p.opts, *p.secondary_opts)} | {"-h"}
    return [word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known]


def test_the_pages_are_found() -> None:
    assert {"README.md", "docs/index.md", "benchmarks/RESULTS.md"} <= {name(page) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if "://" not in link and (not file.exists() or (anchor and anchor not in anchors(file))):
            broken.append(link)
    assert broken == []


def test_the_readme_has_no_relative_links() -> None:
    assert [link for link in links(ROOT / "README.md") if "://" not in link] == []


def test_the_readme_and_the_index_name_files_that_exist() -> None:
    readme = FENCE.sub("", (ROOT / "README.md").read_text(encoding="utf-8"))
    named = [path for path in CODE.findall(readme) if re.fullmatch(r"\S+(\.md|/)", path)]
    assert "docs/quickstart.md" in named
    assert [path for path in named if not (ROOT / path).exists()] == []
    listed = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in links(ROOT / "docs" / "index.md")}
    assert {page for page in PAGES if page.parent != ROOT} - {ROOT / "docs" / "index.md"} <= listed


@pytest.mark.parametrize("text", TEXTS, ids=name)
def test_lines_are_short(text: Path) -> None:
    lines = text.read_text(encoding="utf-8").splitlines()
    assert [(number, line) for number, line in enumerate(lines, 1) if len(line) > WIDTH] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_exist(page: Path) -> None:
    assert [(" ".join(words), found) for words in commands(page) if (found := unknown(list(words)))] == []


def test_commands_are_found_in_blocks_and_in_sentences(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Call `transfercli runs list`.\n```sh\nls | transfercli predict flowers - --top 3 > answers\n```\n")
    assert list(commands(page)) == [["predict", "flowers", "-", "--top", "3"], ["runs", "list"]]


def test_an_unknown_command_or_option_is_found() -> None:
    assert unknown(["train", "x.yaml"]) == ["train"]
    assert unknown(["evaluate", "RUN", "--minimum", "accuracy=0.9", "--json"]) == ["--minimum"]
    assert unknown(["runs", "prune", "--keep-last=3"]) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_modules_exist(page: Path) -> None:
    named = {m for code in CODE.findall(FENCE.sub("", page.read_text(encoding="utf-8"))) for m in MODULE.findall(code)}
    assert [m for m in sorted(named) if not any(((ROOT / "transfercli" / m).exists(), (ROOT / m).exists()))] == []


def test_pages_that_the_code_names_exist() -> None:
    places = ("transfercli/**/*.py", "benchmarks/*.py", "configs/**/*.yaml", "Makefile", "pyproject.toml")
    text = "\n".join(file.read_text(encoding="utf-8") for place in places for file in sorted(ROOT.glob(place)))
    named = set(re.findall(r"\b(?:docs|benchmarks)/[\w/.-]+\.md\b", text))
    assert "docs/reference/config.md" in named
    assert [page for page in sorted(named) if not (ROOT / page).exists()] == []
