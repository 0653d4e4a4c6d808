"""Search spaces that the config refuses before anything is trained, each with the line of its entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config.loader import load

Refusal = Callable[..., list[str]]

START = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn, weights: none}\nsweep:\n  space:\n"


def config(*entries: str, start: str = START) -> str:
    return start + "".join(f"    {entry}\n" for entry in entries)


@pytest.mark.parametrize(
    "entry",
    [
        "training.optimizer.learning_rate: {log: [1e-5, 1e-2]}",
        "training.optimizer.learning_rate: {choice: [1e-5, 1e-2]}",
        "model.head.hidden: {choice: [[], [256], [256, 64]]}",
        "model.base: {choice: [small_cnn, ResNet-18]}",
        "model.base: {choice: [resnet18, {run: other}]}",
        "model.weights: {choice: [none, {path: a.h5}, {run: other}]}",
        "model.head: {choice: [{hidden: [8]}, {dropout: 0.5}]}",
        "model.head.dropout: {range: [0, 0.5]}",
        "model.head.dropout: {range: [0, 0.5], step: 0.1}",
        "transfer.strategy: {choice: [full, scratch, null]}",
        "transfer.phases: {choice: [null, [{epochs: 2, unfreeze: all}]]}",
        "augmentation.preset: {choice: [none, light]}",
        "augmentation.layers: {choice: [null, [{RandomFlip: {mode: horizontal}}]]}",
        "training.class_weights: {choice: [null, balanced, {cat: 2.0, dog: 1}]}",
        "training.class_weights.cat: {range: [0.5, 2]}",
        "training.early_stopping.patience: {range: [1, 9]}",
        "training.epochs: {range: [1, 9], step: 2}",
        "training.optimizer.accumulate: {log: [1, 64]}",
        "data.image_size: {choice: [32, [48, 32]]}",
        "data.image_size: {range: [32, 64], step: 16}",
        "data.batch_size: {log: [8, 128]}",
        "compute.precision: {choice: [float32, bfloat16]}",
        "seed: {range: [0, 9]}",
    ],
)
def test_every_key_of_the_training_may_be_in_the_space(entry: str, write: Callable[..., Path]) -> None:
    assert load(write(config(entry))).config.sweep is not None


@pytest.mark.parametrize(
    "entry, place, said",
    [
        ("training.optimizer.lr: {log: [1e-5, 1e-2]}", "", "did you mean training.optimizer.learning_rate?"),
        ("training.optimizer.learning_rat: {log: [1e-5, 1e-2]}", "", "did you mean training.optimizer.learning_rate?"),
        ("optimizer.learning_rate: {log: [1e-5, 1e-2]}", "", "did you mean training.optimizer.learning_rate?"),
        ("learning_rate: {log: [1e-5, 1e-2]}", "", "did you mean training.optimizer.learning_rate?"),
        ("model.head.hiden: {choice: [[], [8]]}", "", "did you mean model.head.hidden?"),
        ("model.base.name: {choice: [a]}", "", "is not a known key"),
        ("transfer.phases.0.epochs: {choice: [1]}", "", "transfer.phases is a list"),
        ("name: {choice: [a, b]}", "", "all trials are runs of one experiment"),
        ("sweep.trials: {choice: [1, 2]}", "", "a trial is one set of values"),
        ("sweep: {choice: [null]}", "", "a trial is one set of values"),
        ("data.train: {choice: [a, b]}", "", "cannot be compared"),
        ("data.validation: {range: [0.1, 0.3]}", "", "cannot be compared"),
        ("data.columns.label: {choice: [a, b]}", "", "cannot be compared"),
        ("data: {choice: [{train: a}]}", "", "as it holds data.train"),
        ("training.epochs: {choice: [1, 0]}", ".choice[1]", "is out of range, received 0"),
        ("training.epochs: {range: [0, 9]}", ".range[0]", "is out of range, received 0"),
        ("training.epochs: {range: [1.5, 9]}", ".range[0]", "allowed: a whole number"),
        ("training.epochs: {range: [1, 9], step: 0.5}", ".step", "must be a whole number"),
        ("training.epochs: {range: [1, 9], step: 20}", ".step", "is larger than the range"),
        ("training.epochs: {log: [1, 200000]}", ".log[1]", "is out of range, received 200000"),
        ("model.head.dropout: {range: [0, 1]}", ".range[1]", "is out of range, received 1"),
        ("model.head.hidden: {choice: [[], [0]]}", ".choice[1]", "received 0"),
        ("model.head: {choice: [{hiden: [8]}]}", ".choice[0]", "did you mean"),
        ("model.base: {choice: [small_cnn, resnet5O]}", ".choice[1]", "did you mean resnet50?"),
        ("model.base: {range: [1, 2]}", ".range[0]", "received 1"),
        ("model.base: {choice: [small_cnn, SmallCNN]}", ".choice[1]", "is given twice, first as choice 1"),
        ("training.optimizer.name: {choice: [adam, adamm]}", ".choice[1]", "is not a known optimizer"),
        ("compute.deterministic: {range: [0, 1]}", ".range[0]", "allowed: true or false"),
        ("data.channels: {range: [1, 3]}", ".range", "holds 2"),
        ("data.batch_size: {choice: []}", ".choice", "is empty"),
        ("data.batch_size: {choice: [8], range: [1, 2]}", "", "give choice, log or range, one of the three"),
        ("data.batch_size: {range: [8, 8]}", "", "the first number must be below the second"),
        ("data.batch_size: {range: [8, 16, 32]}", ".range", ""),
        ("training.optimizer.learning_rate: {log: [0, 1]}", "", "a logarithmic scale needs numbers above 0"),
        ("training.optimizer.learning_rate: {values: [1, 2]}", ".values", "is not a known key; allowed: choice"),
        ("model.drop_path: {range: [0, 0.2]}", ".range[1]", "needs a vision transformer"),
        ("model.head.pooling: {choice: [avg, token]}", ".choice[1]", "is not possible with any other values"),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(entry: str, place: str, said: str, refusal: Refusal) -> None:
    line = refusal(config(entry))[0]
    key = entry.partition(":")[0]
    assert line.startswith(f"config.yaml:6: sweep.space.{key}{place}: ")
    assert said in line


def test_every_wrong_entry_is_reported_at_once(refusal: Refusal) -> None:
    lines = refusal(config("training.epoch: {choice: [1]}", "seed: {range: [-1, 3]}", "model.base: {choice: [vgg]}"))
    assert [line.partition(": ")[0] for line in lines] == ["config.yaml:6", "config.yaml:7", "config.yaml:8"]


def test_a_key_and_a_part_of_it_are_not_both_in_the_space(refusal: Refusal) -> None:
    (line,) = refusal(config("model.head.hidden: {choice: [[8]]}", "model.head: {choice: [{dropout: 0.5}]}"))
    assert line.startswith("config.yaml:6: sweep.space.model.head.hidden: is a part of model.head")


def test_a_value_that_the_rest_of_the_config_rules_out_is_refused(refusal: Refusal) -> None:
    start = START.replace("sweep:", "transfer: {strategy: linear_probe}\nsweep:").replace("none", "{run: a}")
    (line,) = refusal(config("model.head.hidden: {choice: [[], [64]]}", start=start))
    assert line.startswith("config.yaml:7: sweep.space.model.head.hidden.choice[1]: is not possible with any other")
    assert "needs a head without hidden layers, received [64]" in line


def test_a_space_without_a_valid_combination_is_refused(refusal: Refusal) -> None:
    strategies = "transfer.strategy: {choice: [linear_probe, multilayer_probe]}"
    start = START.replace("none", "{run: a}")
    (line,) = refusal(config(strategies, "model.head.hidden: {choice: [[8], [64]]}", start=start))
    assert line.startswith("config.yaml:5: sweep.space: holds no valid combination of values")


def test_a_space_with_some_valid_combinations_is_allowed(write: Callable[..., Path]) -> None:
    strategies = "transfer.strategy: {choice: [linear_probe, full]}"
    start = START.replace("none", "{run: a}")
    load(write(config(strategies, "model.head.hidden: {choice: [[], [64]]}", start=start)))


def test_a_grid_needs_an_end(refusal: Refusal, write: Callable[..., Path]) -> None:
    start = START.replace("sweep:\n", "sweep:\n  sampler: grid\n")
    for entry in ("model.head.dropout: {range: [0, 0.5]}", "data.batch_size: {log: [8, 64]}"):
        (line,) = refusal(config(entry, start=start))
        assert line.startswith("config.yaml:7: sweep.space.")
        assert "give choice, or range with step" in line
    load(write(config("model.head.dropout: {range: [0, 0.5], step: 0.1}", "seed: {range: [0, 3]}", start=start)))


@pytest.mark.parametrize("sampler", ["anneal", "TPE", "3"])
def test_an_unknown_sampler_is_refused(sampler: str, refusal: Refusal) -> None:
    (line,) = refusal(config("seed: {choice: [1, 2]}"), f"sweep.sampler={sampler}")
    assert "allowed: tpe, random, grid" in line


def test_options_set_keys_of_the_sweep_and_of_its_space(write: Callable[..., Path]) -> None:
    path = write(config("training.epochs: {choice: [1, 2]}"))
    rate = "training.optimizer.learning_rate"
    options = (f"sweep.space.{rate}={{log: [1e-4, 1e-2]}}", "sweep.space.training.epochs.choice=[3]", "sweep.trials=5")
    sweep = load(path, options).config.sweep
    assert sweep is not None
    assert sweep.trials == 5
    assert sweep.space["training.epochs"].choice == [3]
    assert sweep.space[rate].log == [1e-4, 1e-2]


def test_an_error_in_an_option_names_the_option(refusal: Refusal) -> None:
    (line,) = refusal(config("seed: {choice: [1, 2]}"), "sweep.space.training.epochs={range: [0, 2]}")
    assert line.startswith("--set sweep.space.training.epochs={range: [0, 2]}: sweep.space.training.epochs.range[0]: ")


def test_inherited_choices_of_files_are_relative_to_the_file_that_inherits(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    base = write(config("model.weights: {choice: [{path: a.h5}, {path: /b.h5}, none]}"))
    (tmp_path / "below").mkdir()
    child = tmp_path / "below" / "child.yaml"
    child.write_text(f"extends: ../{base.name}\nname: child\n")
    sweep = load(child).config.sweep
    assert sweep is not None
    assert sweep.space["model.weights"].choice == [{"path": "../a.h5"}, {"path": "/b.h5"}, "none"]


def test_seeds_of_a_series_are_not_in_a_space(refusal: Refusal) -> None:
    (line,) = refusal(config("training.seeds: {choice: [[0, 1]]}"))
    assert "a trial is one training" in line


NESTED = """training:
      optimizer:
        learning_rate: {log: [1e-5, 1e-2]}
      epochs: {choice: [1, 2]}
    model.head: {hidden: {choice: [[], [8]]}}"""


def test_sections_in_the_space_are_keys_with_dots(write: Callable[..., Path]) -> None:
    loaded = load(write(config(NESTED)))
    assert loaded.config.sweep is not None
    space = loaded.config.sweep.space
    assert list(space) == ["training.optimizer.learning_rate", "training.epochs", "model.head.hidden"]
    assert space["training.epochs"].choice == [1, 2]
    assert loaded.places["sweep", "space", "training.optimizer.learning_rate"].key.line == 8


def test_an_option_may_give_a_section_of_the_space(write: Callable[..., Path]) -> None:
    path = write(config("training.epochs: {choice: [1, 2]}"))
    sweep = load(path, ("sweep.space.training={epochs: {range: [3, 9]}, optimizer: {name: {choice: [sgd]}}}",)).config
    assert sweep.sweep is not None
    assert sweep.sweep.space["training.epochs"].range == [3, 9]
    assert list(sweep.sweep.space) == ["training.epochs", "training.optimizer.name"]


@pytest.mark.parametrize(
    "entries, start, said",
    [
        (("training: {epochs: {choice: [0]}}",), "6: sweep.space.training.epochs.choice[0]: ", "at least 1"),
        (("training: {seeds: {choice: [[0]]}}",), "6: sweep.space.training.seeds: ", "a trial is one training"),
        (("model: {members: {choice: [[]]}}",), "6: sweep.space.model.members: ", "merge makes an average"),
        (("training: {epochs: {choices: [1]}, seed: {choice: [1]}}",), "6: sweep.space.training.epochs.choices: ", ""),
        (("training.optimizer: {learning_rate: [1, 2]}",), "6: sweep.space.training.optimizer: ", "learning_rate: {"),
        (
            ("training.epochs: {choice: [1]}", "training: {epochs: {choice: [2]}}"),
            "7: sweep.space.training.epochs: ",
            "is given twice, first at config.yaml:6",
        ),
    ],
)
def test_a_wrong_entry_of_a_section_is_named_with_its_line(
    entries: tuple[str, ...], start: str, said: str, refusal: Refusal
) -> None:
    assert any(line.startswith(f"config.yaml:{start}") and said in line for line in refusal(config(*entries)))


def test_values_of_another_form_replace_inherited_ones(write: Callable[..., Path], tmp_path: Path) -> None:
    base = write(config("training.epochs: {range: [1, 9], step: 2}"))
    child = tmp_path / "child.yaml"
    child.write_text(f"extends: {base.name}\nsweep: {{space: {{training: {{epochs: {{choice: [3]}}}}}}}}\n")
    sweep = load(child).config.sweep
    assert sweep is not None
    assert sweep.space["training.epochs"].choice == [3]
