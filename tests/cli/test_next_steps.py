"""The command that usually follows is shown to a person, and not to a program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace as Result
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from transfercli.cli import next_steps
from transfercli.cli.app import app
from transfercli.runs.folder import DEFAULT_RUNS
from transfercli.shards import Shard

RUN = Path("runs/x/1")


USABLE, REFUSED = Result(report=Result(usable=True)), Result(report=Result(usable=False))
BETTER = Path("runs/x/2")
MERGE = ("evaluate", "a", "--merge-shards", "2")


def launched(command: str) -> Result:
    return Result(path=Path("a.yaml"), text=f"# Launch: transfercli {command} a.yaml\n")


def pair(outcome: str, *, several: bool = False) -> Result:
    comparison = Result(metric="accuracy", gain=lambda: 0.1)
    return Result(comparison=comparison, outcome=outcome, challenger=Result(path=BETTER, several=several))


def swept(*runs: str) -> Result:
    return Result(winner={"runs": list(runs)} if runs else None)


SWEEP: dict[str, Any] = {"config": Path("a.yaml"), "sweep_id": None, "storage": None, "report": None, "dry_run": False}
SHARED = {"sweep_id": "mine", "storage": "mysql://ann:secret@host/db"}


def row(status: str, run_id: str = "1", created: str | None = None) -> Result:
    return Result(status=status, experiment="x", run_id=run_id, run=RUN, created=created)


# Function, values of the command's parameters, result, words.
STEPS: list[tuple[str, dict[str, Any], Any, str | None]] = [
    ("after_sweep", SWEEP | {"dry_run": True}, Result(), "sweep a.yaml"),
    ("after_sweep", SWEEP, swept("runs/x/1"), "sweep a.yaml --report FILE.html"),
    ("after_sweep", SWEEP | SHARED, swept("runs/x/1"), "sweep a.yaml --run-id mine --storage URL --report FILE.html"),
    ("after_sweep", SWEEP | {"report": Path("p.html")}, swept("runs/x/1"), "evaluate runs/x/1"),
    ("after_sweep", SWEEP | {"report": Path("p.html")}, swept("a", "b"), "merge a b --as NAME"),
    ("after_sweep", SWEEP, swept(), None),
    (
        "after_sweep",
        SWEEP | {"dry_run": True, "jobs": 2, "storage": "sqlite:///t.db"},
        swept(),
        "sweep a.yaml --jobs 2 --storage sqlite:///t.db",
    ),
    ("after_sample", {}, Result(path=Path("a/digits"), config=None), "config init --data a/digits -o digits.yaml"),
    ("after_sample", {}, Result(path=Path("a"), config=Path("a/config.yaml")), "finetune a/config.yaml --dry-run"),
    ("after_init", {}, launched("pretrain"), "pretrain a.yaml --dry-run"),
    ("after_init", {}, launched("finetune"), "finetune a.yaml --dry-run"),
    (
        "after_init",
        {"base": "vgg16", "data": "my images", "example": None},
        Result(path=None, text=""),
        "config init --base vgg16 --data 'my images' -o FILE.yaml",
    ),
    (
        "after_validate",
        {"overrides": ["seed=1"], "runs": Path("r")},
        Result(missing={Path("a.yaml"): []}),
        "data check a.yaml --set seed=1 --runs r",
    ),
    ("after_config_show", {"command": "pretrain", "config": "a.yaml"}, Result(), "pretrain a.yaml --dry-run"),
    ("after_schema", {"output": None}, Result(), "config schema -o transfercli.schema.json"),
    ("after_check", {"config": "a.yaml", "report": None}, USABLE, "finetune a.yaml --dry-run"),
    ("after_check", {"config": "a.yaml", "report": None}, REFUSED, "data check a.yaml --report DIR"),
    ("after_check", {"config": "a.yaml", "report": "d"}, REFUSED, None),
    ("after_check", {"config": "a.yaml", "report": None, "shard": "1/2"}, USABLE, "data check a.yaml"),
    ("after_features", {"config": "a.yaml"}, Result(shard=None), "finetune a.yaml"),
    ("after_features", {"config": "a.yaml"}, Result(shard=Shard(1, 2), folder="c1"), "cache merge c1"),
    ("after_cache_merge", {"folder": None}, None, "finetune CONFIG"),
    ("after_evaluation", {}, Result(shard=Shard(1, 2), merge=MERGE), "evaluate a --merge-shards 2"),
    ("after_diff", {"config": "a.yaml", "run": "x"}, Result(difference=Result(unchanged=False)), "retrain a.yaml"),
    ("after_diff", {"config": "a.yaml", "run": "x"}, Result(difference=Result(unchanged=True)), "runs show x"),
    ("after_drift", {"run": "x", "folder": "new"}, Result(drifted=True), "predict x new --abstain"),
    ("after_next", {}, Result(out=Path("o")), "data check CONFIG"),
    ("after_evaluation", {}, Result(run=RUN, evaluation=Result(passed=True)), "predict runs/x/1 PATH"),
    ("after_evaluation", {}, Result(run=RUN, evaluation=Result(passed=False)), "runs show runs/x/1"),
    ("after_evaluation", {}, Result(kind="folds", name="x/cv"), "merge x/cv --as NAME"),
    ("after_evaluation", {"runs": Path("r")}, Result(name="x/cv"), "merge x/cv --as NAME --runs r"),
    ("after_evaluation", {}, Result(kind="seeds", name="x/cv"), None),
    ("after_export", {}, Result(artefacts=[{"path": "runs/x/1/exports/onnx"}]), "predict runs/x/1/exports/onnx PATH"),
    ("after_embed", {"network": "x", "weights": None}, Result(file="v.npz"), "similar x IMAGE --in v.npz"),
    (
        "after_similar",
        {"network": "x", "images": ["a.png"], "within": "d", "weights": None, "report": None},
        Result(),
        "similar x a.png --in d --report DIR",
    ),
    ("after_similar", {"report": "p"}, Result(), None),
    ("after_runs_list", {}, Result(runs=(), hidden=0), "config init --data DATA -o FILE.yaml"),
    ("after_runs_list", {}, Result(runs=(row("completed"), row("failed")), best=None), "runs show x/1"),
    (
        "after_runs_list",
        {"runs": DEFAULT_RUNS},
        Result(runs=(row("completed", "2", "2026-02-01"), row("completed", "3", "2026-01-01")), best=None),
        "runs show x/2",
    ),
    (
        "after_runs_list",
        {"runs": DEFAULT_RUNS},
        Result(runs=(row("completed", "2"), row("completed", "3")), best=1, experiment="x"),
        "runs show x/3",
    ),
    ("after_runs_list", {}, Result(runs=(), hidden=3, experiment="x"), "runs list x"),
    ("after_runs_show", {}, Result(row=row("completed"), evaluations={}), "evaluate runs/x/1"),
    ("after_runs_show", {}, Result(row=row("completed"), evaluations={"test": {}}), "predict runs/x/1 PATH"),
    ("after_runs_show", {}, Result(row=row("failed"), evaluations={}), None),
    ("after_comparison", {}, Result(runs=(RUN,), comparisons=[pair("worse"), pair("better")]), "promote runs/x/2"),
    ("after_comparison", {}, Result(runs=(RUN,), comparisons=[pair("worse")]), "runs why runs/x/1 runs/x/2"),
    (
        "after_comparison",
        {},
        Result(runs=(RUN,), comparisons=[pair("worse", several=True)]),
        "runs compare runs/x/1 runs/x/2 --report FILE.html",
    ),
    ("after_comparison", {}, Result(runs=(RUN,), comparisons=[pair("no difference")]), "runs show runs/x/1"),
    ("after_why", {}, Result(first=RUN, second=BETTER), "runs compare runs/x/1 runs/x/2 --report FILE.html"),
    (
        "after_prune",
        {"experiments": ["x"], "last": 3, "days": None},
        Result(dry_run=True),
        "runs prune x --keep-last 3",
    ),
    ("after_prune", {}, Result(dry_run=False), "runs list"),
    ("after_retrain", {}, Result(decision="first", champion=RUN, challenger=RUN), "predict x@champion PATH"),
    (
        "after_retrain",
        {},
        Result(decision="rejected", champion=RUN, challenger=BETTER),
        "runs compare runs/x/1 runs/x/2",
    ),
    ("after_retrain", {}, Result(decision="rejected", champion=None, challenger=RUN), None),
    ("after_promotion", {"runs": Path("my runs")}, Result(experiment="x"), "predict x@champion PATH --runs 'my runs'"),
    ("after_cache_clear", {"folder": Path("c")}, None, "cache show --dir c"),
    ("after_bases", {}, Result(bases=[Result(name="vgg16")]), "config init --base vgg16 --data DATA -o FILE.yaml"),
]  # fmt: skip


def parsed(words: list[str]) -> str:
    """Return the command that a line names. Raises if the command has no such option."""
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    context = command.make_context("x", list(words), resilient_parsing=True)
    assert not context.args, words
    return str(command.name)


@pytest.mark.parametrize("function, own, result, expected", STEPS)
def test_the_next_step_is_a_command_that_there_is(
    function: str, own: dict, result: Any, expected: str | None, capsys
) -> None:
    next_steps.print_next(getattr(next_steps, function)(own, result))
    shown = capsys.readouterr().out
    assert shown == ("" if expected is None else f"\nnext: transfercli {expected}\n")
    if expected:
        parsed(shlex.split(expected))


def test_the_training_after_a_dry_run_has_its_options() -> None:
    own = {"config": Path("a.yaml"), "overrides": ("seed=1",), "runs": Path("r"), "run_id": "i", "resume": None}
    own |= {"continued": None, "epochs": None, "find_lr": False}
    dry = Result(as_json=lambda: {"run": None})
    words = next_steps.after_training("pretrain", own | {"dry_run": True}, dry)
    assert words == ("pretrain", Path("a.yaml"), "--run-id", "i", "--set", "seed=1", "--runs", Path("r"))
    assert next_steps.after_training("pretrain", own | {"dry_run": False}, Result(as_json=lambda: {"run": "r"})) is None


def test_the_line_is_below_a_table_beside_a_file_and_never_in_json(tmp_path: Path) -> None:
    run = lambda *words: CliRunner().invoke(app, [str(word) for word in words])  # noqa: E731
    shown = run("sample", "digits-target", tmp_path / "a")
    assert re.search(r"\nnext: transfercli config init --data \S+ -o a.yaml\n$", shown.stdout)
    assert "next" not in run("sample", "digits-target", tmp_path / "b", "--json").output
    config = run("config", "init", "--base", "small_cnn")
    assert "next:" not in config.stdout
    assert "next: transfercli config init --base small_cnn -o FILE.yaml" in config.stderr
    assert run("config", "init", "--base", "small_cnn", "--quiet").stderr == ""
