"""What only data or a model brings out about a config is told with file and line, like everything else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from transfercli.config.loader import load
from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

TOP = "name: t\ndata: {{train: {train}, image_size: 32}}\nmodel: {{base: small_cnn, weights: none{head}}}\n"


def written(world, rest: str, head: str = "") -> Path:
    path = world.folder / "t.yaml"
    path.write_text(TOP.format(train=world.samples / "digits-target", head=head) + rest, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "rest, head, line, key",
    [
        ("", ", head: {output: sigmoid}", 3, "model.head.output"),
        ("transfer:\n  strategy: partial\n  unfreeze: conv9\n", "", 6, "transfer.unfreeze"),
        (
            "transfer:\n  phases:\n    - {unfreeze: none, epochs: 1}\n    - epochs: 1\n      unfreeze: conv9\n",
            *("", 8, "transfer.phases[1].unfreeze"),
        ),
        ("training:\n  class_weights: {cat: 1.0}\n", "", 5, "training.class_weights"),
        ("evaluation:\n  gates:\n    accuracy: 0.1\n    'recall[cat]': 0.5\n", "", 7, "evaluation.gates.recall[cat]"),
    ],
)
def test_a_key_that_does_not_fit_the_data_is_told_with_its_line(world, rest, head, line, key) -> None:
    config = written(world, rest, head)
    with pytest.raises(ConfigError) as caught:
        world.train("finetune", config)
    assert caught.value.message.startswith(f"{config}:{line}: {key}: ")
    assert not world.runs.exists()


def test_a_key_of_the_command_line_is_told_as_that(world) -> None:
    with pytest.raises(ConfigError) as caught:
        world.train("finetune", written(world, ""), overrides=("model.head.output=sigmoid",))
    assert caught.value.message.startswith("--set model.head.output=sigmoid: model.head.output: ")


def test_a_key_that_is_left_out_is_told_by_the_mapping_around_it(world) -> None:
    config = written(world, "training: {epochs: 1}\n")
    with pytest.raises(ConfigError) as caught, load(config).placing():
        raise ConfigError("data.channels: 1 does not work", "set it to 3")
    assert caught.value.message == f"{config}:2: data.channels: 1 does not work"
    assert caught.value.hint == "set it to 3"


def test_an_error_that_names_no_key_stays_as_it_is(world) -> None:
    with pytest.raises(ConfigError) as caught, load(written(world, "")).placing():
        raise ConfigError("the loss became nan")
    assert caught.value.message == "the loss became nan"


def test_a_gate_that_no_longer_fits_the_run_s_classes_is_told_in_the_run_s_own_config(source, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "digits-source" / "r1"
    shutil.copytree(source[1]["run"], run, symlinks=True)
    text = (run / "config.yaml").read_text()
    assert "gates: {}" in text
    (run / "config.yaml").write_text(text.replace("gates: {}", "gates:\n    'recall[cat]': 0.5"))
    with pytest.raises(ConfigError) as caught:
        evaluate_run(EvaluateRequest(str(run), tmp_path / "runs"), Reporter())
    number = text.splitlines().index("  gates: {}") + 2
    assert caught.value.message.startswith(f"{run / 'config.yaml'}:{number}: evaluation.gates.recall[cat]: ")
