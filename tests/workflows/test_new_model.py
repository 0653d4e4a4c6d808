"""Stored runs: models, and the runs that a config starts from."""

from __future__ import annotations

import shutil
from pathlib import Path

from transfercli.config.loader import load
from transfercli.workflows.new_model import find_parent


def test_a_run_that_goes_on_keeps_the_parent_that_it_started_from(source, tmp_path: Path) -> None:
    world, result = source
    runs = tmp_path / "runs"
    for name in ("night", "later"):
        shutil.copytree(result["run"], runs / "digits-source" / name)
    (runs / "digits-source" / "latest").symlink_to("later")
    night = "digits-source/night"
    for named in ("digits-source/later", str(runs / "digits-source" / "latest")):
        config = load(world.config("heir", "digits-target", model={"weights": {"run": named}})).config
        assert find_parent(config, runs).run.folder.run_id == "later"
        assert find_parent(config, runs, night).run.label == night
