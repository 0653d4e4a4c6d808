"""Keys as other programs name them."""

from __future__ import annotations

import pytest

from transfercli.config import descriptions
from transfercli.config.key_aliases import NAMES_ELSEWHERE, WITHOUT_KEY, meaning
from transfercli.config.loader import load
from transfercli.config.schema import ExperimentConfig
from transfercli.errors import ConfigError


@pytest.mark.parametrize("key", NAMES_ELSEWHERE)
def test_every_suggested_key_exists_and_no_alias_is_a_key_of_its_section(key: str) -> None:
    section = ExperimentConfig
    *above, last = key.split(".")
    for part in above:
        section = next(
            branch
            for branch in descriptions.branches(descriptions.hints(section)[part])
            if descriptions.is_section(branch)
        )
    assert last in section.model_fields


def test_an_alias_means_one_key() -> None:
    names = [name for group in (*NAMES_ELSEWHERE.values(), *WITHOUT_KEY) for name in group.split()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "section, said",
    [
        ("training: {lr: 0.1}", "training.lr: is not a known key"),
        ("training: {lr: 0.1}", "; did you mean training.optimizer.learning_rate?"),
        ("epochs: 5", "; did you mean training.epochs?"),
        ("num_epochs: 5", "; did you mean training.epochs?"),
        ("training: {batch-size: 5}", "; did you mean data.batch_size?"),
        ("training: {momentum: 0.9}", "; did you mean training.optimizer.momentum?"),
        ("model: {base: vgg16, dropout: 0.5}", "; did you mean model.head.dropout?"),
        ("backbone: vgg16", "; did you mean model.base?"),
        ("data: {train: a, img_size: 64}", "; did you mean data.image_size?"),
        ("model: {base: vgg16, num_classes: 3}", "; the classes are the sub-folders, or labels, of data.train"),
        ("optimiser: sgd", "; did you mean training.optimizer?"),
        ("nonsense_of_mine: 1", "is not a known key"),
    ],
)
def test_a_key_of_another_program_names_the_key_here(write, section: str, said: str) -> None:
    name = section.partition(":")[0]
    others = [line for line in ("data: {train: a}", "model: {base: vgg16}") if not line.startswith(f"{name}:")]
    path = write("\n".join(["name: x", *others, section]) + "\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)


def test_an_unknown_name_has_no_meaning() -> None:
    assert meaning("nonsense") == ""
