"""Published ImageNet weights: their files in the caches of this machine, and the accuracy published with them.

No import of Keras: a missing file is found before that, and before any image is read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# Top-1 accuracies on ImageNet's 50,000 validation images, one central crop each, as their source gives them.
KERAS_IO = "keras.io/api/applications"
KERAS_MOBILENET_V3 = "documentation of keras.applications.mobilenet_v3"
TIMM_RESULTS = "results-imagenet.csv of huggingface/pytorch-image-models"
DEFAULT_SIZE = 224  # pixels


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """Weights of a base that Keras downloads.

    file: name of the file without the classification top; `{size}` stands for one of `sizes`.
    top1: accuracy on ImageNet, from `source`.
    sizes: image sizes, in pixels, that have a file of their own; others get that of `DEFAULT_SIZE`.
    """

    file: str
    top1: float
    source: str = KERAS_IO
    sizes: tuple[int, ...] = (DEFAULT_SIZE,)

    def file_for(self, image_size: tuple[int, int]) -> str:
        """Return the name of the file that Keras loads for images of this height and width."""
        height, width = image_size
        return self.file.format(size=height if height == width and height in self.sizes else DEFAULT_SIZE)

    def path_for(self, image_size: tuple[int, int]) -> Path | None:
        """Return the file in Keras's cache, or None if it is not there."""
        path = keras_home() / "models" / self.file_for(image_size)
        return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class PublishedRepository:
    """ImageNet weights of a base in a repository of the Hugging Face Hub, with PyTorch's names.

    repository: OWNER/NAME. top1: accuracy on ImageNet, from `source`; None if the weights have no classification head.
    licence: of the weights, as the repository's card has it.
    """

    repository: str
    top1: float | None
    source: str
    licence: str
    file: str = "model.safetensors"

    def path(self) -> Path | None:
        """Return the file in the cache of huggingface_hub, or None if it is not there; no network is asked."""
        return cached_file(self.repository, self.file)


def cached_file(repository: str, file: str, revision: str | None = None) -> Path | None:
    """Return a file of a repository in the cache of huggingface_hub, or None if it is not there; no network is asked.

    revision: commit, branch or tag; None: the branch main.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(repository, file, constants.HF_HUB_CACHE, revision)
    return Path(found) if isinstance(found, str) else None


def keras_home() -> Path:
    """Return the folder in which Keras looks for weights: KERAS_HOME or ~/.keras; one in /tmp if that is read-only."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    return Path("/tmp/.keras") if home.exists() and not os.access(home, os.W_OK) else home


_TF_FILE = "{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"


def _family(file: str, top1: dict[str, float], source: str = KERAS_IO) -> dict[str, PublishedWeights]:
    """Return rows of one family. file: with `{name}` for the key of a row."""
    return {name: PublishedWeights(file.replace("{name}", name), accuracy, source) for name, accuracy in top1.items()}


PUBLISHED_WEIGHTS: dict[str, PublishedWeights] = {
    **_family(_TF_FILE, {"vgg16": 0.713, "vgg19": 0.713}),
    **_family(_TF_FILE, {"resnet50": 0.749, "resnet101": 0.764, "resnet152": 0.766}),
    **_family(_TF_FILE, {"resnet50v2": 0.760, "resnet101v2": 0.772, "resnet152v2": 0.780}),
    **_family(_TF_FILE, {"densenet121": 0.750, "densenet169": 0.762, "densenet201": 0.773}),
    **_family(_TF_FILE, {"xception": 0.790}),
    "inceptionv3": PublishedWeights(_TF_FILE.replace("{name}", "inception_v3"), 0.779),
    "inceptionresnetv2": PublishedWeights(_TF_FILE.replace("{name}", "inception_resnet_v2"), 0.803),
    "mobilenet": PublishedWeights("mobilenet_1_0_{size}_tf_no_top.h5", 0.704, sizes=(128, 160, 192, 224)),
    "mobilenetv2": PublishedWeights(
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5", 0.713, sizes=(96, 128, 160, 192, 224)
    ),
    "mobilenetv3small": PublishedWeights(
        "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5", 0.681, KERAS_MOBILENET_V3
    ),
    "mobilenetv3large": PublishedWeights(
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5", 0.756, KERAS_MOBILENET_V3
    ),
    **_family(
        "{name}_notop.h5",
        {
            "efficientnetb0": 0.771,
            "efficientnetb1": 0.791,
            "efficientnetb2": 0.801,
            "efficientnetb3": 0.816,
            "efficientnetb4": 0.829,
            "efficientnetb5": 0.836,
            "efficientnetb6": 0.840,
            "efficientnetb7": 0.843,
        },
    ),
    "efficientnetv2b0": PublishedWeights("efficientnetv2-b0_notop.h5", 0.787),
    "efficientnetv2b1": PublishedWeights("efficientnetv2-b1_notop.h5", 0.798),
    "efficientnetv2b2": PublishedWeights("efficientnetv2-b2_notop.h5", 0.805),
    "efficientnetv2b3": PublishedWeights("efficientnetv2-b3_notop.h5", 0.820),
    "efficientnetv2s": PublishedWeights("efficientnetv2-s_notop.h5", 0.839),
    "efficientnetv2m": PublishedWeights("efficientnetv2-m_notop.h5", 0.853),
    "efficientnetv2l": PublishedWeights("efficientnetv2-l_notop.h5", 0.857),
    "nasnetmobile": PublishedWeights("nasnet_mobile_no_top.h5", 0.744),
    "nasnetlarge": PublishedWeights("nasnet_large_no_top.h5", 0.825),
    "convnexttiny": PublishedWeights("convnext_tiny_notop.h5", 0.813),
    "convnextsmall": PublishedWeights("convnext_small_notop.h5", 0.823),
    "convnextbase": PublishedWeights("convnext_base_notop.h5", 0.853),
    "convnextlarge": PublishedWeights("convnext_large_notop.h5", 0.863),
    "convnextxlarge": PublishedWeights("convnext_xlarge_notop.h5", 0.867),
}
