"""Data sets of Keras by name, such as `keras:cifar10`.

They are loaded from Keras's cache, or else by its verified download.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.errors import DataError
from transfercli.text import did_you_mean

PREFIX = "keras:"

_DIGITS = tuple("0123456789")
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_FASHION = "tshirt trouser pullover dress coat sandal shirt sneaker bag ankle_boot"
_CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
    "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
    "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
    "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
    "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
    "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
    "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)


@dataclass(frozen=True, slots=True)
class KerasDataset:
    """Data set of Keras.

    Attributes:
        labels: class names by the data set's class numbers.
        files: names in Keras's cache.
        origin: URL of the download.
    """

    labels: tuple[str, ...]
    files: tuple[str, ...]
    origin: str


_GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"

DATASETS: dict[str, KerasDataset] = {
    "cifar10": KerasDataset(
        tuple(_CIFAR10.split()),
        ("cifar-10-batches-py-target_archive",),
        _TORONTO + "cifar-10-python.tar.gz",
    ),
    "cifar100": KerasDataset(
        tuple(_CIFAR100.split()), ("cifar-100-python-target_archive",), _TORONTO + "cifar-100-python.tar.gz"
    ),
    "mnist": KerasDataset(_DIGITS, ("mnist.npz",), _GOOGLE + "mnist.npz"),
    "fashion_mnist": KerasDataset(
        tuple(_FASHION.split()),
        tuple(
            f"fashion-mnist/{part}-ubyte.gz"
            for part in ("train-labels-idx1", "train-images-idx3", "t10k-labels-idx1", "t10k-images-idx3")
        ),
        _GOOGLE,
    ),
}


@dataclass(frozen=True, slots=True)
class Arrays:
    """Images of one split in memory.

    Attributes:
        images: uint8 [N, H, W] or [N, H, W, 3].
        labels: class name of each image.
        names: name of each image, such as `train/00017`.
    """

    split: str
    images: np.ndarray
    labels: list[str]
    names: list[str]

    def at(self, rows: slice) -> Arrays:
        """Return the images at `rows`."""
        return Arrays(self.split, self.images[rows], self.labels[rows], self.names[rows])


def is_keras(source: str) -> bool:
    """Return True for `keras:NAME`."""
    return source.startswith(PREFIX)


def dataset_of(source: str) -> tuple[str, KerasDataset]:
    """Return the name and the data set of `keras:NAME`. Raises `DataError`, with the nearest name, if it is unknown."""
    name = source.removeprefix(PREFIX)
    if name not in DATASETS:
        raise DataError(
            f"{source!r} is not a known data set: allowed are {', '.join(PREFIX + known for known in DATASETS)}",
            did_you_mean(name, tuple(DATASETS), written=lambda near: PREFIX + near) or None,
        )
    return name, DATASETS[name]


def load(source: str) -> list[Arrays]:
    """Load the train and test split of `keras:NAME`. Raises `DataError` if it is unknown or cannot be loaded."""
    name, dataset = dataset_of(source)
    return [
        Arrays(
            split,
            images,
            [dataset.labels[int(number)] for number in np.ravel(numbers)],
            [f"{split}/{index:05d}" for index in range(len(images))],
        )
        for split, (images, numbers) in zip(("train", "test"), _load(name, dataset), strict=True)
    ]


def _load(name: str, dataset: KerasDataset) -> Any:
    import keras

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras shows its download on stdout, which is for the result
            return getattr(keras.datasets, name).load_data()
    except Exception as error:  # urllib, tarfile, zipfile and Keras raise various types
        raise DataError(
            f"keras:{name} cannot be loaded: {str(error).splitlines()[0] if str(error) else type(error).__name__}; "
            f"looked for {' and '.join(dataset.files)} in Keras's data folder (~/.keras/datasets or "
            "KERAS_HOME/datasets)",
            f"download {dataset.origin} on a machine with network access and save it there under that name",
        ) from error
