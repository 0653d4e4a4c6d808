from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfercli.config.schema import ComputeConfig
from transfercli.data.dataset import Dataset
from transfercli.data.image import Geometry
from transfercli.data.ingest import Reading
from transfercli.data.load import load_recorded_split
from transfercli.data.sources.keras_datasets import DATASETS, load
from transfercli.errors import DataError

Load = Callable[..., Dataset]


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Real digits at the place of MNIST."""
    import keras
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.kron(np.rint(data.images * 255 / 16), np.ones((2, 2))).astype(np.uint8)
    sides = (images[:300], data.target[:300]), (images[300:400], data.target[300:400])
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: sides)
    return sides


def test_a_keras_set_brings_its_own_test_images_and_is_named_by_number(
    small_mnist: Any, tmp_path: Path, load: Load
) -> None:
    found = load(tmp_path, "keras:mnist")
    assert found.labels == tuple("0123456789")
    assert len(found.splits["test"]) == 100
    assert len(found.splits["train"]) + len(found.splits["validation"]) == 300
    assert found.splits["test"].paths[:2] == ("test/00000", "test/00001")
    assert [found.labels[n] for n in found.splits["test"].targets] == [str(n) for n in small_mnist[1][1]]
    image = Image.fromarray(small_mnist[1][0][7])
    assert np.array_equal(
        found.splits["test"].images.read(np.array([7]))[0], np.stack([np.asarray(image)] * 3, axis=-1)
    )
    assert (found.cache.hits, found.cache.misses) == (0, 400)
    assert load(tmp_path, "keras:mnist").cache.hits == 400


def test_the_split_of_a_run_on_a_keras_set_is_found_again(
    small_mnist: Any, tmp_path: Path, load: Load, reporter: Any
) -> None:
    found = load(tmp_path, "keras:mnist", size=20)
    reading = Reading(Geometry(20, 20), 0.01, ComputeConfig(cache="off"), reporter)
    for side in ("validation", "test"):
        again = load_recorded_split(found.records, found.root, side, found.labels, reading)
        rows = np.arange(len(again))
        assert again.paths == found.splits[side].paths
        assert np.array_equal(again.images.read(rows), found.splits[side].images.read(rows))
    assert reporter.warnings == []


def test_an_unknown_set_names_those_there_are() -> None:
    with pytest.raises(DataError, match="keras:cifar10, keras:cifar100, keras:mnist, keras:fashion_mnist"):
        load("keras:imagenet")


@pytest.mark.parametrize("name", DATASETS)
def test_a_set_that_cannot_be_had_says_which_file_goes_where(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    def offline() -> None:
        print("Downloading data")  # noqa: T201
        raise OSError("URL fetch failure")

    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", offline)
    with pytest.raises(DataError) as caught:
        load(f"keras:{name}")
    assert all(file in caught.value.message for file in DATASETS[name].files)
    assert DATASETS[name].origin in (caught.value.hint or "")
    assert capsys.readouterr().out == ""


def test_the_class_names_are_as_many_as_the_numbers() -> None:
    assert {name: len(row.labels) for name, row in DATASETS.items()} == {
        "cifar10": 10,
        "cifar100": 100,
        "mnist": 10,
        "fashion_mnist": 10,
    }
