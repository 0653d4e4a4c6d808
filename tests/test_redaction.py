from __future__ import annotations

import pytest
import yaml

from transfercli.redaction import hide_paths, hide_paths_in_yaml


@pytest.mark.parametrize(
    "text, hidden",
    [
        ("transfercli evaluate /home/ann/runs/x --data /srv/d", "transfercli evaluate …/x --data …/d"),
        ("--data=/home/ann/d", "--data=…/d"),
        ("'/home/ann smith/d' now", "'…/d' now"),
        ('"C:\\Users\\ann\\d"', '"…/d"'),
        ("C:\\Users\\ann\\d", "…/d"),
        ("~/d/e and ~ann/d", "…/e and …/d"),
        ("\\\\host\\share\\d", "…/d"),
        ("file:///home/ann/d", "…/d"),
        ("(/home/ann/d)", "(…/d)"),
        ("/", "/"),
        ("runs/a/b and ../data and a/b:c", "runs/a/b and ../data and a/b:c"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("1 / 2, 3/4", "1 / 2, 3/4"),
    ],
)
def test_absolute_paths_lose_all_but_their_last_part(text: str, hidden: str) -> None:
    assert hide_paths(text) == hidden


def test_paths_in_yaml_may_hold_spaces_and_go_on_in_the_next_line() -> None:
    config = {
        "data": {"train": "/home/ann smith/" + "long name " * 12 + "/x", "test": None},
        "list": ["/home/ann/y", 1],
    }
    for text in (yaml.safe_dump(config), yaml.safe_dump(config, default_flow_style=True)):
        hidden = hide_paths_in_yaml(text)
        assert "ann" not in hidden
        assert yaml.safe_load(hidden) == {"data": {"train": "…/x", "test": None}, "list": ["…/y", 1]}


def test_yaml_without_absolute_paths_keeps_every_letter() -> None:
    text = "# a comment\ndata: {train: ../flowers}   # here\nlabel: 'no'\n"
    assert hide_paths_in_yaml(text) == text


def test_text_that_is_no_yaml_is_hidden_word_by_word() -> None:
    assert hide_paths_in_yaml("a: [/home/ann/x") == "a: […/x"


def test_an_address_keeps_nothing_but_its_kind() -> None:
    for address in ("http://ann:secret@mlflow.corp.example:5000/x", "sqlite:////home/ann/tracks.db"):
        kind = address.split(":")[0]
        assert hide_paths_in_yaml(f"tracking: {{mlflow: '{address}'}}").strip() == f"tracking:\n  mlflow: {kind}://…"
