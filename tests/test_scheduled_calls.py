"""The files of docs/guides/schedules, started as cron and systemd start them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from transfercli.config.strict_yaml import parse
from transfercli.runs.lock import experiment_lock

PLACE = Path(__file__).parent.parent / "docs" / "guides" / "schedules"
ROOT = PLACE.parent.parent.parent


def cron_line(word: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the crontab's command that has `word` in it in cron's bare environment, in `folder`."""
    (line,) = [one for one in (PLACE / "crontab").read_text().splitlines() if word in one and one[0].isdigit()]
    command = line.split(maxsplit=5)[5].replace("/srv/flowers", str(folder))
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "transfercli").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m transfercli "$@"\n')
    (tools / "transfercli").chmod(0o755)
    bare = ["env", "-i", f"PATH={tools}:/usr/bin:/bin", "/bin/sh", "-c", command]
    return subprocess.run(bare, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "flowers" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "flowers" / "a" / "run.json").write_text('{"status": "completed"}')
    model = "model: {base: small_cnn, weights: none}\n"
    (tmp_path / "flowers.yaml").write_text(f"name: flowers\ndata: {{train: gone, image_size: 32}}\n{model}")
    return tmp_path


def test_crons_lines_are_silent_where_all_is_well_and_fail_where_a_person_is_wanted(flowers: Path) -> None:
    done = cron_line("prune", flowers)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    failed = cron_line("retrain flowers", flowers)
    assert failed.returncode == 4
    assert "does not exist" in failed.stderr


def test_a_busy_night_is_no_failure(flowers: Path) -> None:
    with experiment_lock(flowers / "runs" / "flowers"):
        done = cron_line("retrain flowers", flowers)
    assert done.returncode == 0
    assert done.stderr.startswith("busy: ")
    assert "another process" in done.stderr
    assert "error" not in done.stderr


def test_systemds_units_are_what_it_takes() -> None:
    units = [str(PLACE / f"transfercli-retrain.{kind}") for kind in ("service", "timer")]
    service, timer = (Path(unit).read_text() for unit in units)
    assert "SuccessExitStatus=75\n" in service
    assert "Type=oneshot\n" in service
    assert "OnCalendar=" in timer
    if verify := shutil.which("systemd-analyze"):
        done = subprocess.run([verify, "verify", *units], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_workflow_keeps_calls_apart_and_its_caches_are_found_again() -> None:
    flow = parse((PLACE / "retrain.yml").read_text(), "retrain.yml").value
    assert flow["on"]["schedule"][0]["cron"].count(" ") == 4
    assert flow["concurrency"]["cancel-in-progress"] is False
    steps = flow["jobs"]["retrain"]["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    restored, saved = (
        [step["with"] for step in steps if step.get("uses", "").startswith(f"actions/cache/{verb}@")]
        for verb in ("restore", "save")
    )
    assert [cache["path"] for cache in restored] == [cache["path"] for cache in saved] == [".cache/transfercli", "runs"]
    for cache, kept in zip(restored, saved, strict=True):
        assert cache["key"].startswith(cache["restore-keys"])
        assert kept["key"] == f"{cache['key']}-${{{{ github.run_attempt }}}}"


def test_the_workflow_keeps_what_a_rejected_night_decided() -> None:
    steps = parse((PLACE / "retrain.yml").read_text(), "retrain.yml").value["jobs"]["retrain"]["steps"]
    (trains,) = [number for number, step in enumerate(steps) if "transfercli retrain" in step.get("run", "")]
    assert [step["if"] for step in steps[trains + 1 :]] == ["always()"] * 3
