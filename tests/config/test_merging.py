"""`extends` and `--set`: whose value wins, what a relative path is relative to, and who is named when it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config.loader import LoadedConfig, load
from transfercli.config.paths import absolute_path
from transfercli.config.schema import FileWeights, RunWeights
from transfercli.errors import ConfigError

Write = Callable[..., Path]
Loaded = Callable[..., LoadedConfig]
Refusal = Callable[..., list[str]]

MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"


def message(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return caught.value.message


def test_mappings_are_merged_and_lists_and_single_values_replaced(write: Write) -> None:
    write(
        MINIMAL + "training: {epochs: 3, optimizer: {name: sgd, momentum: 0.5}}\nevaluation: {metrics: [ece, mcc]}\n",
        "base.yaml",
    )
    child = (
        "extends: base.yaml\nname: child\ntraining: {optimizer: {momentum: 0.7}}\nevaluation: {metrics: [accuracy]}\n"
    )
    config = load(write(child)).config
    assert (config.name, config.training.epochs) == ("child", 3)
    assert (config.training.optimizer.name, config.training.optimizer.momentum) == ("sgd", 0.7)
    assert config.evaluation.metrics == ["accuracy"]


def test_each_path_of_an_inherited_list_is_rewritten(write: Write, tmp_path: Path) -> None:
    keys = "name: x\ntransfer: {strategy: linear_probe}\nmodel: {base: vgg16}\n"
    write(keys + "data: {train: images, unlabelled: new, related: [clip art, /sketch, ../é]}\n", "shared/base.yaml")
    data = load(write("extends: ../shared/base.yaml\n", "mine/config.yaml")).config.data
    assert data.unlabelled == "../shared/new"
    assert data.related == ["../shared/clip art", "/sketch", "../é"]
    assert absolute_path(data.related[0]) == tmp_path / "mine" / "../shared/clip art"
    replaced = load(tmp_path / "mine" / "config.yaml", ("data.related=[other]",)).config.data.related
    assert replaced == ["other"]


@pytest.mark.parametrize(
    "record", ['{"config_folder": "../../../configs"}', "{half", "[]", '{"config_folder": 3}', None]
)
def test_the_config_of_a_run_keeps_the_folder_it_came_from(write: Write, tmp_path: Path, record: str | None) -> None:
    path = write(MINIMAL, "runs/flowers/r1/config.yaml")
    other = write(MINIMAL, "runs/flowers/r1/other.yaml")
    if record is not None:
        write(record, "runs/flowers/r1/run.json")
    is_run = bool(record and "configs" in record)
    assert load(path).folder == (tmp_path / "configs" if is_run else path.parent)
    assert load(other).folder == other.parent
    heir = load(write(f"extends: {path}\n", "mine/heir.yaml"))
    assert heir.config.data.train == ("../configs/images" if is_run else "../runs/flowers/r1/images")


def test_the_config_of_a_run_extends_nothing(write: Write) -> None:
    """A stranger's run could name any file of this machine."""
    write(MINIMAL, "runs/flowers/base.yaml")
    path = write("extends: ../base.yaml\n", "runs/flowers/r1/config.yaml")
    assert load(path).config.name == "flowers"
    write("{}", "runs/flowers/r1/run.json")
    with pytest.raises(ConfigError, match="extends: is not allowed in the config of a run"):
        load(path)


def test_a_chain_of_files_is_followed(write: Write) -> None:
    write(MINIMAL + "seed: 1\n", "a.yaml")
    write("extends: a.yaml\ntraining: {epochs: 2}\n", "b.yaml")
    config = load(write("extends: b.yaml\nseed: 3\n", "c.yaml")).config
    assert (config.name, config.seed, config.training.epochs) == ("flowers", 3, 2)


@pytest.mark.parametrize(
    "given, expected",
    [
        ("images", "../shared/images"),
        ("../data/images", "../data/images"),
        ("./images", "../shared/images"),
        ("/abs/images", "/abs/images"),
        ("~/images", "~/images"),
        ("keras:cifar10", "keras:cifar10"),
    ],
)
def test_an_inherited_path_still_leads_where_it_led(write: Write, given: str, expected: str) -> None:
    write(
        f"name: x\ndata: {{train: {given}, validation: {given}, test: {given}}}\n"
        f"model: {{base: vgg16, weights: {{path: {given}}}}}\ncompute: {{cache_dir: {given}}}\n",
        "shared/base.yaml",
    )
    config = load(write("extends: ../shared/base.yaml\n", "mine/config.yaml")).config
    assert config.data.train == config.data.validation == config.data.test == expected
    assert config.model.weights == FileWeights(path=expected)
    assert config.compute.cache_dir == expected


