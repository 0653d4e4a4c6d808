"""The structure of a network and of its images, as a resolved config gives them."""

from __future__ import annotations

from transfercli.config.schema import ExperimentConfig, ModelConfig, RunWeights
from transfercli.data.image import Geometry
from transfercli.errors import ArtefactError
from transfercli.models.architecture import Architecture


def architecture(config: ExperimentConfig, labels: tuple[str, ...]) -> Architecture:
    from transfercli.models.architecture import Architecture

    return Architecture(
        base=str(config.model.base),
        image_size=image_size(config),
        channels=config.data.channels,
        head=config.model.head,
        labels=labels,
        batchnorm_trains=batchnorm_trains(config.model),
    )


def batchnorm_trains(model: ModelConfig) -> bool:
    """BatchNorm learns its statistics where layers of the base start fresh on purpose, and stays still elsewhere."""
    return model.weights == "none" or (isinstance(model.weights, RunWeights) and model.weights.until is not None)


def image_size(config: ExperimentConfig) -> tuple[int, int]:
    """Return (height, width) in pixels of a resolved config."""
    size = config.data.image_size
    if size is None:
        raise ArtefactError("data.image_size is not resolved")
    return (size, size) if isinstance(size, int) else size


def geometry_of(config: ExperimentConfig) -> Geometry:
    """Return the size of the images of a resolved config, and how they are resized."""
    return Geometry(*image_size(config), config.data.resize)
