"""The cache of features and the solved head, through whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.listener import Listener
from transfercli.errors import ConfigError, Interrupted
from transfercli.reporting import Reporter


@pytest.fixture
def heir(source: Any, tmp_path: Path) -> Any:
    """A config of a target task on the pretrained digits, with a cache of its own."""
    world, earlier = source

    def config(name: str, strategy: str, **more: Any) -> Path:
        compute = {"cache_dir": str(tmp_path / "cache")} | more.pop("compute", {})
        model = {"weights": {"run": str(Path(earlier["run"]).resolve())}} | more.pop("model", {})
        transfer = {"strategy": strategy} | more.pop("transfer", {})
        return world.config(name, "digits-target", model=model, transfer=transfer, compute=compute, **more)

    return world, config


def lines(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(result["run"]) / "metrics.jsonl").read_text().splitlines()]


def test_a_linear_probe_is_one_line_with_epoch_0_and_can_be_evaluated(heir: Any) -> None:
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, config = heir
    result = world.train("finetune", config("probe", "linear_probe"))
    (line,) = lines(result)
    assert (line["epoch"], line["phase"], result["best_epoch"]) == (0, 1, 0)
    assert result["cache"]["features"] == {"hits": 0, "misses": 719}
    assert result["seconds"]["features"] > 0
    evaluated = evaluate_run(EvaluateRequest(result["run"], world.runs), Reporter()).as_json()
    assert evaluated["metrics"]["accuracy"] > 0.85


@pytest.mark.slow
def test_the_normalisation_is_chosen_before_the_phases_on_features_that_are_computed_once(
    heir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.transfer.features import features
    from transfercli.transfer.probe import solved_head

    world, config = heir
    passes, asked, compute = [], [], features.compute_features
    monkeypatch.setattr(features, "compute_features", lambda *args: passes.append(len(args[2])) or compute(*args))
    monkeypatch.setattr(solved_head, "choose_normalisation", lambda *args: asked.append(args) or "root")
    path = config("chosen", "linear_probe", compute={"cache": "off", "precision": "float32"})
    world.train("finetune", path, dry_run=True)
    assert (passes, asked) == ([], [])
    with pytest.raises(Interrupted):
        world.train("finetune", path, Listener(stop_at="probe"), run_id="night")
    assert len(asked) == 1
    assert len(passes) == 2  # training and validation images
    assert "normalisation: root" in (world.runs / "chosen" / "night" / "config.yaml").read_text()
    result = world.train("finetune", path, run_id="night")
    assert len(asked) == 1  # a resumed run has its choice
    assert lines(result)[0]["val_accuracy"] > 0.85


@pytest.mark.slow
def test_another_head_and_rate_compute_no_feature(heir: Any) -> None:
    world, config = heir
    world.train("finetune", config("a", "feature_extraction"))
    other = config("b", "feature_extraction", model={"head": {"hidden": [16]}}, training={"optimizer": {"name": "sgd"}})
    result = world.train("finetune", other)
    assert result["cache"]["features"] == {"hits": 719, "misses": 0}


@pytest.mark.slow
def test_with_the_cache_off_the_same_is_learnt(heir: Any) -> None:
    world, config = heir
    exact = {"precision": "float32"}
    results = [
        world.train("finetune", config(cache, "partial", compute=exact | {"cache": cache}, training={"epochs": 3}))
        for cache in ("require", "off")
    ]
    assert results[0]["cache"]["features"]["misses"] == 2 * 719
    assert results[1]["cache"]["features"] == {"hits": 0, "misses": 0}
    kept, plain = (lines(result) for result in results)
    assert [line["epoch"] for line in kept] == [0, 1, 2, 3]
    for one, other in zip(kept, plain, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], abs=1e-4)


@pytest.mark.parametrize(
    "stage",
    [
        "epoch 2",
        *(pytest.param(stage, marks=pytest.mark.slow) for stage in ("features", "candidates", "blend", "compare")),
    ],
)
def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(heir: Any, stage: str, monkeypatch: Any) -> None:
    world, config = heir
    path = config("auto", "auto", transfer={"budget": 1000}, training={"epochs": 3})
    whole = world.train("finetune", path, run_id=f"whole-{stage.replace(' ', '')}")
    stopped = f"stopped-{stage.replace(' ', '')}"
    path.write_text(path.read_text().replace("/cache", f"/{stopped}"))
    with pytest.raises(Interrupted):
        world.train("finetune", path, Listener(stop_at=stage), run_id=stopped)
    resumed = world.train("finetune", path, run_id=stopped)
    assert [line["epoch"] for line in lines(resumed)] == [0, 1, 2, 3, 4, 5]
    assert [line["val_loss"] for line in lines(resumed)] == [line["val_loss"] for line in lines(whole)]
    one, two = (Path(result["run"]) / "checkpoints/best/model.safetensors" for result in (whole, resumed))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_auto_keeps_its_phases_in_the_run_and_a_resumed_run_obeys_them(heir: Any) -> None:
    world, config = heir
    path = config("kept", "auto", transfer={"budget": 1000}, training={"epochs": 2})
    with pytest.raises(Interrupted):
        world.train("finetune", path, Listener(stop_at="epoch 2"), run_id="night")
    record = world.runs / "kept" / "night" / "run.json"
    facts = json.loads(record.read_text())
    assert [phase["kind"] for phase in facts["phases"]] == ["probe", "train", "blend", "refit"]
    facts["phases"] = facts["phases"][:2]
    record.write_text(json.dumps(facts))
    resumed = world.train("finetune", path, run_id="night")
    assert [line["epoch"] for line in lines(resumed)] == [0, 1, 2]


@pytest.mark.slow
def test_a_run_of_lora_goes_on_to_the_same_bits_and_ends_as_a_plain_network(heir: Any) -> None:
    import safetensors.numpy

    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, config = heir
    path = config("lora", "lora", transfer={"unfreeze": "conv2", "lora": {"rank": 4}}, training={"epochs": 3})
    dry = world.train("finetune", path, dry_run=True)
    assert [phase["lora_rank"] for phase in dry["phases"]] == [None, 4]
    factors = 4 * (3 * 3 * 32 + 64) + 4 * (3 * 3 * 64 + 64)
    assert dry["phases"][1]["trained"] == factors + (32 + 64 + 64) * 5 + 5  # the head reads two stages and the output
    whole = world.train("finetune", path, run_id="whole")
    with pytest.raises(Interrupted):
        world.train("finetune", path, Listener(stop_at="epoch 2"), run_id="stopped")
    resumed = world.train("finetune", path, run_id="stopped")
    one, two = (Path(result["run"]) / "checkpoints/last" for result in (whole, resumed))
    for name in ("model.safetensors", "state.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    kernels = {"base/conv2/kernel", "base/conv3/kernel"}
    assert safetensors.numpy.load_file(one / "model.safetensors").keys() == kernels | {
        "head/logits/bias",
        "head/logits/kernel",
    }
    best = lines(whole)[whole["best_epoch"]]
    evaluated = evaluate_run(EvaluateRequest(whole["run"], world.runs, split="validation"), Reporter()).as_json()
    assert evaluated["metrics"]["accuracy"] == pytest.approx(best["val_accuracy"], abs=1e-9)


@pytest.mark.parametrize("layers, said", [(["query"], "no convolution or dense layer 'query'"), (["pool1"], "'pool1'")])
def test_lora_of_layers_that_the_base_lacks_is_refused(heir: Any, layers: list[str], said: str) -> None:
    world, config = heir
    with pytest.raises(ConfigError, match=f"transfer.lora.layers: .*{said}") as error:
        world.train("finetune", config("refused", "lora", transfer={"lora": {"layers": layers}}))
    assert "conv1, conv2, conv3" in error.value.hint


def test_a_resumed_run_caches_as_it_decided_at_first_whatever_device_it_goes_on_with(
    heir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from transfercli.transfer.features import device_speeds

    world, config = heir
    path = config("frozen", "feature_extraction", training={"epochs": 2}, compute={"precision": "float32"})
    with pytest.raises(Interrupted):
        world.train("finetune", path, Listener(stop_at="epoch 2"), run_id="moved")
    record = json.loads((world.runs / "frozen" / "moved" / "run.json").read_text())
    assert record["caching"]["speeds"] == device_speeds.PROCESSOR.as_json()
    assert list(record["caching"]["reasons"].values()) == [""]
    fast = replace(device_speeds.PROCESSOR, kind="fast", float32=1e20, bfloat16=1e20)
    monkeypatch.setattr(device_speeds, "speeds_of", lambda _: fast)
    resumed = world.train("finetune", path, run_id="moved")
    assert json.loads((Path(resumed["run"]) / "run.json").read_text())["caching"] == record["caching"]
    assert resumed["cache"]["features"]["hits"] == 719
    other = world.train("finetune", path, run_id="new")
    ((_, reason),) = json.loads((Path(other["run"]) / "run.json").read_text())["caching"]["reasons"].items()
    assert "saves no time" in reason
    assert other["cache"]["features"] == {"hits": 0, "misses": 0}
