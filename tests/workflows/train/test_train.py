"""The main job, in one process: pretrain, the three kinds of transfer, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy

from tests.backends import tensorflow_only
from tests.listener import Listener
from transfercli.errors import ArtefactError, ConfigError, DataError, Interrupted, WeightsError


def model_of(run: str) -> dict:
    folder = Path(run) / "checkpoints"
    tensors = safetensors.numpy.load_file(folder / "best" / "model.safetensors")
    if (folder / "frozen.safetensors").exists():
        tensors |= safetensors.numpy.load_file(folder / "frozen.safetensors")
    return tensors


def same(one, two, part: str) -> bool:
    names = [name for name in one if name.startswith(part)]
    return bool(names) and all(one[n].shape == two[n].shape and (one[n] == two[n]).all() for n in names)


@pytest.fixture
def heir(world, source):
    """A world that sees the pretrained run under its own runs."""
    shutil.copytree(source[0].runs / "digits-source", world.runs / "digits-source", symlinks=True)
    return world


def test_a_run_folder_holds_what_the_contract_says(source) -> None:
    _world, result = source
    run = Path(result["run"])
    assert result["status"] == "completed"
    assert set(result["metrics"]) >= {"val_accuracy", "val_loss"}
    assert result["cache"]["images"].keys() == {"hits", "misses"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert set(lines[0]) == {
        *("phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"),
        *("learning_rate", "seconds", "images_per_second"),
        *("val_macro_f1", "val_balanced_accuracy", "val_recall"),
    }
    assert list(lines[0]["val_recall"]) == list("01234")
    assert lines[result["best_epoch"] - 1]["val_loss"] == result["metrics"]["val_loss"]
    for name in ("config.yaml", "run.json", "dataset.csv", "labels.json", "history.png", "log.txt"):
        assert (run / name).is_file() or name == "log.txt"  # the log belongs to the command line
    for which in ("best", "last"):
        for name in ("model.safetensors", "state.safetensors", "state.json", "manifest.json"):
            assert (run / "checkpoints" / which / name).is_file()
    assert json.loads((run / "labels.json").read_text()) == list("01234")
    assert (run.parent / "latest").readlink().name == run.name
    assert (run.parent / "splits.csv").is_file()


def test_no_file_of_a_run_names_a_folder_that_the_config_did_not_write(source, tmp_path: Path) -> None:
    world, result = source
    for path in Path(result["run"]).rglob("*"):
        if path.is_file() and path.name != "config.yaml":
            assert str(world.folder).encode() not in path.read_bytes(), path.name


def test_feature_transfer_freezes_the_base_and_records_its_parent(heir, source) -> None:
    config = heir.config("t", "digits-target", model={"weights": {"run": "digits-source"}})
    result = heir.train("finetune", config)
    assert same(model_of(source[1]["run"]), model_of(result["run"]), "base/")
    record = json.loads((Path(result["run"]) / "run.json").read_text())
    assert record["parent"] == f"digits-source/{Path(source[1]['run']).name}"
    frozen = safetensors.numpy.load_file(Path(result["run"]) / "checkpoints" / "frozen.safetensors")
    assert all(name.startswith("base/") for name in frozen)
    assert len(frozen) == 6


def test_parameter_transfer_says_layer_by_layer_what_was_copied(heir) -> None:
    weights = {"run": "digits-source"}
    config = heir.config("t", "digits", data={"channels": 1}, model={"weights": weights}, training={"epochs": 1})
    listener = Listener()
    result = heir.train("finetune", config, listener)
    messages = [*listener.debugs, *listener.warnings]
    lines = {line["tensor"]: line for line in json.loads((Path(result["run"]) / "transplant.json").read_text())}
    assert lines["base/conv1/kernel"]["action"] == "fresh"
    assert lines["base/conv2/kernel"]["action"] == "copied"
    assert any("copied base/conv2/kernel" in text for text in messages)
    assert any("conv1: not copied, and no phase trains" in text for text in messages)


def test_structure_transfer_takes_the_architecture_and_no_weight(heir, source) -> None:
    config = heir.config("t", "digits-target", model={"base": {"run": "digits-source"}})
    result = heir.train("finetune", config, overrides=("transfer.strategy=scratch",))
    theirs, ours = model_of(source[1]["run"]), model_of(result["run"])
    assert {n: v.shape for n, v in ours.items()} == {n: v.shape for n, v in theirs.items()}
    assert not same(theirs, ours, "base/conv1/kernel")


def test_structure_transfer_may_keep_the_lower_stages(heir, source) -> None:
    model = {"base": {"run": "digits-source"}, "weights": {"run": "digits-source", "until": "conv2"}}
    config = heir.config("t", "digits-target", model=model, transfer={"strategy": "partial", "unfreeze": "conv3"})
    result = heir.train("finetune", config)
    theirs, ours = model_of(source[1]["run"]), model_of(result["run"])
    assert same(theirs, ours, "base/conv1/")
    assert same(theirs, ours, "base/conv2/")
    assert not same(theirs, ours, "base/conv3/")


def test_a_head_can_be_kept_or_extended_and_refuses_classes_it_does_not_know(heir) -> None:
    model = {"weights": {"run": "digits-source"}, "head": {"init": "keep"}}
    with pytest.raises(DataError, match="classes that the kept head does not have: '5', '6'"):
        heir.train("finetune", heir.config("k", "digits-target", model=model))
    model["head"] = {"init": "extend"}
    result = heir.train("finetune", heir.config("e", "digits-target", model=model))
    assert json.loads((Path(result["run"]) / "labels.json").read_text()) == list("0123456789")


def test_started_again_under_its_id_a_complete_run_gives_its_result_and_another_config_is_refused(world) -> None:
    config = world.config("t", "digits-target", training={"epochs": 1})
    first = world.train("finetune", config, run_id="night")
    assert world.train("finetune", config, run_id="night") == first
    with pytest.raises(ConfigError, match="started with another config"):
        world.train("finetune", config, run_id="night", overrides=("training.epochs=2",))


def test_a_stopped_run_goes_on_to_the_bits_of_one_never_stopped(world) -> None:
    config = world.config("t", "digits-target", model={"head": {"dropout": 0.2}}, training={"epochs": 3})
    layers = "[{RandomFlip: {}}, {MixUp: {probability: 0.5}}, {CutMix: {}}]"
    extra = ("transfer.strategy=full", f"augmentation.layers={layers}", "training.sampling=balanced")
    whole = world.train("finetune", config, run_id="whole", overrides=extra)
    with pytest.raises(Interrupted, match="kept up to its last whole epoch") as stopped:
        world.train("finetune", config, Listener(stop_at="epoch 3"), run_id="stopped", overrides=extra)
    assert "--resume t/stopped" in str(stopped.value.hint)
    record = world.runs / "t" / "stopped" / "run.json"
    assert json.loads(record.read_text())["status"] == "interrupted"
    before = (record.parent / "metrics.jsonl").read_text()
    resumed = world.train("finetune", None, resume="t/stopped")
    assert (record.parent / "metrics.jsonl").read_text().startswith(before)
    assert resumed["metrics"] == whole["metrics"]
    for which in ("best", "last"):
        for name in ("model.safetensors", "state.safetensors"):
            one, two = (Path(r["run"]) / "checkpoints" / which / name for r in (whole, resumed))
            assert one.read_bytes() == two.read_bytes()


def test_a_dry_run_estimates_and_writes_nothing(world) -> None:
    config = world.config("t", "digits-target")
    result = world.train("finetune", config, dry_run=True, overrides=("transfer.strategy=full",))
    assert [phase["unfreeze"] for phase in result["phases"]] == ["none", "all"]
    assert result["seconds"]["train"] > 0
    assert result["peak_memory_bytes"] > 10**8
    assert not world.runs.exists()


@pytest.mark.slow
def test_imagenet_weights_that_are_missing_stop_a_training_before_the_images_are_read_but_no_dry_run(
    world, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.error import URLError

    from keras.src.utils import file_utils

    def no_network(*_: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    config = world.config("published", "digits", model={"base": "mobilenetv2", "weights": "imagenet"})
    listener = Listener()
    assert world.train("finetune", config, listener, dry_run=True)["status"] == "dry-run"
    assert any("are not downloaded for it" in line for line in listener.messages)
    assert not any("random" in line for line in listener.messages)
    monkeypatch.setattr("transfercli.workflows.train.train.read_data", pytest.fail)
    with pytest.raises(WeightsError, match=r"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1\.0_224_no_top\.h5"):
        world.train("finetune", config)
    assert not world.runs.exists() or not list(world.runs.rglob("run.json"))


@pytest.mark.slow
def test_a_dry_run_counts_the_features_that_are_still_to_be_computed(source) -> None:
    world, earlier = source
    model = {"weights": {"run": str(Path(earlier["run"]).resolve())}}
    alone = {"transfer": {"strategy": "partial"}, "training": {"epochs": 20}, "compute": {"cache_dir": "cache"}}
    config = world.config("d", "digits-target", model=model, **alone)
    listener = Listener()
    probe, tuned = world.train("finetune", config, listener, dry_run=True)["phases"]
    assert any(text.startswith("features after pool") for text in listener.infos)
    assert not any("strength" in text for text in listener.infos)  # solved for on made-up features: nobody's business
    images = 719
    assert (probe["kind"], probe["cache_bytes"]) == ("probe", images * 64 * 4)
    assert tuned["cache_bytes"] in (images * 6 * 6 * 64 * 2, images * 6 * 6 * 64 * 4)
    world.train("finetune", config)
    again = world.train("finetune", config, dry_run=True)
    assert [phase["cache_bytes"] for phase in again["phases"]] == [0, 0]


@pytest.mark.parametrize(
    "overrides, error, text",
    [
        (("model.weights=imagenet",), ConfigError, "no published weights for small_cnn"),
        (("model.weights={path: gone.h5}",), WeightsError, "no file 'gone.h5'"),
        (("model.weights={run: nobody}",), ArtefactError, "no run 'nobody'"),
        (("transfer={strategy: partial, unfreeze: conv9}",), ConfigError, "no stage or layer 'conv9'"),
        (("model.head.output=sigmoid",), ConfigError, "the data has 5"),
        (("training.class_weights={cat: 1.0}",), ConfigError, "no class named"),
        (("data.train=gone",), DataError, "does not exist"),
        (("data.image_size=16",), ConfigError, "18"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(world, overrides, error, text) -> None:
    with pytest.raises(error, match=text):
        world.train("finetune", world.config("t", "digits-target"), overrides=overrides)
    assert not world.runs.exists()


def test_two_classes_train_one_sigmoid_unit_with_balanced_weights(world, digits_folder: Path) -> None:
    for side in ("train", "test"):
        for label in "01":
            shutil.copytree(digits_folder / "digits" / side / label, world.folder / "two" / side / label)
    config = world.config("two", "digits", data={"train": "two"}, model={"head": {"output": "sigmoid"}})
    extra = ("transfer.strategy=scratch", "training.class_weights=balanced", "training.epochs=4")
    result = world.train("finetune", config, overrides=extra)
    assert result["metrics"]["val_accuracy"] > 0.9


def test_rare_classes_are_counted_drawn_equally_and_learnt_with_focal_loss(world, digits_folder: Path) -> None:
    for label, count in (("0", 40), ("1", 12)):
        files = sorted((digits_folder / "digits" / "train" / label).iterdir())[:count]
        (world.folder / "few" / label).mkdir(parents=True)
        for file in files:
            shutil.copy(file, world.folder / "few" / label)
    listener = Listener()
    config = world.config("few", "digits", data={"train": "few", "split": "stratified"})
    extra = ("transfer.strategy=scratch", "training.sampling=balanced", "training.loss.name=focal")
    result = world.train("finetune", config, listener, overrides=extra)
    assert result["status"] == "completed"
    assert [text for text in listener.infos if text.startswith("training images")] == [
        "training images: '0' 28, '1' 8; classes are drawn equally"
    ]


def test_a_run_keeps_a_picture_of_its_first_batch(source) -> None:
    from PIL import Image

    with Image.open(Path(source[1]["run"]) / "batch.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400
        assert len(picture.convert("L").getcolors()) > 50  # there is something to see


def test_a_sigmoid_head_learns_from_mixed_images_with_class_weights_and_smoothing(world, digits_folder: Path) -> None:
    for side in ("train", "test"):
        for label in "01":
            shutil.copytree(digits_folder / "digits" / side / label, world.folder / "two" / side / label)
    config = world.config(
        "two",
        "digits",
        data={"train": "two", "channels": 1},
        model={"head": {"output": "sigmoid"}},
        augmentation={"layers": [{"MixUp": {"alpha": 0.4}}]},
        training={"epochs": 4, "class_weights": "balanced", "loss": {"name": "focal", "gamma": 1.0}},
    )
    extra = ("transfer.strategy=scratch", "training.regularization.label_smoothing=0.1")
    result = world.train("finetune", config, overrides=extra)
    assert result["metrics"]["val_accuracy"] > 0.9


@tensorflow_only("JAX converts bfloat16 to float32 on a processor")
def test_a_run_keeps_the_precision_that_it_recorded_wherever_it_is_resumed(
    heir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.training.precision import steps

    for name in ("LEAST_MULTIPLICATIONS", "LEAST_PER_ACTIVATION"):
        monkeypatch.setattr(steps, name, 0)
    monkeypatch.setattr(steps, "processor_has_bfloat16", lambda: True)
    model = {"weights": {"run": "digits-source"}}
    path = heir.config("rounded", "digits-target", model=model, transfer={"strategy": "full"}, training={"epochs": 2})
    whole = heir.train("finetune", path, run_id="whole")
    with pytest.raises(Interrupted):
        heir.train("finetune", path, Listener(stop_at="epoch 2"), run_id="moved")
    record = json.loads((heir.runs / "rounded" / "moved" / "run.json").read_text())
    assert record["precision"] == "bfloat16"
    ((phase, check),) = record["precision_checks"].items()
    assert (phase, check["passed"]) == ("2", True)  # the first phase solves for the head
    monkeypatch.setattr(steps, "processor_has_bfloat16", lambda: False)
    moved = heir.train("finetune", path, run_id="moved")
    one, two = (Path(result["run"]) / "checkpoints/best/model.safetensors" for result in (whole, moved))
    assert one.read_bytes() == two.read_bytes()
    assert json.loads((Path(moved["run"]) / "run.json").read_text())["precision"] == "bfloat16"
