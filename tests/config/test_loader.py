"""Loading a config: what is taken, and what is said about what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config.loader import LoadedConfig, load, problems
from transfercli.config.schema import ExperimentConfig, FileWeights, RunReference, RunWeights
from transfercli.errors import ConfigError

Loaded = Callable[..., LoadedConfig]
Refusal = Callable[..., list[str]]
Write = Callable[..., Path]

MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"
CONTRACT = """\
name: flowers-resnet50
seed: 0
data:
  train: data/flowers
  validation: 0.15
  test: 0.15
  image_size: 224
  channels: 3
  resize: stretch
  batch_size: 32
  max_bad_fraction: 0.01
augmentation: {preset: light, views: 4}
model:
  base: resnet50
  weights: imagenet
  head: {pooling: avg, hidden: [256], dropout: 0.3, output: softmax}
transfer:
  strategy: partial
  unfreeze: conv5
  phases: null
training:
  epochs: 30
  optimizer: {name: adamw, learning_rate: 1e-3, weight_decay: 1e-4}
  schedule: {name: cosine, warmup_epochs: 1}
  regularization: {l1: 0.0, l2: 0.0, label_smoothing: 0.0}
  class_weights: balanced
  early_stopping: {monitor: val_loss, patience: 5}
compute: {precision: auto, cache: auto, cache_dir: null, cache_max_gb: 50, threads: null, deterministic: true,
          distribution: none}
evaluation: {metrics: [accuracy, macro_f1], gates: {accuracy: 0.9, ece: "<=0.05"}}
export: {formats: [saved_model]}
retrain: {start: champion, when: changed,
          promote: {metric: accuracy, min_gain: 0.0, confidence: 0.95, per_class_floor: null}}
