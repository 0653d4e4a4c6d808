"""Runs of an earlier version, without the keys that are new since, that are started again or inherited from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.listener import Listener
from transfercli.errors import ConfigError
from transfercli.evaluation.confidence.trust import Trust
from transfercli.runs.folder import RunFolder
from transfercli.workflows.confidence import report_confidence
from transfercli.workflows.train.job import Job, TrainRequest, load_for_new_run, resolve_job

LATER = {
    "data": ("columns", "path_template", "expect", "background", "levels", "profiles", "max_megapixels"),
    "training.early_stopping": ("min_delta",),
    "training.schedule": ("patience",),
    "retrain": ("alert",),
}


def as_of_before(run: RunFolder) -> None:
    """Remove the keys from a run's config that earlier versions did not have."""
    values = yaml.safe_load(run.config.read_text())
    for section, keys in LATER.items():
        found = values
        for name in section.split("."):
            found = found[name]
        for key in keys if found else ():
            del found[key]
    run.config.write_text(yaml.safe_dump(values, sort_keys=False))


@pytest.fixture
def earlier(source: Any, tmp_path: Path) -> tuple[Any, RunFolder]:
    """The pretrained run as an earlier version would have left it, and its world."""
    world, result = source
    run = RunFolder(tmp_path / "runs" / "digits-source" / Path(result["run"]).name)
    shutil.copytree(result["run"], run.path)
    as_of_before(run)
    return world, run


def started_again(earlier: tuple[Any, RunFolder], *overrides: str, command: Any = "pretrain") -> Job:
    world, run = earlier
    config = world.folder / "digits-source.yaml"
    return resolve_job(TrainRequest(command, config, run.path.parent.parent, overrides, run.run_id))


def test_a_run_is_started_again_although_keys_are_new_since(earlier: Any) -> None:
    job = started_again(earlier)
    data = job.config.data
    assert (data.background, data.profiles) == ("none", "ignore")
    assert job.warnings == ()


@pytest.mark.parametrize(
    "override",
    [
        *(f"retrain.alert.{key}" for key in ("exit=5", "level=0.01", "drift=true", "accepted_until=2026-11-28")),
        "compute.peer_timeout=5",
    ],
)
def test_alerts_and_the_patience_with_other_processes_may_change_before_a_run_goes_on(
    earlier: Any, override: str
) -> None:
    assert started_again(earlier, override).warnings == ()


@pytest.mark.parametrize(
    "override", ["data.background=none", "data.profiles=ignore", "data.levels=earlier", "training.schedule.patience=3"]
)
def test_a_new_key_may_say_what_the_run_did_without_it(earlier: Any, override: str) -> None:
    started_again(earlier, override)


@pytest.mark.parametrize(
    "override, shown",
    [
        ("data.background=white", "background: '#ffffff'"),
        ("data.profiles=convert", "profiles: convert"),
        ("data.levels=tags", "levels: tags"),
        ("data.levels=stretch", "levels: stretch"),
        ("data.max_megapixels=60", "max_megapixels: 60.0"),
        ("data.columns.label=kind", "label: kind"),
        ("data.expect.min_images=5", "expect:; min_images: 5; classes: null"),
        ("training.epochs=9", "epochs: 9"),
        ("training.schedule.patience=4", "patience: 4"),
    ],
)
def test_a_key_that_is_set_to_something_else_is_another_config(earlier: Any, override: str, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        started_again(earlier, override)
    assert caught.value.message.endswith(f"started with another config; this config has: {shown}")


def test_a_config_beside_resume_is_compared_in_the_same_way(earlier: Any) -> None:
    world, run = earlier
    config, runs = world.folder / "digits-source.yaml", run.path.parent.parent
    job = resolve_job(TrainRequest("pretrain", config, runs, resume=str(run.path)))
    assert job.config.data.background == "none"
    with pytest.raises(ConfigError, match="another config"):
        resolve_job(TrainRequest("pretrain", config, runs, ("data.background=white",), resume=str(run.path)))


def test_the_default_target_in_the_config_of_a_resumed_run_is_not_asked_for(earlier: Any) -> None:
    _, run = earlier
    request = TrainRequest("pretrain", None, run.path.parent.parent, resume=str(run.path))
    for accuracy, kind in ((0.99, "infos"), (0.98, "warnings")):
        content = run.config.read_text()
        assert "abstain:\n    accuracy: 0.99" in content
        run.config.write_text(content.replace("abstain:\n    accuracy: 0.99", f"abstain:\n    accuracy: {accuracy}"))
        listener = Listener()
        config = resolve_job(request).config.evaluation
        report_confidence(Trust(1.0, {"accuracy": accuracy}, None), config, listener)
        assert len(getattr(listener, kind)) == len(listener.messages) == 1


def test_the_default_target_of_a_run_that_is_started_again_is_not_asked_for(earlier: Any) -> None:
    assert "abstain" not in started_again(earlier).config.evaluation.model_fields_set


def test_phases_of_an_earlier_run_are_compared_key_by_key(earlier: Any) -> None:
    phases = "transfer.phases=[{epochs: 1, unfreeze: none}, {epochs: 2, unfreeze: all}]"
    _, run = earlier
    values = yaml.safe_load(run.config.read_text())
    recorded = [{"epochs": 1, "unfreeze": "none"}, {"epochs": 2, "unfreeze": "all"}]
    values["transfer"] |= {"strategy": None, "phases": recorded}
    values["training"]["epochs"], values["model"]["weights"] = 3, "none"
    run.config.write_text(yaml.safe_dump(values, sort_keys=False))
    started_again(earlier, phases)
    with pytest.raises(ConfigError, match="epochs: 4"):
        started_again(earlier, phases.replace("2", "4"))


@pytest.mark.parametrize("model", [{"base": {"run": "digits-source"}}, {"weights": {"run": "digits-source"}}])
def test_a_new_model_reads_images_as_its_parent_did_unless_its_config_says_otherwise(earlier: Any, model: Any) -> None:
    world, run = earlier
    runs = run.path.parent.parent
    config = world.config("heir", "digits-target", model=model)
    job = resolve_job(TrainRequest("finetune", config, runs))
    assert (job.config.data.background, job.config.data.profiles, job.warnings) == ("none", "ignore", ())
    assert load_for_new_run(config, (), "finetune", runs).config == job.config
    job = resolve_job(TrainRequest("finetune", config, runs, ("data.background=black", "data.profiles=ignore")))
    assert (job.config.data.background, job.config.data.profiles) == ("#000000", "ignore")
    (warning,) = job.warnings
    assert warning.startswith(f"data.background is #000000, and none in digits-source/{run.run_id}")


def test_what_a_run_inherited_is_no_difference_after_its_parent_changed(earlier: Any) -> None:
    _, run = earlier
    values = yaml.safe_load(run.config.read_text())
    values["data"] |= {"background": "#123456", "profiles": "convert"}
    values["model"]["weights"] = {"run": "digits-source"}
    run.config.write_text(yaml.safe_dump(values, sort_keys=False))
    assert started_again(earlier, "model.weights={run: digits-source}").config.data.background == "#123456"
    with pytest.raises(ConfigError, match="background: '#000000'"):
        started_again(earlier, "model.weights={run: digits-source}", "data.background=black")