def test_paths_survive_two_folders(write: Write) -> None:
    write(MINIMAL, "a/base.yaml")
    write("extends: ../a/base.yaml\n", "b/middle.yaml")
    assert load(write("extends: ../../b/middle.yaml\n", "c/d/top.yaml")).config.data.train == "../../a/images"


def test_an_own_path_a_fraction_and_a_run_are_left_alone(write: Write) -> None:
    write("name: x\ndata: {train: a, test: 0.2}\nmodel: {base: vgg16, weights: {run: some/run}}\n", "shared/base.yaml")
    config = load(write("extends: ../shared/base.yaml\ndata: {train: b}\n", "mine/config.yaml")).config
    assert (config.data.train, config.data.test, config.model.weights) == ("b", 0.2, RunWeights(run="some/run"))


def test_a_linked_folder_is_followed_to_where_it_is(write: Write, tmp_path: Path) -> None:
    write(MINIMAL, "far/away/base.yaml")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "link").symlink_to("../far/away")
    found = load(write("extends: link/base.yaml\n", "mine/config.yaml"))
    assert found.config.data.train == "../far/away/images"


def test_other_weights_replace_inherited_ones_as_a_whole(write: Write) -> None:
    write("name: x\ndata: {train: a}\nmodel: {base: {run: old}, weights: {run: old, until: conv2}}\n", "base.yaml")
    config = load(write("extends: base.yaml\nmodel: {base: vgg16, weights: {path: w.h5}}\n")).config
    assert (config.model.base, config.model.weights) == ("vgg16", FileWeights(path="w.h5"))


def test_a_cycle_shows_the_way_round(write: Write) -> None:
    write("extends: b.yaml\n", "a.yaml")
    write("extends: c.yaml\n", "b.yaml")
    write("extends: a.yaml\n", "c.yaml")
    said = message(write("extends: a.yaml\n", "start.yaml"))
    assert "c.yaml:1: extends: forms a cycle: a.yaml -> b.yaml -> c.yaml -> a.yaml" in said
    assert "forms a cycle: self.yaml -> self.yaml" in message(write("extends: self.yaml\n", "self.yaml"))


def test_a_long_chain_is_refused(write: Write) -> None:
    for number in range(20):
        write(f"extends: {number + 1}.yaml\n", f"{number}.yaml")
    write(MINIMAL, "20.yaml")
    assert "chain of more than 8 files" in message(write("extends: 0.yaml\n"))


def test_a_missing_parent_is_told_where_it_is_named(write: Write) -> None:
    write(MINIMAL, "basis.yaml")
    said = message(write("name: x\nextends: base.yaml\n"))
    assert "config.yaml:2: extends: " in said
    assert "base.yaml does not exist" in said
    assert "basis.yaml" in said


@pytest.mark.parametrize("parent", ["5", "null", "[a.yaml]", "''", ".", "x" * 5000])
def test_a_parent_is_the_path_of_a_file(refusal: Refusal, parent: str) -> None:
    (line,) = refusal(MINIMAL + f"extends: {parent}\n")
    assert line.startswith("config.yaml:4: extends: ")


def test_errors_name_the_file_they_are_in(write: Write, tmp_path: Path) -> None:
    write(MINIMAL + "training:\n  epochs: 0\n  optimizer: {name: adm}\n", "base.yaml")
    said = message(write("extends: base.yaml\nseed: -1\ntraining: {epochs: x}\n"))
    lines = said.replace(f"{tmp_path}/", "").split("\n")[1:]
    assert [line.split(": ")[:2] for line in lines] == [
        ["base.yaml:6", "training.optimizer.name"],
        ["config.yaml:2", "seed"],
        ["config.yaml:3", "training.epochs"],
    ]


def test_an_unreadable_parent_is_told_in_its_own_name(write: Write) -> None:
    write("a: [1\n", "base.yaml")
    said = message(write("extends: base.yaml\nseed: &x 1\n"))
    assert "base.yaml:2: is not valid YAML" in said
    assert "config.yaml:2: the anchor &x" in said
    assert "is missing" not in said


def test_the_folder_is_that_of_the_config_named(write: Write) -> None:
    write(MINIMAL, "shared/base.yaml")
    path = write("extends: ../shared/base.yaml\n", "mine/config.yaml")
    assert load(path).folder == path.parent


def test_set_replaces_one_key_by_the_same_rules(loaded: Loaded) -> None:
    config = loaded(
        MINIMAL, "training.optimizer.learning_rate=1e-4", "name=no", "data.test=null", "model.head.hidden=[8, 4]",
        "evaluation.gates={ece: '<=0.05'}", "evaluation.gates.accuracy=0.9", "training.early_stopping.patience=3",
        "training.class_weights.no=2",
    ).config  # fmt: skip
    assert (config.training.optimizer.learning_rate, config.name, config.data.test) == (1e-4, "no", None)
    assert (config.model.head.hidden, config.evaluation.gates) == ([8, 4], {"ece": "<=0.05", "accuracy": 0.9})
    assert config.training.early_stopping is not None
    assert (config.training.early_stopping.patience, config.training.class_weights) == (3, {"no": 2})


