"""The JSON object of every command with `--json`: `"format": 1` first, and the contract's keys."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.workflows.conftest import World
from transfercli.cli.app import app, main
from transfercli.config.loader import load
from transfercli.data.cache.images import DiskCache
from transfercli.data.image import Geometry

Call = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Place:
    """A working folder with one trained run, which is the champion of its experiment.

    run_id: of it. image: one of its images.
    """

    folder: Path
    run_id: str
    image: Path


@pytest.fixture(scope="module")
def place(source: tuple[World, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of the world of `source`, so that a champion there concerns no other test."""
    world, trained = source
    folder = tmp_path_factory.mktemp("json")
    shutil.copy(world.folder / "digits-source.yaml", folder)
    run = Path(trained["run"])
    shutil.copytree(run, folder / "runs" / "digits-source" / run.name, symlinks=True)
    for link in ("latest", "champion"):
        (folder / "runs" / "digits-source" / link).symlink_to(run.name)
    shutil.copytree(world.samples / "digits-source" / "test" / "0", folder / "new" / "0")
    shutil.copytree(world.samples / "digits-target" / "test" / "5", folder / "unlabelled")
    shutil.copytree(world.samples / "digits-target" / "train", folder / "others")
    DiskCache(folder / "own", Geometry(8, 8), 10**6).close()
    image = min((world.samples / "digits-source" / "test" / "0").iterdir())
    return Place(folder, run.name, image)


