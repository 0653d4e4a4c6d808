"""Row of the table of bases: a network without its classification top, its pixels and its stages.

Importing this module is cheap: a row names its builder, and Keras is imported when the builder is called.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.models.published_weights import PublishedRepository, PublishedWeights

if TYPE_CHECKING:
    import keras

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Base:
    """Row of the table: a network without its classification top.

    builder: `module:function`, called with `weights`, `include_top=False`, `input_shape` (height, width, channels) and
    with `settings`, its own arguments.
    size: height and width, in pixels, of the images of the published network; minimum: the smallest that work.
    preprocessing: a row of `models/preprocessing.py`.
    stages: a regular expression; its first group, matched in a layer's name, is the name of that layer's stage.
    ends_stage: a matching layer is the last of its stage (an Inception module's concatenation), not the first.
    parameters: number of weights for colour images; family: name of the group of networks.
    published: the ImageNet weights that Keras downloads; licence: the licence of these weights.
    any_size_imagenet: Keras loads them at every image size, not only at `size`.
    variance_factor: factor of each channel's variance of the base's Normalization layer in these weights
    (`models/normalization.py`); empty if they are right as they are.
    crop: part of the shorter side, in the centre, that the published network is given at `size`, or None if its source
    does not say; interpolation: of the resizing before it.
    prefix_tokens: number of tokens before those of the patches if the output is tokens [N, T, d]; None if it is a map.
    patch: side of a patch in pixels, of a network with tokens. pooling: of the published network.
    repository: the ImageNet weights on the Hugging Face Hub, of a base that Keras publishes none for.
    """

    builder: str
    size: int
    preprocessing: str
    stages: str
    parameters: int
    family: str
    minimum: int = 32
    ends_stage: bool = False
    published: PublishedWeights | None = None
    any_size_imagenet: bool = True
    variance_factor: tuple[float, ...] = ()
    source: str = "keras.applications"
    licence: str = "ImageNet weights of keras.applications (Apache-2.0)"
    settings: Mapping[str, Any] = field(default_factory=dict)
    crop: float | None = None
    interpolation: str = "bilinear"
    prefix_tokens: int | None = None
    patch: int | None = None
    pooling: str = "avg"
    repository: PublishedRepository | None = None

    @property
    def has_imagenet(self) -> bool:
        """True if ImageNet weights are published, by Keras or in a repository of the Hugging Face Hub."""
        return self.published is not None or self.repository is not None

    @property
    def weights_licence(self) -> str | None:
        """Licence of the published weights; None without published weights."""
        if self.published or not self.repository:
            return self.licence if self.published else None
        return f"weights of {self.repository.repository} ({self.repository.licence})"

    def stored_weights(self, image_size: tuple[int, int]) -> Path | None:
        """Return the file of the published weights on this machine; None if it is not here or there are none."""
        if self.published:
            return self.published.path_for(image_size)
        return self.repository.path() if self.repository else None

    @property
    def licence_id(self) -> str:
        """The licence's identifier on the Hugging Face Hub, such as `cc-by-4.0`: the name in brackets at its end."""
        return self.licence.rpartition("(")[2].rstrip(")").lower().replace(" ", "-")

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
        """Return (rows, columns) of patches of an image; None for a network without patches."""
        return (image_size[0] // self.patch, image_size[1] // self.patch) if self.patch else None

    def unused_pixels(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return (rows, columns) of pixels at the lower and right edge that are in no patch, so in no token."""
        return (image_size[0] % self.patch, image_size[1] % self.patch) if self.patch else (0, 0)

    @property
    def has_drop_path(self) -> bool:
        """True if the builder has the argument `drop_path`: every network of tokens has."""
        return self.prefix_tokens is not None

    def build(self, shape: Shape, weights: str | None = None, drop_path: float = 0.0) -> keras.Model:
        """Build the network for images of `shape` (height, width, channels), with random or ImageNet weights.

        drop_path: probability that training skips its last block; 0 unless it `has_drop_path`.
        """
        module, function = self.builder.split(":")
        builder: Any = getattr(import_module(module), function)
        with warnings.catch_warnings():
            # The MobileNets warn of every image size that their weights were not trained on; any size is allowed here.
            warnings.filterwarnings("ignore", "`input_shape` is undefined")
            settings = {**self.settings, "drop_path": drop_path} if drop_path else self.settings
            return builder(weights=weights, include_top=False, input_shape=shape, **settings)


def stages_of(base: Base, layers: list[str]) -> dict[str, list[str]]:
    """Group a base's layers, given from the input to the top, into its stages: stage name -> layer names.

    Layers before the first stage belong to it; a layer without a match belongs to the stage around or before it. So
    every layer is in exactly one stage, and each stage is contiguous.
    """
    stages: dict[str, list[str]] = {}
    pending: list[str] = []
    for name in layers:
        pending.append(name)
        match = re.search(base.stages, name)
        if not match or match.group(1) in stages:
            continue
        if not base.ends_stage and stages:
            stages[next(reversed(stages))].extend(pending[:-1])
            pending = pending[-1:]
        stages[match.group(1)] = pending
        pending = []
    if stages:
        stages[next(reversed(stages))].extend(pending)
    return stages
