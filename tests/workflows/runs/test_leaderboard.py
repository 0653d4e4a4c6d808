"""`runs list` as a leaderboard: differing keys, order, conditions, CSV, and a terminal of 80 columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import f1_score
from typer.testing import CliRunner

from transfercli.cli.app import app
from transfercli.config.dump import dump
from transfercli.config.schema import ExperimentConfig
from transfercli.errors import UsageError
from transfercli.evaluation.held_out import write_held_out
from transfercli.runs.folder import RunFolder
from transfercli.workflows.runs.leaderboard import ListRequest, RunList, list_runs

RATES = (0.001, 0.00031278164, 0.03)


def write_run(runs: Path, run_id: str, rate: float, accuracy: float | None, **facts: Any) -> RunFolder:
    """Write the files of a run that a list reads; without an accuracy it failed."""
    run = RunFolder(runs / "flowers" / run_id)
    run.path.mkdir(parents=True)
    done = accuracy is not None
    metrics = {"val_accuracy": accuracy, "val_loss": 1 - (accuracy or 0), "accuracy": 0.99, "loss": 0.01}
    record = {
        "status": "completed" if done else "failed",
        "created": f"2026-01-0{1 + len(list(runs.iterdir()))}T00:00:00.000Z",
        "command": "transfercli finetune flowers.yaml",
        "workflow": "finetune",
        "config_folder": "../..",
        "versions": {},
        "data": {"fingerprint": "0", "images": {}},
        "best_epoch": 1,
        "metrics": metrics if done else {},
        "seconds": {"total": 10.0},
        "cache": {},
        "failure": None if done else "DivergedError",
        **facts,
    }
    run.record.write_text(json.dumps(record))
    model = {"base": "small_cnn", "weights": "none", "head": {"hidden": [] if rate == 0.001 else [256]}}
    training = {"optimizer": {"learning_rate": rate}}
    run.config.write_text(
        dump(
            ExperimentConfig.model_validate(
                {"name": "flowers", "data": {"train": "x", "image_size": 32}, "model": model, "training": training}
            )
        )
    )
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three trials of a sweep, of which the last failed, and a run without a config."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for number, (rate, accuracy) in enumerate(zip(RATES, (0.8, 0.9, None), strict=True)):
        write_run(folder, f"s1-00{number}", rate, accuracy, sweep={"id": "s1", "trial": number})
    write_run(folder, "by-hand", 0.01, 0.7).config.unlink()
    return folder


def listed(runs: Path, **options: Any) -> RunList:
    return list_runs(ListRequest(runs, "flowers", **options))


def ids(result: RunList) -> list[str]:
    return [row.run_id for row in result.runs]


def test_the_keys_that_differ_are_named_with_the_values_of_each_run(runs: Path) -> None:
    result = listed(runs).as_json()
    assert result["keys"] == [
        {"key": "model.head.hidden", "name": "hidden"},
        {"key": "training.optimizer.learning_rate", "name": "learning_rate"},
    ]
    rows = {row["run_id"]: row for row in result["runs"]}
    assert rows["s1-001"]["config"] == {"model.head.hidden": [256], "training.optimizer.learning_rate": RATES[1]}
    assert rows["by-hand"]["config"] is None
    assert rows["s1-002"]["sweep"] == {"id": "s1", "trial": 2}
    assert (rows["s1-002"]["status"], rows["s1-002"]["failure"]) == ("failed", "DivergedError")
    assert rows["by-hand"]["sweep"] is None
    assert rows["s1-000"]["metrics"]["val_loss"] == pytest.approx(0.2)
    everything = list_runs(ListRequest(runs)).as_json()
    assert (everything["keys"], everything["runs"][0]["config"]) == ([], {})


@pytest.mark.parametrize(
    "key, order",
    [
        ("accuracy", ["s1-001", "s1-000", "by-hand", "s1-002"]),
        ("val_loss", ["s1-001", "s1-000", "by-hand", "s1-002"]),
        ("loss", ["s1-001", "s1-000", "by-hand", "s1-002"]),
        ("learning_rate", ["s1-001", "s1-000", "s1-002", "by-hand"]),
        ("training.optimizer.learning_rate", ["s1-001", "s1-000", "s1-002", "by-hand"]),
        ("trial", ["s1-000", "s1-001", "s1-002", "by-hand"]),
        ("run", ["by-hand", "s1-000", "s1-001", "s1-002"]),
    ],
)
def test_the_best_come_first_and_runs_without_a_value_last_in_either_direction(
    runs: Path, key: str, order: list[str]
) -> None:
    assert ids(listed(runs, sort=key)) == order
    without = 0 if key == "run" else 1
    known, unknown = order[: len(order) - without], order[len(order) - without :]
    assert ids(listed(runs, sort=key, reverse=True)) == known[::-1] + unknown


def test_the_newest_come_first_by_created_and_the_oldest_without_sort(tmp_path: Path) -> None:
    for number, run_id in enumerate("bac"):
        write_run(tmp_path, run_id, 0.01, 0.5, created=f"2026-01-0{number + 1}T00:00:00.000Z")
    assert ids(listed(tmp_path, sort="created")) == ["c", "a", "b"]
    assert ids(listed(tmp_path, reverse=True)) == ["c", "b", "a"]


@pytest.mark.parametrize(
    "conditions, left",
    [
        (["status=completed"], ["by-hand", "s1-000", "s1-001"]),
        (["status!=completed"], ["s1-002"]),
        (["sweep=s1"], ["s1-000", "s1-001", "s1-002"]),
        (["sweep=null"], ["by-hand"]),
        (["sweep=s1", "val_accuracy >= 0.85"], ["s1-001"]),
        (["accuracy<0.85"], ["by-hand", "s1-000"]),
        (["learning_rate<=1e-3"], ["s1-000", "s1-001"]),
        (["hidden=[256]"], ["s1-001", "s1-002"]),
        (["model.head.hidden=[]"], ["s1-000"]),
        (["run=s1-*"], ["s1-000", "s1-001", "s1-002"]),
        (["base=small_*", "trial>=1"], ["s1-001", "s1-002"]),
        (["failure=DivergedError"], ["s1-002"]),
        (["created>=2026-01-02"], ["by-hand", "s1-000", "s1-001", "s1-002"]),
        (["learning_rate=0.5"], []),
    ],
)
def test_only_runs_that_meet_all_conditions_are_listed(runs: Path, conditions: list[str], left: list[str]) -> None:
    result = listed(runs, filters=tuple(conditions))
    assert (ids(result), result.hidden) == (left, 4 - len(left))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sort": "acuracy"}, "--sort 'acuracy' is no fact"),
        ({"filters": ("learning_rat>1",)}, "--filter 'learning_rat' is no fact"),
        (
            {
                "filters": (
                    "columns.label=x",
                    "label",
                )
            },
            "is no condition",
        ),
        ({"filters": ("status=",)}, "is no condition"),
        ({"sort": "optimizer.name.x"}, "is no fact"),
        ({"filters": ("val_accuracy>=abc",)}, "'val_accuracy>=abc': val_accuracy is a number, received abc"),
        ({"filters": ("macro_f1=good",)}, "val_macro_f1 is a number"),
        ({"filters": ("trial!=x",)}, "trial is a number"),
        ({"filters": ("learning_rate>fast",)}, "training.optimizer.learning_rate is a number"),
        ({"filters": ("status=done",)}, "done is no status"),
        ({"filters": ("status!=x*",)}, r"x\* is no status"),
    ],
)
def test_a_key_or_condition_that_means_nothing_is_refused(runs: Path, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        listed(runs, **options)


def test_a_misspelt_end_of_a_key_is_named(runs: Path) -> None:
    with pytest.raises(UsageError) as refused:
        listed(runs, sort="learningrate")
    assert refused.value.hint == "did you mean 'learning_rate'?"


def test_of_equal_runs_the_best_is_that_which_the_experiment_means(runs: Path) -> None:
    write_run(runs, "s1-009", RATES[0], 0.9, completion=9)
    result = listed(runs)
    assert result.best is not None
    assert result.runs[result.best].run_id == "s1-009"


def test_a_short_key_that_may_mean_several_is_refused_with_all_of_them(runs: Path) -> None:
    with pytest.raises(UsageError, match=r"'gamma' may mean training.schedule.gamma, training.loss.gamma"):
        listed(runs, sort="gamma")


def test_other_metrics_come_from_the_answers_that_score_a_run(runs: Path) -> None:
    rng = np.random.default_rng(0)
    targets, truth = rng.integers(0, 3, 60), {}
    for run_id in ("s1-000", "s1-001"):
        folder = RunFolder(runs / "flowers" / run_id)
        folder.labels.write_text('["a", "b", "c"]')
        logits = (np.eye(3)[targets] + rng.normal(0, 0.8, (60, 3))).astype(np.float32)
        write_held_out(folder.held_out, [f"{number}.png" for number in range(60)], targets, logits)
        truth[run_id] = f1_score(targets, logits.argmax(axis=1), average="macro")
    result = listed(runs, sort="macro_f1")
    assert ids(result)[:2] == sorted(truth, key=truth.__getitem__, reverse=True)
    rows = {row["run_id"]: row["metrics"] for row in result.as_json()["runs"]}
    assert {name: rows[name]["val_macro_f1"] for name in truth} == pytest.approx(truth)
    assert rows["by-hand"]["val_macro_f1"] is None
    assert result.best_by == "val_macro_f1"
    assert ids(listed(runs, filters=("macro_f1>0.99",))) == []


def test_test_metrics_are_the_honest_ones_of_the_evaluation(runs: Path) -> None:
    for run_id, value in (("s1-000", 0.9), ("s1-001", 0.6)):
        folder = runs / "flowers" / run_id / "evaluation" / "test"
        folder.mkdir(parents=True)
        honest = {"accuracy": value, "macro_f1": value}
        (folder / "metrics.json").write_text(json.dumps({"metrics": {"accuracy": 1.0}, "honest": honest}))
    assert ids(listed(runs, sort="test_macro_f1"))[:2] == ["s1-000", "s1-001"]
    assert ids(listed(runs, filters=("test_accuracy>0.8",))) == ["s1-000"]


def test_a_run_of_an_earlier_version_does_not_differ_by_keys_that_its_config_lacks(runs: Path) -> None:
    file = runs / "flowers" / "s1-000" / "config.yaml"
    content = yaml.safe_load(file.read_text())
    del content["training"]["refit"], content["model"]["drop_path"]
    file.write_text(yaml.safe_dump(content))
    assert list(listed(runs).keys) == ["model.head.hidden", "training.optimizer.learning_rate"]


def run_command(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["runs", "list", *words])
    return done.exit_code, done.stdout


def test_the_csv_holds_every_column_by_its_whole_name(runs: Path) -> None:
    code, out = run_command("flowers", "--runs", str(runs), "--csv", "--sort", "accuracy")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["run_id"] for row in rows] == ["s1-001", "s1-000", "by-hand", "s1-002"]
    best = rows[0]
    assert float(best["training.optimizer.learning_rate"]) == RATES[1]
    assert (best["model.head.hidden"], best["sweep"], best["trial"]) == ("[256]", "s1", "1")
    assert float(best["val_accuracy"]) == 0.9
    assert (rows[2]["model.head.hidden"], rows[3]["val_accuracy"], rows[3]["failure"]) == ("", "", "DivergedError")
    assert run_command("flowers", "--runs", str(runs), "--csv", "--json")[0] == 2


def on_terminal(columns: int, words: Sequence[str], capsys: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from transfercli.cli.ui.run_table import print_runs

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    print_runs(list_runs(ListRequest(Path(words[0]), "flowers", sort="accuracy")))
    return capsys.readouterr().out.splitlines()


def test_a_leaderboard_fits_a_terminal_and_says_what_it_leaves_out(runs: Path, capsys, monkeypatch) -> None:
    wide = on_terminal(140, [str(runs)], capsys, monkeypatch)
    assert wide[0].split("  ")[0].strip() == "run"
    assert "learning_rate" in wide[0]
    assert [line.split()[0] for line in wide[2:6]] == ["s1-001", "s1-000", "by-hand", "s1-002"]
    assert not any("No room" in line for line in wide)
    assert wide[-1] == "best  s1-001, val accuracy 0.9000: hidden [256], learning_rate 0.0003128"
    for columns in (80, 60, 40):
        narrow = on_terminal(columns, [str(runs)], capsys, monkeypatch)
        assert max(map(len, narrow)) <= columns
        (start,) = [number for number, line in enumerate(narrow) if line.startswith("No room on this terminal for")]
        note = " ".join(narrow[start : narrow.index("", start)])
        assert "created" in note
        assert note.endswith("--csv and --json have every column.")
        shown = " ".join(narrow[:start]).replace("learning_ ", "learning_")
        for name in ("hidden", "learning_", "failure"):
            assert (name in shown) != (name in note)
        assert any("0.9000" in line for line in narrow[:start])  # scores stay


def test_a_pruned_trial_is_marked(tmp_path: Path, capsys, monkeypatch) -> None:
    mark = {"id": "s1", "trial": 0}
    write_run(tmp_path, "s1-000", 0.01, 0.5, sweep=mark, status="failed", pruned={"epoch": 3})
    write_run(tmp_path, "s1-001", 0.02, 0.6, sweep={"id": "s1", "trial": 1})
    text = on_terminal(120, [str(tmp_path)], capsys, monkeypatch)
    assert [line.split()[1] for line in text[2:4]] == ["completed", "pruned"]
    assert ids(listed(tmp_path, filters=("status=pruned",))) == ["s1-000"]
    assert listed(tmp_path).as_json()["runs"][0]["status"] == "pruned"


def test_nothing_left_says_how_many_runs_the_filters_leave_out(runs: Path) -> None:
    code, out = run_command("flowers", "--runs", str(runs), "--filter", "status=running")
    assert (code, out.splitlines()[0]) == (0, "no runs: the filters leave out 4 runs")
    assert out.splitlines()[-1] == f"next: transfercli runs list flowers --runs {runs}"


def test_every_record_is_read_a_fixed_number_of_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    from transfercli.io import bounded

    content = bounded._content
    monkeypatch.setattr(bounded, "_content", lambda path: (reads.append(path), content(path))[1])
    counts = []
    for number in (10, 30):
        for run in range(number - len(counts) * 10):
            write_run(tmp_path, f"{number}-{run}", 0.01, 0.5)
        reads.clear()
        listed(tmp_path)
        counts.append(len(reads) / number)
    assert counts[1] <= counts[0] + 1
