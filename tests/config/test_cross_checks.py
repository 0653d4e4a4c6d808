"""Rules that join several keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from transfercli.config.cross_checks import check_task
from transfercli.config.loader import LoadedConfig, resolve
from transfercli.config.schema import RunWeights
from transfercli.errors import ConfigError

Loaded = Callable[..., LoadedConfig]
Refusal = Callable[..., list[str]]

MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"
PHASES = "transfer.phases=[{epochs: 1}]"
NONE = "model.weights=none"
RUN = "model.weights={run: digits}"
PROBE = "transfer.strategy=linear_probe"


@pytest.mark.parametrize(
    "overrides, said",
    [
        ([PHASES, NONE, "transfer.strategy=full"], "transfer.strategy: cannot be combined with phases"),
        ([PHASES, NONE, "transfer.unfreeze=2"], "transfer.unfreeze: cannot be combined with phases"),
        (
            [NONE, "transfer.strategy=linear_probe", "model.head.hidden=[8]"],
            "the strategy linear_probe needs a head without hidden layers",
        ),
        (
            ["model.head.init=keep"],
            '"keep" needs the head of an earlier run: set model.weights to {run: RUN}',
        ),
        (["model.head.init=extend", "model.weights={path: w.h5}"], 'model.head.init: "extend" needs'),
        (
            ["transfer.unfreeze=conv3"],
            "transfer.unfreeze: belongs to the strategies partial and lora, received no strategy",
        ),
        (
            ["transfer.lora.rank=4", "transfer.strategy=full", "model.weights={run: earlier}"],
            'transfer.lora: belongs to the strategy lora, received "full"',
        ),
        (
            [NONE, "transfer.unfreeze=conv3", "transfer.strategy=full"],
            'belongs to the strategies partial and lora, received "full"',
        ),
        (
            ["data.image_size=16"],
            "is too small for small_cnn, received 16; allowed: at least 18 pixels",
        ),
        (
            ["model.head.pooling=token"],
            "model.head.pooling: token needs a vision transformer with a class token, and small_cnn has none",
        ),
        (["data.image_size=[64, 17]"], "is too small for small_cnn, received [64, 17]"),
        (["evaluation.gates.accurracy=0.9"], "evaluation.gates.accurracy: is not a known metric; allowed: accuracy"),
        (["evaluation.gates.accurracy=0.9"], "did you mean accuracy?"),
        (["data.train=s3://ann:5ec4e7@bucket/images"], "data.train: 's3://bucket/images' was given with a user or a"),
        (
            ["data.train=https://host/l.csv?id=1&token=5ec4e7"],
            "'https://host/l.csv?id=1' was given with a signature or",
        ),
        (["data.train=https://host/l.csv?X-Amz-Signature=5ec4e7"], "signed addresses belong into a table"),
        (["data.validation=gs://"], "data.validation: 'gs://' names no bucket or host"),
        (["data.test=https://example.org/test.zip"], "folders behind https cannot be listed"),
        (
            ["data.train=https://example.org/labels.csv?download=true"],
            "has a query, which tables and archives may not have",
        ),
        (["data.train=http://example.org/list.csv"], "data is read over https alone"),
        (
            ["data.train=abfs://x@y.dfs.core.windows.net/z"],
            "is an address of another kind; remote images are read from",
        ),
        (["data.train=file:///data/flowers"], "give the path alone: /data/flowers"),
        (["model.weights={path: 'https://example.org/w.h5'}"], 'model.weights.path: "https://example.org/w.h5" is an'),
        (["data.related=[a, ftp://x/y]", PROBE, RUN], 'data.related[1]: "ftp://x/y" is an address'),
        (["data.unlabelled=new"], "data.unlabelled: needs a strategy that solves for the head, received no strategy"),
        (["data.related=[more]", "transfer.strategy=scratch"], "data.related: needs a strategy that solves for the"),
        (
            ["data.unlabelled=new", "transfer.strategy=feature_extraction", RUN],
            "allowed transfer.strategy: linear_probe,",
        ),
        (["data.unlabelled=new", PHASES, NONE], "data.unlabelled: needs a strategy that solves for the head, received"),
        (["transfer.align=coral", PROBE, RUN], 'transfer.align: "coral" needs images to align: set data.unlabelled'),
        (["data.folds=5"], "data.fold: the fold that validates, from 1; or train every fold: finetune --folds K"),
        (["data.fold=1"], "data.fold: needs data.folds: the number of folds"),
        (["data.folds=5", "data.fold=6"], "data.fold: is out of range, received 6; allowed: 1 to 5"),
        (["data.folds=5", "data.fold=5", "data.validation=0.2"], "data.validation: cannot be combined with folds"),
        (["data.folds=5", "data.fold=5", "data.validation=more"], "data.validation: cannot be combined with folds"),
        (["evaluation.gates={'recall[]': 0.9}"], "evaluation.gates.recall[]: is not a known metric"),
        (["evaluation.gates={'accuracy[cat]': 0.9}"], "is not a known metric"),
        (["evaluation.gates.accuracy=2"], "gates.accuracy: is out of range, received 2; allowed: a bound from 0 to 1"),
        (["evaluation.gates.mcc=-1.5"], "gates.mcc: is out of range, received -1.5; allowed: a bound from -1 to 1"),
        (["evaluation.gates.log_loss=' >=-1'"], 'is out of range, received " >=-1"; allowed: a bound of at least 0'),
        (
            ["evaluation.gates={'f1[cat]': 1.1}"],
            "gates.f1[cat]: is out of range, received 1.1; allowed: a bound from 0",
        ),
        (["model.weights=imagenet"], "model.weights: there are no published weights for small_cnn; allowed: none"),
        (["transfer.strategy=full"], "model.weights: there are no published weights for small_cnn"),
        (["transfer.strategy=scratch", "model.weights=imagenet"], "there are no published weights for small_cnn"),
    ],
)
def test_keys_that_do_not_go_together(refusal: Refusal, overrides: list[str], said: str) -> None:
    (line,) = refusal(MINIMAL, *overrides)
    assert said in line


@pytest.mark.parametrize(
    "overrides",
    [
        [PHASES, NONE],
        [PHASES, NONE, "training.epochs=1"],
        [PHASES, NONE, "training.epochs=5"],
        ["compute.cache=require"],
        [PHASES, NONE, "transfer.strategy=null", "transfer.unfreeze=null"],
        ["transfer.strategy=linear_probe", NONE, "model.head.hidden=[]"],
        ["transfer.strategy=feature_extraction", RUN, "model.head.hidden=[8]"],
        ["transfer.strategy=scratch"],
        ["transfer.strategy=full", "model.base=resnet50"],
        ["transfer.strategy=full", "model.base={run: digits}"],
        ["model.head.init=keep", RUN],
        ["data.unlabelled=new", "data.related=[a, b]", "transfer.align=coral", PROBE, RUN],
        ["data.unlabelled=null", "data.related=[]", "transfer.align=none"],
        ["data.unlabelled=new", "transfer.strategy=partial", RUN],
        ["transfer.unfreeze=3", "transfer.strategy=partial", RUN],
        ["transfer.unfreeze=3", "transfer.strategy=lora", "transfer.lora.rank=4", RUN],
        ["data.validation=0.5", "data.test=more"],
        ["data.validation=0.9", "data.test=null"],
        ["data.folds=5", "data.fold=5"],
        ["data.image_size=18"],
        ["evaluation.gates={'recall[cat]': 0.9, 'precision[a [b]]': '>=0.5', 'f1[0]': 0.1}"],
        ["evaluation.gates={mcc: -1, brier: 2, log_loss: 7, ece: '<=0.0', 'recall[cat]': 1}"],
        ["compute.cache=off", "compute.distribution=none", "tracking.mlflow=http://x"],
    ],
)
def test_keys_that_do(loaded: Loaded, overrides: list[str]) -> None:
    loaded(MINIMAL, *overrides)


def test_rules_speak_beside_other_errors(refusal: Refusal) -> None:
    lines = refusal(MINIMAL + "seed: -1\ntransfer:\n  unfreeze: conv3\nmodle: 1\n")
    assert [line.split(": ")[0] for line in lines] == ["config.yaml:4", "config.yaml:6", "config.yaml:7"]


def test_rules_stand_nonsense(refusal: Refusal) -> None:
    text = "name: x\ndata: 5\nmodel: [1]\ntransfer: {phases: 3, strategy: {a: 1}}\n"
    text += "evaluation: {gates: 3}\ncompute: x\ntracking: []\n"
    assert len(refusal(text)) >= 6


def test_the_command_fills_in_the_strategy(loaded: Loaded) -> None:
    config = loaded(MINIMAL).config
    assert resolve(config, "finetune").transfer.strategy == "feature_extraction"
    assert resolve(config, "pretrain").transfer.strategy == "scratch"
    assert config.transfer.strategy is None


def test_a_strategy_that_is_given_stays(loaded: Loaded) -> None:
    for command in ("finetune", "pretrain"):
        assert resolve(loaded(MINIMAL, NONE, "transfer.strategy=full").config, command).transfer.strategy == "full"
        assert resolve(loaded(MINIMAL, NONE, PHASES).config, command).transfer.strategy is None


def test_the_epochs_of_phases_are_those_of_the_training_and_others_are_said_to_be_idle(loaded: Loaded) -> None:
    phases = "transfer.phases=[{epochs: 3}, {epochs: 4}]"
    both = loaded(MINIMAL, NONE, phases, "training.epochs=5")
    assert both.overruled == "training.epochs: 5 is not used: transfer.phases have their own, 7 in all"
    assert resolve(both.config, "finetune").training.epochs == 7
    assert not loaded(MINIMAL, NONE, phases).overruled
    assert not loaded(MINIMAL, NONE, phases, "training.epochs=7").overruled


def test_from_scratch_the_weights_are_none_unless_given(loaded: Loaded) -> None:
    assert resolve(loaded(MINIMAL).config, "pretrain").model.weights == "none"
    assert resolve(loaded(MINIMAL).config, "finetune").model.weights == "imagenet"
    assert resolve(loaded(MINIMAL, "transfer.strategy=scratch").config, "finetune").model.weights == "none"
    published = loaded(MINIMAL, "model.base=resnet50", "model.weights=imagenet").config
    assert resolve(published, "pretrain").model.weights == "imagenet"
    assert resolve(loaded(MINIMAL, RUN).config, "pretrain").model.weights == RunWeights(run="digits")


def test_the_image_size_is_the_bases_own_unless_given(loaded: Loaded) -> None:
    assert resolve(loaded(MINIMAL).config, "finetune").data.image_size == 32
    assert resolve(loaded(MINIMAL, "model.base=inceptionv3").config, "finetune").data.image_size == 299
    assert resolve(loaded(MINIMAL, "data.image_size=48").config, "finetune").data.image_size == 48
    assert resolve(loaded(MINIMAL, "model.base={run: digits}").config, "finetune").data.image_size is None


def test_resolving_twice_changes_nothing(loaded: Loaded) -> None:
    once = resolve(loaded(MINIMAL).config, "pretrain")
    assert resolve(once, "finetune") == once


def test_rules_hold_for_names_as_other_programs_write_them(refusal) -> None:
    (line,) = refusal("name: x\ndata: {train: a, image_size: 32}\nmodel: {base: Inception_V3}\n")
    assert "is too small for inceptionv3" in line
    lines = refusal(
        "name: x\ndata: {train: a}\nmodel: {base: vgg16, head: {hidden: [8]}}\ntransfer: {strategy: Linear-Probe}\n"
    )
    assert any("the strategy linear_probe needs a head without hidden layers" in line for line in lines)


SEVERAL = "data.label_separator=;"
TABLE = "data.train=images.jsonl"


@pytest.mark.parametrize(
    "overrides, said",
    [
        (
            ["evaluation.metrics=[map]"],
            'evaluation.metrics[0]: "map" is for task: multilabel, and this task is classify',
        ),
        (["evaluation.metrics=[map]"], "allowed: accuracy, top5_accuracy, balanced_accuracy"),
        (
            ["task=multilabel", "evaluation.metrics=[map, mcc]"],
            'metrics[1]: "mcc" is for task: classify and ordinal, and this task',
        ),
        ([SEVERAL, "retrain.promote.metric=mcc"], 'retrain.promote.metric: "mcc" is for task: classify'),
        (
            ["data.columns.label=[a, b]", "evaluation.gates.mcc=0.5"],
            'evaluation.gates.mcc: "mcc" is for task: classify',
        ),
        (["evaluation.gates={'ap[dog]': 0.5}"], 'evaluation.gates.ap[dog]: "ap" is for task: multilabel'),
        ([SEVERAL, "evaluation.gates={'ap[dog]': 1.5}"], "evaluation.gates.ap[dog]: is out of range, received 1.5"),
        ([TABLE, "evaluation.gates={'app[dog]': 0.5}"], "evaluation.gates.app[dog]: is not a known metric; allowed"),
        (
            ["training.early_stopping={monitor: val_map}"],
            'monitor: "val_map" is for task: multilabel, and this task is',
        ),
        (["data.order=[a, b]"], "data.order: is for task: ordinal, and this task is classify; allowed: null"),
        (["task=ordinal", "evaluation.threshold=f1"], "evaluation.threshold: is for task: classify, and this task"),
        (["sweep={trials: 2, metric: map, space: {seed: {choice: [1, 2]}}}"], 'sweep.metric: "map" is for task: multi'),
    ],
)
def test_metrics_of_another_task_are_refused(refusal: Refusal, overrides: list[str], said: str) -> None:
    (line,) = refusal(MINIMAL, *overrides)
    assert said in line


@pytest.mark.parametrize(
    "overrides",
    [
        [SEVERAL, "evaluation.metrics=[map, hamming_loss]", "retrain.promote.metric=micro_f1"],
        [SEVERAL, "evaluation.gates={'ap[a]=[b>=1]': 0.9, 'recall[ñ]': '>=0.5', hamming_loss: 0.1, coverage: 3}"],
        ["task=multilabel", "training.early_stopping={monitor: val_map}"],
        [TABLE, "evaluation.metrics=[map]"],
        [TABLE, "evaluation.metrics=[mcc]", "evaluation.gates={'ap[a]': 0.9}"],
    ],
)
def test_metrics_of_the_task_are_taken_and_those_of_a_table_that_is_not_read_yet(
    loaded: Loaded, overrides: list[str]
) -> None:
    loaded(MINIMAL, *overrides)


def test_a_task_that_the_table_decides_is_checked_when_it_is_known(loaded: Loaded) -> None:
    config = loaded(MINIMAL, TABLE, "evaluation.metrics=[mcc]").config
    check_task(config.model_copy(update={"task": "classify"}))
    with pytest.raises(
        ConfigError, match=r'evaluation.metrics\[0\]: "mcc" is for task: classify and ordinal, and this task is mul'
    ):
        check_task(config.model_copy(update={"task": "multilabel"}))


def test_several_labels_have_metrics_of_their_own_by_default(loaded: Loaded) -> None:
    sweep = "sweep={trials: 2, space: {seed: {choice: [1, 2]}}}"
    config = resolve(loaded(MINIMAL, "task=multilabel", sweep).config, "finetune")
    assert config.evaluation.metrics == ["map", "macro_f1"]
    assert config.retrain.promote.metric == "map"
    assert config.sweep
    assert config.sweep.metric == "val_map"
    kept = ["evaluation.metrics=[accuracy]", "retrain.promote.metric=accuracy"]
    config = resolve(loaded(MINIMAL, "task=multilabel", *kept).config, "finetune")
    assert config.evaluation.metrics == ["accuracy"]
    assert config.retrain.promote.metric == "accuracy"
    assert config.sweep is None
    assert resolve(config, "finetune") == config
    assert resolve(loaded(MINIMAL).config, "finetune").evaluation.metrics == ["accuracy", "macro_f1"]


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/images",
        "gs://bucket/list.csv",
        "hf://datasets/ann/beans@main/data",
        "https://host/list.csv",
        "s3://bucket/train-{000000..000009}.tar",
        "http://127.0.0.1:8000/list.jsonl",
        "http://localhost/a.tar",
    ],
)
def test_images_may_be_remote(loaded: Loaded, address: str) -> None:
    config = loaded(MINIMAL, f"data.train={address}", f"data.test={address}").config
    assert config.data.train == config.data.test == address
