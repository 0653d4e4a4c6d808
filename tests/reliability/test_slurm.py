"""The files of docs/guides/launching on a real Slurm with two hosts: arrays of shards, and jobs that are started again.

Skipped without Slurm (Debian: slurmctld, slurmd, slurm-client) or without the right to make network namespaces. On a
busy machine a test may take longer than the usual limit: `pytest -o faulthandler_timeout=1800`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.reliability.slurm import Cluster, cluster, reason_for_no_slurm

ROOT = Path(__file__).parents[2]
LAUNCHING = ROOT / "docs" / "guides" / "launching"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(reason_for_no_slurm()), reason=reason_for_no_slurm()),
]


@pytest.fixture
def slurm(tmp_path: Path, digits_folder: Path) -> Iterator[Cluster]:
    """A cluster with the program on its PATH, and a working folder with two configs."""
    for name in ("bin", "slurm", "work", "tmp"):
        (tmp_path / name).mkdir()
    program = tmp_path / "bin" / "transfercli"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m transfercli "$@"\n')
    program.chmod(0o755)
    for file in LAUNCHING.glob("*.sbatch"):
        shutil.copy(file, tmp_path / "work")
    settings = {
        "data": {"train": str(digits_folder / "digits-source"), "image_size": 32, "batch_size": 32},
        "model": {"base": "small_cnn", "weights": "none"},
        "training": {"epochs": 6},
        "compute": {"threads": 1},
    }
    write(tmp_path / "work" / "source.yaml", settings, name="source")
    path = f"{tmp_path / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, "TMPDIR": str(tmp_path / "tmp"), "USER": "root", "OMP_NUM_THREADS": "1"}
    environment["TRANSFERCLI_CACHE"] = ""  # the jobs have caches of their own
    with cluster(tmp_path / "slurm", environment) as started:
        yield started


def write(path: Path, settings: dict[str, Any], **more: Any) -> None:
    path.write_text(yaml.safe_dump({**settings, **more}))


def work(slurm: Cluster) -> Path:
    return slurm.folder.parent / "work"


def submitted(slurm: Cluster, file: str, *words: str, options: tuple[str, ...] = (), **environment: str) -> str:
    common = ("--chdir", str(work(slurm)), "--cpus-per-task=1", "--time=30", *options)
    return slurm.submit(*common, str(work(slurm) / file), *words, **environment)


def logs(slurm: Cluster, job: str) -> str:
    return "\n".join(path.read_text() for path in sorted(work(slurm).glob(f"transfercli-*-{job}*.log")))


def in_one_process(slurm: Cluster, *words: str) -> dict[str, Any]:
    program, cache = slurm.folder.parent / "bin" / "transfercli", slurm.folder.parent / "own-cache"
    environment = {**slurm.environment, "TRANSFERCLI_CACHE": str(cache)}
    command = [program, *words, "--json"]
    ended = subprocess.run(command, cwd=work(slurm), env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def epochs(run: Path) -> int:
    return len((run / "metrics.jsonl").read_text().splitlines()) if (run / "metrics.jsonl").exists() else 0


@pytest.mark.parametrize("nodes, backend", [(1, "tensorflow"), (2, "jax")])
@pytest.mark.parametrize("how", ["requeue", "preempt"])
def test_a_training_that_is_started_again_gives_the_same_bits(
    slurm: Cluster, nodes: int, backend: str, how: str
) -> None:
    more = ("--set", "compute.distribution=data_parallel") if nodes > 1 else ()
    variables = {"COMMAND": "pretrain", "KERAS_BACKEND": backend}
    whole = submitted(slurm, "train.sbatch", "source.yaml", *more, options=(f"--nodes={nodes}",), **variables)
    assert slurm.finish(whole) == "COMPLETED", logs(slurm, whole)
    job = submitted(slurm, "train.sbatch", "source.yaml", *more, options=(f"--nodes={nodes}",), **variables)
    runs = work(slurm) / "runs" / "source"
    slurm.until(lambda: epochs(runs / f"slurm-{job}") >= 2, "two epochs are complete")
    if how == "requeue":
        slurm.run("scontrol", "requeue", job)
    else:
        urgent = slurm.submit("--partition=high", f"--nodes={nodes}", "--output=/dev/null", "--wrap=true")
        assert slurm.finish(urgent) == "COMPLETED"
    assert slurm.finish(job) == "COMPLETED", logs(slurm, job)
    assert "resuming after epoch" in logs(slurm, job)
    for file in ("checkpoints/best/model.safetensors", "checkpoints/last/state.safetensors"):
        assert (runs / f"slurm-{job}" / file).read_bytes() == (runs / f"slurm-{whole}" / file).read_bytes()


def test_arrays_of_shards_are_merged_by_the_job_that_depends_on_them(slurm: Cluster) -> None:
    in_one_process(slurm, "pretrain", "source.yaml", "--run-id", "base", "--set", "training.epochs=2")
    settings = yaml.safe_load((work(slurm) / "source.yaml").read_text())
    settings["data"]["train"] = settings["data"]["train"].replace("digits-source", "digits-target")
    settings["model"]["weights"] = {"run": "source/base"}
    write(work(slurm) / "target.yaml", settings, name="target", transfer={"strategy": "linear_probe"})
    whole = in_one_process(slurm, "finetune", "target.yaml", "--run-id", "whole")

    shards = submitted(slurm, "shards.sbatch", "data", "features", "target.yaml", options=("--array=1-2",))
    after = (f"--dependency=afterok:{shards}",)
    train = submitted(slurm, "train.sbatch", "target.yaml", options=after)
    assert slurm.finish(train) == "COMPLETED", logs(slurm, train) + logs(slurm, shards)
    run = work(slurm) / "runs" / "target" / f"slurm-{train}"
    record = json.loads((run / "run.json").read_text())
    assert {name: counts["misses"] for name, counts in record["cache"].items()} == {"images": 0, "features": 0}
    assert record["metrics"] == whole["metrics"]

    expected = in_one_process(slurm, "evaluate", f"target/slurm-{train}")
    shards = submitted(slurm, "shards.sbatch", "evaluate", f"target/slurm-{train}", options=("--array=1-2",))
    command = f"transfercli evaluate target/slurm-{train} --merge-shards 2 --json"
    after = (f"--dependency=afterok:{shards}", "--chdir", str(work(slurm)), "--output=merged-%j.log")
    merge = slurm.submit(*after, f"--wrap={command} >merged.json")
    assert slurm.finish(merge) == "COMPLETED", logs(slurm, shards)
    assert json.loads((work(slurm) / "merged.json").read_text()) == expected
