"""Evaluation in shards: all of them together give what one process gives."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.shard_outputs import ShardOutputs
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.series.evaluate import evaluate_run_or_series

FILES = ("metrics.json", "predictions.csv", "report.html", "confusion_matrix.png")


@pytest.fixture
def copy(source: Any, tmp_path: Path) -> EvaluateRequest:
    """An evaluation of a copy of the run, so that its files concern no other test."""
    _, trained = source
    run = tmp_path / "runs" / "digits-source" / Path(trained["run"]).name
    shutil.copytree(trained["run"], run, symlinks=True)
    shutil.rmtree(run / "evaluation", ignore_errors=True)
    return EvaluateRequest(str(run), tmp_path / "runs")


def in_shards(request: EvaluateRequest, count: int) -> list[dict[str, Any]]:
    return [
        evaluate_run_or_series(replace(request, shard=Shard(number, count)), Reporter()).as_json()
        for number in range(1, count + 1)
    ]


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_the_shards_give_the_metrics_intervals_and_files_of_one_process(copy: EvaluateRequest) -> None:
    folder, whole = Path(copy.run) / "evaluation" / "test", replace(copy, minimums=("accuracy=0.999",))
    expected = evaluate_run_or_series(whole, Reporter()).as_json()
    files = files_of(folder)
    shutil.rmtree(folder)
    parts = in_shards(copy, 3)
    assert sum(part["examples"] for part in parts) == expected["examples"]
    assert not any("metrics" in part or "gates" in part for part in parts)
    assert [path.name for path in folder.iterdir()] == ["shards"]  # nothing that looks like an evaluation
    for _ in range(2):
        merged = evaluate_run_or_series(replace(whole, merged=3), Reporter()).as_json()
        assert merged == expected
        assert files_of(folder) == files
    assert [part["known"] for part in in_shards(copy, 3)] == [True] * 3


def test_several_labels_are_evaluated_in_shards_too(scenes: Any, tmp_path: Path) -> None:
    _, run = scenes
    copy = tmp_path / "runs" / "scenes" / run.name
    shutil.copytree(run, copy, symlinks=True)
    request = EvaluateRequest(str(copy), tmp_path / "runs", out=tmp_path / "out")
    expected = evaluate_run_or_series(request, Reporter()).as_json()
    files = files_of(tmp_path / "out")
    request = replace(request, out=tmp_path / "merged")
    in_shards(request, 2)
    assert evaluate_run_or_series(replace(request, merged=2), Reporter()).as_json() == expected
    assert files_of(tmp_path / "merged")["predictions.csv"] == files["predictions.csv"]
    assert files_of(tmp_path / "merged")["metrics.json"] == files["metrics.json"]


def test_more_shards_than_other_images_have_the_rest_empty(copy: EvaluateRequest, digits_folder: Path) -> None:
    data = Path(copy.run).parents[1] / "new" / "0"
    shutil.copytree(digits_folder / "digits-source" / "test" / "0", data)
    for extra in sorted(data.iterdir())[2:]:
        extra.unlink()
    request = replace(copy, data=data.parent, out=data.parents[1] / "out")
    assert [part["examples"] for part in in_shards(request, 4)] == [1, 1, 0, 0]
    assert evaluate_run_or_series(replace(request, merged=4), Reporter()).as_json()["examples"] == 2


def test_a_missing_a_damaged_and_another_shard_are_named_with_the_command_to_run(copy: EvaluateRequest) -> None:
    merge = replace(copy, merged=2)
    in_shards(replace(copy, shard=None), 2)
    shards = Path(copy.run) / "evaluation" / "test" / "shards"
    second = shards / "2-of-2.safetensors"
    content = second.read_bytes()

    second.unlink()
    with pytest.raises(ArtefactError, match=r"1 of 2 shards .*: 2/2") as missing:
        evaluate_run_or_series(merge, Reporter())
    assert str(missing.value.hint).endswith("--shard 2/2")

    second.write_bytes(content[:-5])
    with pytest.raises(ArtefactError, match="shard 2/2") as damaged:
        evaluate_run_or_series(merge, Reporter())
    assert str(damaged.value.hint).endswith("--shard 2/2")

    shutil.copy(shards / "1-of-2.safetensors", second)
    with pytest.raises(ArtefactError, match=r"89 of 178 test images are in no shard, .* and shard 1/2, 2/2 has 89"):
        evaluate_run_or_series(merge, Reporter())

    second.write_bytes(content)
    part = ShardOutputs.read(second)
    replace(part, made_by={**part.made_by, "model": "another"}).write(second)
    with pytest.raises(ArtefactError, match=r"shard 2/2 .* another model"):
        evaluate_run_or_series(merge, Reporter())
    assert in_shards(copy, 2)[1]["known"] is False
    assert second.read_bytes() == content


def test_what_concerns_all_images_is_refused_for_a_shard(copy: EvaluateRequest) -> None:
    part = replace(copy, shard=Shard(1, 2))
    for option in ({"minimums": ("accuracy=0.9",)}, {"corrupt": True}, {"tta": True}, {"spreadsheet": True}):
        with pytest.raises(UsageError, match="need all images"):
            evaluate_run_or_series(replace(part, **option), Reporter())
    with pytest.raises(UsageError, match="--merge-shards evaluates all"):
        evaluate_run_or_series(replace(part, merged=2), Reporter())


def test_outputs_are_read_as_they_were_written(tmp_path: Path) -> None:
    outputs = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    part = ShardOutputs((("a/\udcff.png", "1" * 64), ("b,c.png", "2" * 64)), outputs, {"model": "m"})
    part.write(tmp_path / "one")
    read = ShardOutputs.read(tmp_path / "one")
    assert (read.images, dict(read.made_by)) == (part.images, {"model": "m"})
    np.testing.assert_array_equal(read.outputs, outputs)
    ShardOutputs((), np.zeros((0, 0), "float32"), {}).write(tmp_path / "none")
    assert ShardOutputs.read(tmp_path / "none").images == ()
