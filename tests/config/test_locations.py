"""Locations in a config: files, lines, keys."""

from __future__ import annotations

from transfercli.config.locations import Mark, Problem, dotted


def test_a_key_path_is_spelled_as_in_a_set() -> None:
    assert dotted(("transfer", "phases", 0, "epochs")) == "transfer.phases[0].epochs"
    assert dotted(("data",)) == "data"
    assert dotted(()) == ""


def test_a_mark_without_a_line_is_its_source_alone() -> None:
    assert str(Mark("c.yaml", 3, 7)) == "c.yaml:3"
    assert str(Mark("--set seed=x")) == "--set seed=x"


def test_a_problem_names_file_line_and_key_in_one_line() -> None:
    problem = Problem(Mark("c.yaml", 3), "is not\nallowed", ("model", "base"))
    assert str(problem) == "c.yaml:3: model.base: is not\\nallowed"
    assert str(Problem(Mark("c.yaml", 1), "is empty")) == "c.yaml:1: is empty"
