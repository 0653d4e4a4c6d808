"""The data sets that come with Keras, by name: `keras:cifar10` and its like.

They load from Keras's own cache where they are there, and through its verified download where there is a network.
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
class KerasSet:
    """Class names in the order of the data set's own numbers, and the files that Keras looks for in its cache."""

    labels: tuple[str, ...]
    files: tuple[str, ...]
    origin: str


_GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"

SETS: dict[str, KerasSet] = {
    "cifar10": KerasSet(
        tuple(_CIFAR10.split()),
        ("cifar-10-batches-py-target_archive",),
        _TORONTO + "cifar-10-python.tar.gz",
    ),
    "cifar100": KerasSet(
        tuple(_CIFAR100.split()), ("cifar-100-python-target_archive",), _TORONTO + "cifar-100-python.tar.gz"
    ),
    "mnist": KerasSet(_DIGITS, ("mnist.npz",), _GOOGLE + "mnist.npz"),
    "fashion_mnist": KerasSet(
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
    """One side of a set: uint8 [N, H, W] or [N, H, W, 3]; the class and the name (`train/00017`) of each row."""

    side: str
    images: np.ndarray
    labels: list[str]
    names: list[str]


def is_keras(source: str) -> bool:
    return source.startswith(PREFIX)


def row_of(source: str) -> tuple[str, KerasSet]:
    """The name behind `keras:` and its row; raises DataError, with the nearest name, where there is no such set."""
    name = source.removeprefix(PREFIX)
    if name not in SETS:
        raise DataError(
            f"{source!r} is not a known data set: allowed are {', '.join(PREFIX + row for row in SETS)}",
            did_you_mean(name, tuple(SETS), written=lambda near: PREFIX + near) or None,
        )
    return name, SETS[name]


def load(source: str) -> list[Arrays]:
    """The train and test side of `keras:NAME`; raises DataError for an unknown name and where it cannot be had."""
    name, row = row_of(source)
    sides = _load(name, row)
    return [
        Arrays(
            side,
            images,
            [row.labels[int(number)] for number in np.ravel(numbers)],
            [f"{side}/{index:05d}" for index in range(len(images))],
        )
        for side, (images, numbers) in zip(("train", "test"), sides, strict=True)
    ]


def _load(name: str, row: KerasSet) -> Any:
    import keras

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras draws its download on stdout, which is the result's
            return getattr(keras.datasets, name).load_data()
    except Exception as error:  # urllib, tarfile, zipfile and Keras all have their own
        raise DataError(
            f"keras:{name} cannot be had: {str(error).splitlines()[0] if str(error) else type(error).__name__}; "
            f"looked for {' and '.join(row.files)} in Keras's data folder (~/.keras/datasets, or KERAS_HOME/datasets)",
            f"download {row.origin} on a machine with a network and put it there under that name",
        ) from error