tracking: {tensorboard: true, mlflow: null}
"""


def extended(section: str) -> str:
    return MINIMAL.replace("small_cnn", "resnet50") + section + "\n"


def test_the_contracts_example_is_valid(loaded: Loaded) -> None:
    config = loaded(CONTRACT).config
    assert config.training.optimizer.weight_decay == 1e-4
    assert config.evaluation.gates == {"accuracy": 0.9, "ece": "<=0.05"}


def test_three_keys_are_enough_and_the_defaults_are_the_contracts(loaded: Loaded, write: Write) -> None:
    found = loaded(MINIMAL)
    config = found.config
    assert (config.seed, config.data.validation, config.data.test, config.data.image_size) == (0, 0.15, 0.15, None)
    assert (config.augmentation.preset, config.augmentation.views, config.model.weights) == ("none", 4, "imagenet")
    assert (config.model.head.hidden, config.model.head.dropout, config.transfer.strategy) == ([], 0.0, None)
    training = config.training
    assert (training.epochs, training.optimizer.name, training.optimizer.learning_rate) == (20, "adam", 1e-3)
    assert (training.schedule.name, training.class_weights, training.early_stopping) == ("constant", None, None)
    assert (config.evaluation.gates, config.export.formats) == ({}, ["saved_model"])
    assert found.folder == found.path.parent


def test_a_loaded_value_knows_its_line(loaded: Loaded) -> None:
    found = loaded(MINIMAL)
    assert found.where("model.base") == f"{found.path}:3"
    assert found.where("model.head.output") == f"{found.path}:3"
    assert found.where("training.epochs") == f"{found.path}:1"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("imagenet", "imagenet"),
        ("none", "none"),
        ("{run: digits}", RunWeights(run="digits")),
        ("{run: digits@champion, until: conv2}", RunWeights(run="digits@champion", until="conv2")),
        ("{path: w.h5}", FileWeights(path="w.h5")),
        ("{path: w.h5, sha256: " + "a" * 64 + "}", FileWeights(path="w.h5", sha256="a" * 64)),
    ],
)
def test_weights_come_from_four_places(loaded: Loaded, text: str, expected: object) -> None:
    assert (
        loaded(f"name: x\ndata: {{train: i}}\nmodel: {{base: vgg16, weights: {text}}}").config.model.weights == expected
    )


def test_a_base_may_be_that_of_a_run(loaded: Loaded) -> None:
    assert loaded("name: x\ndata: {train: i}\nmodel: {base: {run: digits}}").config.model.base == RunReference(
        run="digits"
    )


def test_an_image_size_is_one_number_or_two(loaded: Loaded) -> None:
    assert loaded(MINIMAL, "data.image_size=48").config.data.image_size == 48
    assert loaded(MINIMAL, "data.image_size=[48, 64]").config.data.image_size == (48, 64)


def test_class_weights_take_any_label(loaded: Loaded) -> None:
    weights = loaded(extended("training: {class_weights: {no: 1, 0: 2, 1e-4: 0.5}}")).config.training.class_weights
    assert weights == {"no": 1, "0": 2, "1e-4": 0.5}


# (the section, the line it stands in, what the message says)
WRONG = [
    ("seed: -1", "seed: is out of range, received -1; allowed: a whole number of at least 0 and below 2147483648"),
    ("seed: true", "seed: is the wrong kind of value, received true; allowed: a whole number"),
    ("seed: 1.5", "seed: is the wrong kind of value, received 1.5; allowed: a whole number"),
    ("training: {epochs: 0}", "training.epochs: is out of range, received 0; allowed: a whole number of at least 1"),
    ("training: {epochs: '5'}", 'training.epochs: is the wrong kind of value, received "5"'),
    ("training: {epochs: '5'}", "did you mean 5, without quotes?"),
    ("training: {epochs: null}", "training.epochs: cannot be null"),
    ("training: null", "training: cannot be null, received null; allowed: a mapping with the keys epochs, optimizer"),
    ("training: [1]", "training: is the wrong kind of value, received [1]; allowed: a mapping with the keys epochs"),
    ("training: {optimizer: {learning_rate: 0}}", "training.optimizer.learning_rate: is out of range, received 0"),
    ("training: {optimizer: {learning_rate: .nan}}", "training.optimizer.learning_rate: must be a finite number"),
    ("training: {optimizer: {name: adm}}", 'received "adm"; allowed: sgd, rmsprop, adam, adamw; did you mean adam?'),
    ("training: {optimizer: {name: ADAM}}", "did you mean adam?"),
    ("training: {schedule: {name: cosin}}", "did you mean cosine?"),
    ("training: {schedule: {warmup_epochs: -1}}", "training.schedule.warmup_epochs: is out of range, received -1"),
    ("training: {class_weights: balance}", "allowed: balanced or a mapping from text to a number above 0 or null"),
    ("training: {class_weights: {cat: 0}}", "training.class_weights.cat: is out of range, received 0"),
    ("training: {class_weights: [1]}", "training.class_weights: is not one of the choices, received [1]"),
    ("training: {early_stopping: {monitor: val_los}}", "training.early_stopping.monitor: is not one of the choices"),
    ("training: {early_stoping: null}", "training.early_stoping: is not a known key; allowed: epochs, optimizer"),
    ("training: {early_stoping: null}", "did you mean early_stopping?"),
    ("training: {batch_size: 3}", "did you mean data.batch_size?"),
    ("transfer: {strategy: freeze}", "transfer.strategy: is not a known strategy, received"),
    ("transfer: {strategy: aut}", "did you mean auto?"),
    ("transfer: {phases: []}", "transfer.phases: is empty, received []"),
    ("transfer: {phases: [{unfreeze: all}]}", "transfer.phases[0].epochs: is missing"),
    ("transfer: {phases: [{epochs: 1}, {epochs: 0}]}", "transfer.phases[1].epochs: is out of range, received 0"),
    ("transfer: {phases: [{epochs: 1, unfreeze: 1.5}]}", "phases[0].unfreeze: is not allowed here, received 1.5"),
    ('transfer: {strategy: auto, budget: "0x"}', 'transfer.budget: is not allowed here, received "0x"'),
    ("augmentation: {preset: lite}", "augmentation.preset: is not a known augmentation, received"),
    ("augmentation: {layers: [{RandomFlp: {}}]}", "did you mean RandomFlip?"),
    ("augmentation: {layers: [{RandomFlip: {}, RandomZoom: {}}]}", "augmentation.layers[0]: is out of range"),
    ("augmentation: {layers: [RandomFlip]}", "augmentation.layers[0]: is the wrong kind of value"),
    ("augmentation: {preset: light, layers: [{RandomFlip: {}}]}", "augmentation: give preset or layers, not both"),
    ("compute: {deterministic: yes}", 'received "yes"; allowed: true or false; did you mean true?'),
    ("compute: {deterministic: 1}", "compute.deterministic: is the wrong kind of value, received 1"),
    ("compute: {threads: 0}", "compute.threads: is out of range, received 0"),
    ("evaluation: {metrics: []}", "evaluation.metrics: is empty"),
    ("evaluation: {metrics: [acuracy]}", "evaluation.metrics[0]: is not a known metric"),
    ("evaluation: {gates: {accuracy: '=>0.9'}}", 'evaluation.gates.accuracy: is not allowed here, received "=>0.9"'),
    ("evaluation: {gates: {accuracy: true}}", "evaluation.gates.accuracy: is not allowed here, received true"),
    ("export: {formats: saved_model}", "export.formats: is the wrong kind of value"),
    ("export: {formats: [savedmodel]}", "did you mean saved_model?"),
    ("retrain: {promote: {confidence: 1}}", "retrain.promote.confidence: is out of range, received 1"),
    ("nam: x", "nam: is not a known key; allowed: name, seed, data"),
]  # fmt: skip


@pytest.mark.parametrize("section, said", WRONG)
def test_a_wrong_value_is_one_message_with_its_line(refusal: Refusal, section: str, said: str) -> None:
    (line,) = refusal(extended(section))
    assert line.startswith("config.yaml:4: ")
    assert said in line


WRONG_DATA = [
    (
        "validation: 1.5",
        "is out of range, received 1.5; allowed: a fraction above 0 and below 1, or a path",
    ),
    ("validation: 0", "validation: is out of range, received 0"),
    ("validation: null", "validation: cannot be null"),
    ("validation: {a: 1}", "validation: is not allowed here, received"),
    ("validation: ''", "validation: is empty"),
    ("test: true", "test: is not allowed here, received true"),
    (
        "image_size: [1, 2, 3]",
        "is not allowed here, received [1, 2, 3]; allowed: a whole number from 8 to 4096",
    ),
    ("image_size: [32, x]", 'image_size: is not allowed here, received [32, "x"]'),
    ("image_size: 0", "image_size: is out of range, received 0"),
    ("image_size: 32.0", "image_size: is not allowed here, received 32.0"),
    ("channels: 2", "channels: is not one of the choices, received 2; allowed: 3, 1"),
    ("channels: true", "channels: must be a whole number, received true; allowed: 3, 1"),
    ("resize: strech", "did you mean stretch?"),
    ("max_bad_fraction: 1.1", "max_bad_fraction: is out of range"),
]


@pytest.mark.parametrize("entry, said", WRONG_DATA)
def test_a_wrong_data_key_is_one_message_with_its_line(refusal: Refusal, entry: str, said: str) -> None:
    (line,) = refusal(f"name: x\nmodel: {{base: vgg16}}\ndata:\n  train: images\n  {entry}\n")
    assert line.startswith("config.yaml:5: data.")
    assert said in line


WRONG_MODEL = [
    ("base: resnet5", "base: is not one of the choices, received"),
    ("base: ResNet50", "did you mean resnet50?"),
    ("base: 5", "base: is not one of the choices, received 5"),
    ("base: {rn: x}", "base.rn: is not a known key; allowed: run; did you mean run?"),
    (
        "base: {run: 5}",
        "base.run: is the wrong kind of value, received 5; allowed: text",
    ),
    ("base: vgg16, weights: image_net", "did you mean imagenet?"),
    ("base: vgg16, weights: 3", "weights: is not one of the choices, received 3; allowed: imagenet, none or a mapping"),
    ("base: vgg16, weights: null", "weights: cannot be null"),
    ("base: vgg16, weights: {path: a, sha256: b}", "weights.sha256: is the wrong kind of value, received"),
    ("base: vgg16, weights: {path: a, sha256: b}", "allowed: 64 hexadecimal digits"),
    ("base: vgg16, weights: {path: a, sha: b}", "weights.sha: is not a known key; allowed: path, sha256"),
    ("base: vgg16, weights: {run: a, untl: b}", "did you mean until?"),
    ("base: vgg16, weights: {until: b}", "weights.run: is missing"),
    ("base: vgg16, weights: {}", "weights.run: is missing"),
    (
        "base: vgg16, head: {hidden: 256}",
        "hidden: is the wrong kind of value, received 256; allowed: a list, each item",
    ),
    ("base: vgg16, head: {hidden: [0]}", "head.hidden[0]: is out of range, received 0"),
    (
        "base: vgg16, head: {dropout: 1}",
        "received 1; allowed: a number of at least 0 and below 1",
    ),
]


@pytest.mark.parametrize("entry, said", WRONG_MODEL)
def test_a_wrong_model_key_names_itself_and_no_branch_of_a_union(refusal: Refusal, entry: str, said: str) -> None:
    lines = refusal(f"name: x\ndata: {{train: images}}\nmodel: {{{entry}}}\n")
    assert any(said in line for line in lines)
    for line in lines:
        assert line.startswith("config.yaml:3: model.")


@pytest.mark.parametrize("name", ["a b", "a/b", "..", ".", "", "x" * 65, "é"])
def test_a_name_that_cannot_name_a_folder_is_refused(refusal: Refusal, name: str) -> None:
    (line,) = refusal(f"name: '{name}'\ndata: {{train: i}}\nmodel: {{base: vgg16}}\n")
    assert line.startswith("config.yaml:1: name: cannot name a folder, received")


JARGON = ["literal[", "function-", "constrained", "tuple[", "Input should", "Value error", "type=", "union", "pydantic"]


def test_all_errors_come_at_once_sorted_by_line_and_in_plain_words(refusal: Refusal) -> None:
    lines = refusal("\n".join(["name: 'a b'", "data: {}", "model: {base: 1, weights: 2}", *(s for s, _ in unique())]))
    numbers = [int(line.split(":")[1]) for line in lines]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 4 + len(unique())))
    for line in lines:
        assert not any(word in line for word in JARGON), line


def unique() -> list[tuple[str, str]]:
    """One wrong entry for each top-level key."""
    return list({section.split(":")[0]: (section, said) for section, said in WRONG}.values())


def test_no_message_speaks_pydantics_language(refusal: Refusal) -> None:
    for section, _ in WRONG:
        assert not any(word in line for word in JARGON for line in refusal(extended(section)))


def test_missing_keys_are_told_at_the_mapping_that_lacks_them(refusal: Refusal) -> None:
    lines = refusal("# a comment\nseed: 1\ndata:\n  batch_size: 3\n")
    assert [line.split("; ")[0] for line in lines] == [
        "config.yaml:2: name: is missing",
        "config.yaml:2: model.base: is missing",
        "config.yaml:3: data.train: is missing",
    ]


def test_what_yaml_refused_is_not_refused_again_by_the_schema(refusal: Refusal) -> None:
    lines = refusal("name: x\ndata: {train: images}\nmodel: {base: &b vgg16}\nseed: *b\ntraining: {epochs: .nan}\n")
    assert [line.split(": ")[0] for line in lines] == ["config.yaml:3", "config.yaml:4", "config.yaml:5"]


def test_a_missing_file_is_told_with_its_neighbours(write: Write, tmp_path: Path) -> None:
    write(MINIMAL, "flowers.yaml")
    with pytest.raises(ConfigError, match=r"flower\.yaml: does not exist; there are .*flowers\.yaml"):
        load(tmp_path / "flower.yaml")
    with pytest.raises(ConfigError, match="nor does the folder"):
        load(tmp_path / "nowhere" / "flower.yaml")


def test_the_hint_also_helps_where_there_is_no_file_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "mine.yaml")
    assert "config init" in str(caught.value.hint)


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        load(tmp_path)


def test_problems_are_empty_for_a_valid_config(write: Write) -> None:
    assert problems(write(MINIMAL)) == []


def test_a_config_does_not_change_once_it_is_loaded(loaded: Loaded) -> None:
    config: ExperimentConfig = loaded(MINIMAL).config
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]