@pytest.fixture
def call(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call(word, …)`: exit code, stdout and stderr of the program in that folder.

    {RUN_ID} and {IMAGE} are replaced.
    """
    monkeypatch.chdir(place.folder)

    def run(*words: str) -> tuple[int, str, str]:
        filled = [word.replace("{RUN_ID}", place.run_id).replace("{IMAGE}", str(place.image)) for word in words]
        monkeypatch.setattr(sys, "argv", ["transfercli", *filled])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


TRAIN = {"run", "status", "best_epoch", "metrics", "seconds", "cache"}
EVALUATE = {"run", "split", "examples", "metrics", "intervals", "per_class", "confusion_matrix", "gates"}
CHECK = {"images", "classes", "splits", "problems", "duplicates", "usable"}
MONITOR = {"run", "source", "images", "drift", "expected", "estimates", "trusted", "reasons", "gates", "passed"}
CACHE = {"folder", "bytes", "entries", "limit", "caches"}
ERROR = {"error"}

# The words of a command, its exit code, and keys of its result.
CALLS: list[tuple[str, int, set[str]]] = [
    ("sample digits-target target", 0, {"sample", "path", "images", "classes"}),
    ("sample digts target", 2, ERROR),
    ("config init --base small_cnn", 0, {"path", "config"}),
    ("config init --list-examples", 0, {"examples"}),
    ("config init --base small_cn", 2, ERROR),
    ("config validate digits-source.yaml", 0, {"configs"}),
    ("config validate gone.yaml", 3, ERROR),
    ("config show digits-source.yaml", 0, {"name", "data", "model", "training"}),
    ("config schema -o schema.json", 0, {"path"}),
    ("bases list", 0, {"memory_bytes", "bases"}),
    (
        "recommend digits-source.yaml --set data.train=others --bases digits-source --images 20",
        0,
        {"recommended", "images", "bases"},
    ),
    ("recommend digits-source.yaml --bases digits-source --images 20", 4, ERROR),  # it was trained on them
    ("recommend digits-source.yaml --bases vgg16", 7, ERROR),
    ("weights check gone.safetensors", 7, ERROR),
    ("cache show", 0, CACHE),
    ("cache clear --dir nothing", 0, CACHE | {"freed", "in_use"}),
    ("data check digits-source.yaml --no-mislabelled", 0, CHECK),
    ("data check digits-source.yaml --set data.train=gone", 4, CHECK),
    ("data check digits-source.yaml --shard 1/2", 0, CHECK | {"shard", "cache"}),
    ("data check digits-source.yaml --shard 0/2", 2, ERROR),
    (
        "data features digits-source.yaml --set model.weights=none",
        0,
        {"shard", "folder", "images", "features", "cache"},
    ),
    ("cache merge own", 0, {"folder", "from", "taken", "known", "bytes", "caches", "refused"}),
    ("cache merge new", 2, ERROR),
    (
        "data diff digits-source.yaml digits-source",
        0,
        {"added", "removed", "changed", "relabelled", "new_classes", "lost_classes", "unchanged"},
    ),
    ("data drift digits-source new", 0, {"run", "images", "drifted", "score", "tests", "max", "passed", "reference"}),
    ("data drift digits-source new --max 0", 5, {"score", "max", "passed"}),
    ("monitor digits-source new", 0, MONITOR),
    ("monitor digits-source new --min-expected accuracy=1.0", 5, MONITOR),
    ("monitor digits-source new --min-expected log_loss<=0.1", 2, ERROR),
    ("monitor digits-source gone", 4, ERROR),
    (
        "data next digits-source unlabelled --budget 2",
        0,
        {"run", "images", "left_out", "labels", "budget", "by", "chosen", "forecast", "out", "links"},
    ),
    ("data next digits-source new --budget 2", 4, ERROR),  # its test images
    ("pretrain digits-source.yaml --run-id {RUN_ID}", 0, TRAIN),
    ("pretrain digits-source.yaml --run-id {RUN_ID} --set training.epochs=9", 3, ERROR),
    (
        "finetune digits-source.yaml --set transfer.strategy=scratch --dry-run",
        0,
        TRAIN - {"best_epoch", "metrics", "cache"},
    ),
    (
        'sweep digits-source.yaml --dry-run --set sweep={"space":{"transfer.strategy":{"choice":["scratch"]}}}',
        0,
        {"sweep", "experiment", "status", "total", "combinations", "bases", "seconds"},
    ),
    ("sweep digits-source.yaml", 3, ERROR),
    ("merge digits-source nobody --as both", 6, ERROR),
    ("evaluate digits-source", 0, EVALUATE),
    ("evaluate digits-source --min accuracy=1.0", 5, EVALUATE),
    ("evaluate nobody", 6, ERROR),
    ("evaluate digits-source --shard 1/1", 0, {"run", "split", "shard", "examples", "file", "known"}),
    ("evaluate digits-source --merge-shards 1", 0, EVALUATE),
    ("evaluate digits-source --merge-shards 2", 6, ERROR),
    ("predict digits-source {IMAGE} gone.png", 0, {"images", "failed", "predictions"}),
    ("predict digits-source {IMAGE} gone.png --strict", 4, {"error", "images", "failed", "predictions"}),
    ("predict digits-source gone.png", 4, {"error", "images", "failed", "predictions"}),
    ("export digits-source --format safetensors", 0, {"run", "artefacts", "card"}),
    ("export digits-source --format onyx", 2, ERROR),
    ("embed digits-source new gone.png -o x.npz", 0, {"run", "base", "file", "images", "width", "cache", "unreadable"}),
    ("embed digits-source new -o x.csv", 2, ERROR),
    ("embed digits-source gone.png -o x.npz", 4, ERROR),
    ("similar digits-source {IMAGE} --in new", 0, {"run", "base", "in", "searched", "images", "cache", "report"}),
    ("similar nobody {IMAGE}", 6, ERROR),
    ("serve nobody", 6, ERROR),  # one that answers has no end: tests/workflows/serve
    ("ui --runs nowhere", 2, ERROR),  # one that answers has no end: tests/workflows/ui
    ("runs list", 0, {"runs", "decisions", "keys", "hidden"}),
    ("runs show digits-source", 0, {"run", "status", "metrics", "curves", "lineage", "files", "evaluations"}),
    (
        "runs compare digits-source digits-source",
        0,
        {"split", "runs", "names", "keys", "correction", "comparisons", "report"},
    ),
    ("runs compare digits-source digits-source --metric precison", 2, ERROR),
    ("runs why digits-source digits-source@champion", 0, {"a", "b", "difference", "parts", "unexplained", "seed"}),
    ("runs why digits-source nobody", 6, ERROR),
    ("runs prune --keep-last 5 --dry-run", 0, {"removed", "kept", "bytes", "dry_run"}),
    ("promote digits-source/{RUN_ID}", 0, {"experiment", "champion", "previous"}),
    (
        "retrain digits-source.yaml --set retrain.when=drifted",
        0,
        {"decision", "champion", "challenger", "comparison", "reason"},
    ),
]


@pytest.mark.parametrize("words, code, keys", CALLS, ids=[words for words, _, _ in CALLS])
def test_the_result_of_every_command_begins_with_its_format(words: str, code: int, keys: set[str], call: Call) -> None:
    left, out, err = call(*words.split(), "--json")
    assert left == code, err
    (line,) = out.splitlines()
    result = json.loads(line)
    assert next(iter(result.items())) == ("format", 1)
    assert keys <= set(result)
    assert ("error" in result) == ("error" in keys)


def commands(group: Any, words: str = "") -> Iterator[str]:
    if not hasattr(group, "commands"):
        yield words
        return
    for name, sub in group.commands.items():
        yield from commands(sub, f"{words} {name}".strip())


def test_every_command_is_called() -> None:
    names = set(commands(typer.main.get_command(app)))
    assert {name for name in names for words, _, _ in CALLS if words.startswith(name)} == names


def test_each_line_of_predict_begins_with_the_format(call: Call) -> None:
    code, out, _ = call("predict", "digits-source", "{IMAGE}", "gone.png", "--top", "2")
    assert code == 0
    assert [list(json.loads(line)) for line in out.splitlines()] == [
        ["format", "path", "label", "probability", "top", "abstained", "strange", "unknown"],
        ["format", "path", "error"],
    ]


def test_the_json_schema_keeps_its_own_keyword_format(call: Call) -> None:
    code, out, _ = call("config", "schema", "--json")
    assert code == 0
    assert next(iter(json.loads(out))) == "$schema"
    assert "format" not in json.loads(out)


def test_the_resolved_config_can_be_used_again(call: Call, place: Place) -> None:
    _, out, _ = call("config", "show", "digits-source.yaml", "--for", "pretrain", "--json")
    (place.folder / "again.json").write_text(out)
    code, out, err = call("pretrain", "again.json", "--run-id", "{RUN_ID}", "--json")
    assert code == 0, err
    assert json.loads(out)["status"] == "completed"
    assert load(place.folder / "again.json").config.name == "digits-source"


def test_a_person_gets_no_json(call: Call) -> None:
    for words in ("runs show digits-source", "data diff digits-source.yaml digits-source", "cache show"):
        code, out, _ = call(*words.split())
        assert code == 0
        assert "format" not in out
        assert "{" not in out