def test_set_can_turn_a_word_into_a_mapping_and_back(loaded: Loaded) -> None:
    assert loaded(MINIMAL, "model.weights=none", "model.weights.run=digits").config.model.weights == RunWeights(
        run="digits"
    )
    assert loaded(MINIMAL, "model.weights.run=digits", "model.weights=none").config.model.weights == "none"


@pytest.mark.parametrize(
    "override, key, value",
    [
        ("training.class_weights={b: 2}", ("training", "class_weights"), {"b": 2}),
        ("evaluation={metrics: [ece]}", ("evaluation", "gates"), {}),
        ("evaluation.metrics=[mcc]", ("evaluation", "metrics"), ["mcc"]),
        ("evaluation.gates={}", ("evaluation", "gates"), {}),
        ("data={train: other}", ("data", "batch_size"), 32),
    ],
)
def test_set_replaces_a_mapping_or_list_and_merges_nothing(loaded: Loaded, override: str, key: tuple, value) -> None:
    text = (
        "name: x\ndata: {train: images, batch_size: 7}\nmodel: {base: small_cnn}\ntraining: {class_weights: {a: 1}}\n"
        "evaluation: {metrics: [accuracy, ece], gates: {accuracy: 0.9}}\n"
    )
    found = loaded(text, override)
    section, name = key
    assert getattr(getattr(found.config, section), name) == value
    assert found.where(override.split("=")[0]) == f"--set {override}"


def test_a_set_that_leaves_a_needed_key_out_is_blamed_for_it(refusal: Refusal) -> None:
    (line,) = refusal(MINIMAL, "data={batch_size: 8}")
    assert line.startswith("--set data={batch_size: 8}: data.train: is missing")


def test_the_last_set_wins(loaded: Loaded) -> None:
    assert loaded(MINIMAL, "seed=1", "seed=2").config.seed == 2


@pytest.mark.parametrize(
    "override, said",
    [
        ("training.epochs=0", "training.epochs: is out of range, received 0"),
        ("training.epoch=3", "training.epoch: is not a known key"),
        ("training.epochs", "must look like a.b.c=VALUE"),
        ("=3", "must look like a.b.c=VALUE"),
        ("a..b=3", "must look like a.b.c=VALUE"),
        ("extends=base.yaml", "extends is only allowed in a file"),
        ("seed=[1", "seed: is not valid YAML"),
        ("seed=*x", "seed: the alias *x is not allowed"),
        ("model.head={dropout: .nan}", "model.head.dropout: must be a finite number"),
        ("data.train.x=1", "data.train: is the wrong kind of value"),
        ("model.head.hidden.0=1", "model.head.hidden: is the wrong kind of value"),
        (".".join("a" * 11) + "=1", "is nested deeper than 10 levels"),
        ("evaluation.metrics.0=1", "evaluation.metrics: is a list: set the whole list"),
    ],
)
def test_a_wrong_set_is_named_itself(refusal: Refusal, override: str, said: str) -> None:
    (line,) = refusal(MINIMAL + "evaluation: {metrics: [ece]}\n", override)
    assert line.startswith(f"--set {override}: ")
    assert said in line


def test_set_does_not_blame_the_file_and_the_file_does_not_blame_set(refusal: Refusal) -> None:
    lines = refusal(MINIMAL + "training: {epochs: 0}\n", "training.optimizer.name=adm")
    assert [line.split(": ")[0] for line in lines] == ["--set training.optimizer.name=adm", "config.yaml:4"]


def test_a_set_with_line_ends_is_still_one_line(refusal: Refusal) -> None:
    (line,) = refusal(MINIMAL, "seed=a\nb: c")
    assert line.startswith(r"--set seed=a\nb: c: seed: ")


def test_set_mends_a_wrong_value(loaded: Loaded) -> None:
    assert loaded(MINIMAL + "training: {epochs: 0}\n", "training.epochs=3").config.training.epochs == 3


def test_a_config_is_found_from_another_folder(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(MINIMAL, "shared/base.yaml")
    write("extends: ../shared/base.yaml\n", "mine/config.yaml")
    monkeypatch.chdir(tmp_path / "mine")
    assert load(Path("config.yaml")).config.data.train == "../shared/images"


def test_a_set_is_shown_without_the_secrets_of_its_addresses(refusal: Refusal) -> None:
    (line,) = refusal(MINIMAL, "data.train=s3://u:pw@pictures/digits")
    assert line.startswith("--set data.train=s3://pictures/digits: data.train: ")
    (line,) = refusal(MINIMAL, "data={train: https://a.example/x.tar?token=pw, test: 'https://u:pw@a.example/y.tar'}")
    assert "pw" not in line
