"""Messages about wrong values of a config: key, line, choices, plain words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Refusal = Callable[..., list[str]]


MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"


def extended(section: str) -> str:
    return MINIMAL.replace("small_cnn", "resnet50") + section + "\n"


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
    ("training: {optimizer: {name: ADAMM}}", "did you mean adam?"),
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
    ("export: {formats: [savedmodle]}", "did you mean saved_model?"),
    ("retrain: {promote: {confidence: 1}}", "retrain.promote.confidence: is out of range, received 1"),
    ("evaluation: {threshold: {precison: 0.9}}", "evaluation.threshold.precison: is not a known key"),
    ("evaluation: {threshold: {f1: 1}}", "evaluation.threshold.f1: is not a known key; allowed: recall, precision"),
    ("evaluation: {threshold: {recall: 1, precision: 0.9}}", "evaluation.threshold.recall: is out of range"),
    ("evaluation: {threshold: {recall: 0.9, precision: 0.9}}", "evaluation.threshold: give recall or precision"),
    ("evaluation: {thresholds: f1}", "evaluation.thresholds: is for task: multilabel, and this task is classify"),
    ("nam: x", "nam: is not a known key; allowed: name, task, seed, data"),
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
    (
        "expect: {classes: [0, 1, 3]}",
        "received [0, 1, 3]; allowed: a list of names, such as [cat, dog] or ['0', '1'] (digits in quotes), or a whole",
    ),
    ("max_bad_fraction: 1.1", "max_bad_fraction: is out of range"),
]


@pytest.mark.parametrize("entry, said", WRONG_DATA)
def test_a_wrong_data_key_is_one_message_with_its_line(refusal: Refusal, entry: str, said: str) -> None:
    (line,) = refusal(f"name: x\nmodel: {{base: vgg16}}\ndata:\n  train: images\n  {entry}\n")
    assert line.startswith("config.yaml:5: data.")
    assert said in line


WRONG_MODEL = [
    ("base: resnet5", "base: is not one of the choices, received"),
    ("base: resnet5", "did you mean resnet50?"),
    ("base: NASNet", "it may be nasnetmobile, nasnetlarge: name one of them"),
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
