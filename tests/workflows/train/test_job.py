"""What a call of a training comes to before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.config.loader import dump
from transfercli.errors import ConfigError
from transfercli.runs.folder import RunFolder
from transfercli.runs.record import read_config_folder
from transfercli.workflows.train.job import TrainRequest, resolve_job

CONFIG = "name: flowers\ndata: {train: images}\nmodel:\n  base: small_cnn\n"


def test_the_config_of_a_run_is_a_config_and_finds_the_same_images(source) -> None:
    world, result = source
    run = RunFolder(Path(result["run"]))
    again = resolve_job(TrainRequest("finetune", run.config, world.runs))
    assert again.loaded.folder == read_config_folder(run)
    assert dump(again.config) == run.config.read_text()
    assert again.run.experiment == run.experiment
    assert again.run.run_id != run.run_id


def test_a_base_without_published_weights_needs_others_but_for_pretrain(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    assert resolve_job(TrainRequest("pretrain", path, tmp_path)).config.model.weights == "none"
    with pytest.raises(ConfigError) as caught:
        resolve_job(TrainRequest("finetune", path, tmp_path))
    assert caught.value.message.startswith(f"{path}:3: model.weights: there are no published weights for small_cnn")
