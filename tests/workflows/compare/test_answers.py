"""Answers that comparisons are made on: those that score a run, without another forward pass, or an evaluation."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.errors import ArtefactError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.compare.compare import compare_runs
from transfercli.workflows.compare.comparison import CompareRequest
from transfercli.workflows.compare.named_runs import find_runs


@pytest.fixture(scope="module")
def trained(source: Any, tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> World:
    """Two runs, `few/s1-000` and `s1-001`, whose linear heads were solved on their validation images, too."""
    _, earlier = source
    world = World(tmp_path_factory.mktemp("answers"), digits_folder)
    for folder in sorted((digits_folder / "digits-target" / "train").iterdir()):
        (world.folder / "few" / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[:16]:
            shutil.copy(file, world.folder / "few" / folder.name)
    for number in range(2):
        sections: dict[str, Any] = {
            "data": {"train": str(world.folder / "few"), "validation": 0.3},
            "model": {
                "weights": {"run": str(Path(earlier["run"]).resolve())},
                "head": {"pooling": ("avg", "max")[number]},
            },
            "transfer": {"strategy": "linear_probe"},
            "compute": {"cache_dir": str(world.folder / "cache"), "precision": "float32"},
        }
        world.train("finetune", world.config("few", "", **sections), run_id=f"s1-00{number}")
    return world


def compared(world: World, *names: str, split: str = "validation", reporter: Reporter | None = None) -> dict[str, Any]:
    return compare_runs(CompareRequest(names, world.runs, split), reporter or Reporter()).as_json()


def test_refitted_runs_are_compared_on_validation_by_their_answers_out_of_fold(trained: World) -> None:
    listener = Listener()
    result = compared(trained, "few/s1-000", "few/s1-001", reporter=listener)
    (one,) = result["comparisons"]
    records = [json.loads((trained.runs / "few" / f"s1-00{number}" / "run.json").read_text()) for number in (0, 1)]
    assert one["examples"] == records[0]["cross_validated"] == records[1]["cross_validated"]
    accuracy = one["metrics"]["accuracy"]
    assert [accuracy["champion"], accuracy["challenger"]] == pytest.approx(
        [record["metrics"]["val_accuracy"] for record in records]
    )
    assert one["left_out"] == 0
    assert listener.warnings == []
    assert not (trained.runs / "few" / "s1-000" / "evaluation").exists()  # without a forward pass
    assert [name.split(",")[0] for name in result["names"]] == ["pooling avg", "pooling max"]


def test_the_page_shows_pictures_of_training_images_that_were_answered_out_of_fold(
    trained: World, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    request = CompareRequest(("few/s1-000", "few/s1-001"), trained.runs, "validation", report=page)
    (one,) = compare_runs(request, Reporter()).as_json()["comparisons"]
    assert page.read_text().count("<img ") == len(one["fixed"]) + len(one["broken"]) > 0
    assert "No picture: " not in page.read_text()


def test_a_run_without_stored_answers_is_evaluated_as_before(source, tmp_path: Path) -> None:
    world, told = source
    runs = [tmp_path / "e" / name for name in ("a", "b")]
    for run in runs:
        shutil.copytree(told["run"], run, symlinks=True)
        RunFolder(run).held_out.unlink()
    result = compare_runs(CompareRequest(tuple(map(str, runs)), world.runs, "validation"), Reporter()).as_json()
    assert (runs[0] / "evaluation" / "validation" / "predictions.csv").is_file()
    value = result["comparisons"][0]["metrics"]["accuracy"]["champion"]
    stored = compare_runs(CompareRequest((told["run"], str(runs[0])), world.runs, "validation"), Reporter()).as_json()
    mixed = stored["comparisons"][0]
    assert (mixed["metrics"]["accuracy"]["champion"], mixed["fixed"], mixed["broken"]) == (value, [], [])
    assert value == pytest.approx(told["metrics"]["val_accuracy"])


def test_a_pattern_names_all_completed_runs_that_are_not_named_before(trained: World, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained.runs, runs, symlinks=True)
    failed = runs / "few" / "s1-002"
    shutil.copytree(runs / "few" / "s1-001", failed, symlinks=True)
    record = json.loads((failed / "run.json").read_text())
    (failed / "run.json").write_text(json.dumps(record | {"status": "failed"}))
    listener = Listener()

    def labels(*words: str) -> list[str]:
        return [run.label for run in find_runs(words, runs, listener)]

    assert labels("few/s1-001", "few/s1-*") == ["few/s1-001", "few/s1-000"]
    assert "1 run that 'few/s1-*' matches and that did not complete is left out: few/s1-002" in listener.warnings
    assert labels(f"{runs}/few/s1-00?", "few/s1-000") == ["few/s1-000", "few/s1-001"]
    assert "named more than once, and compared once: few/s1-000" in listener.warnings
    assert labels("few/s1-000", "few/s1-000") == ["few/s1-000", "few/s1-000"]
    assert labels("f*/s1-00[01]") == ["few/s1-000", "few/s1-001"]
    with pytest.raises(ArtefactError, match=r"no run matches 'few/s2-\*'"):
        labels("few/s2-*")
    with pytest.raises(ArtefactError, match="no completed run matches"):
        labels("few/s1-002*", "few")
    with pytest.raises(UsageError, match="names 1 run"):
        labels("few/s1-000*")


def test_three_runs_are_one_table_of_80_columns_and_corrected_in_json(
    trained: World, tmp_path: Path, capsys, monkeypatch
) -> None:
    from transfercli.cli.app import app
    from transfercli.cli.ui.comparison_table import print_comparisons

    runs = tmp_path / "runs"
    shutil.copytree(trained.runs, runs, symlinks=True)
    shutil.copytree(runs / "few" / "s1-001", runs / "few" / "s1-002", symlinks=True)
    request = CompareRequest(("few/s1-000", "few/s1-001", "few/s1-*", "few/s1-001"), runs, "validation")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    print_comparisons(compare_runs(request, Reporter()))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("first   few/s1-000: pooling avg")
    head = next(number for number, line in enumerate(lines) if line.startswith("run"))
    assert [line.split()[0] for line in lines[head + 2 : head + 5]] == ["s1-000", "s1-001", "s1-002"]
    assert lines[head + 2].endswith("first")
    assert "champion" not in "\n".join(lines)
    words = ["runs", "compare", *request.names, "--runs", str(runs), "--split", "validation", "--json"]
    result = json.loads(CliRunner().invoke(app, words).stdout)
    assert (result["correction"], len(result["names"]), len(result["comparisons"])) == ("holm", 3, 2)
    one = result["comparisons"][0]
    assert one["p_value"] == one["mcnemar"]["p_value"]
    assert one["p_holm"] == one["mcnemar"]["p_holm"] == min(1.0, 2 * one["p_value"])
    low, high = one["metrics"]["accuracy"]["interval"] or (0, 0)
    wide = one["simultaneous_interval"] or (0, 0)
    assert wide[1] - wide[0] >= high - low


def test_the_first_run_is_called_champion_only_if_it_is_one(trained: World, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained.runs, runs, symlinks=True)
    (runs / "few" / "champion").symlink_to("s1-001")
    result = compare_runs(CompareRequest(("few/s1-000", "few/s1-001"), runs, "validation"), Reporter())
    assert [run.is_champion for run in result.compared] == [False, True]
    with (runs / "few" / "s1-000" / "dataset.csv").open() as file:
        assert len(list(csv.DictReader(file))) > result.comparisons[0].comparison.examples  # test images are no part
