"""Class weights as a config gives them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transfercli.config.schema import DataConfig, ExperimentConfig, ModelConfig
from transfercli.data.dataset import Auxiliary, Dataset, Record, Split
from transfercli.errors import ConfigError
from transfercli.workflows.train.training_data import class_weights, data_request, fingerprint


class NoImages:
    def __len__(self) -> int:
        return 4

    def read(self, indices: np.ndarray) -> np.ndarray:
        raise AssertionError("weights follow from targets alone")


SPLIT = Split(
    "train", tuple("abcd"), np.array([0, 0, 0, 2], np.int32), ("cat", "cow", "dog"), NoImages(), tuple("abcd")
)


def test_balanced_weights_share_out_the_images_over_the_classes_that_have_some() -> None:
    weights = class_weights("balanced", SPLIT)
    assert weights is not None
    assert weights.tolist() == pytest.approx([4 / 6, 1.0, 2.0])


@pytest.mark.parametrize(
    "wanted, said",
    [
        ({"cat": 1.0, "dog": 2.0}, "training.class_weights: no weight for 'cow'"),
        ({"cat": 1.0, "cow": 1.0, "dog": 2.0, "eel": 1.0}, "training.class_weights: no class named 'eel'"),
        ({"cat": 1.0, "cat ": 2.0, "cow": 1.0, "dog": 1.0}, "training.class_weights: two weights for 'cat'"),
        ({"cat": 1.0, "cow": 1.0, "eel": 1.0}, "no weight for 'dog', and no class named 'eel'"),
    ],
)
def test_weights_for_other_classes_are_refused_by_name(wanted: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        class_weights(wanted, SPLIT)
    assert caught.value.message.endswith(said)


def test_weights_are_matched_by_normalised_names_and_look_alikes_are_shown_by_code_points() -> None:
    split = replace(SPLIT, labels=("caf\u00e9", "stop", "the"))
    weights = class_weights({"cafe\u0301": 2.0, "the ": 3.0, "stop": 1.0}, split)
    assert weights is not None
    assert weights.tolist() == [2.0, 1.0, 3.0]
    with pytest.raises(ConfigError, match=r"no weight for 'stop' \(U\+0073 .*no class named 'st\u043ep' \(U\+0073"):
        class_weights({"caf\u00e9": 2.0, "the": 3.0, "st\u043ep": 1.0}, split)


def test_the_request_for_images_names_the_files_of_earlier_runs(tmp_path: Path) -> None:
    config = ExperimentConfig(
        name="x", data=DataConfig(train="images", image_size=8), model=ModelConfig(base="small_cnn")
    )
    assert data_request(config, tmp_path / "x").pixel_files == ()
    for name in ("a", "b"):
        (tmp_path / "x" / name).mkdir(parents=True)
        (tmp_path / "x" / name / "run.json").write_text("{}")
    assert [path.parent.name for path in data_request(config, tmp_path / "x").pixel_files] == ["a", "b"]


def test_auxiliary_images_change_the_fingerprint_and_the_names_of_their_files_do_not() -> None:
    plain = Dataset("images", tuple(Record(f"{name}.png", name, "cat", "train") for name in "xyz"), ("cat", "dog"), {})
    # computed before there were auxiliary images
    assert fingerprint(plain) == "2b418491dc75799d0a7c2cd66aceb21e449c8c34881e02ab733dca39dad842df"
    of_domain = np.zeros(4, np.int32)
    variants = [
        Auxiliary(unlabelled=SPLIT),
        Auxiliary(unlabelled=SPLIT.at(np.arange(3))),
        Auxiliary(related=SPLIT, domains=of_domain),
        Auxiliary(related=replace(SPLIT, targets=SPLIT.targets[::-1]), domains=of_domain),
        Auxiliary(related=SPLIT, domains=of_domain + 1),
    ]
    hashes = [fingerprint(replace(plain, auxiliary=auxiliary)) for auxiliary in variants]
    assert len({fingerprint(plain), *hashes}) == 6
    renamed = Auxiliary(unlabelled=replace(SPLIT, paths=tuple("efgh")))
    assert fingerprint(replace(plain, auxiliary=renamed)) == hashes[0]
