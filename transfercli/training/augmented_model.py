"""Model whose training step augments its images before the network sees them; with JAX only."""

from __future__ import annotations

from typing import Any

import keras

from transfercli.data.batching.step_augmentation import StepAugmentation


class AugmentedModel(keras.Model):
    """A network with augmentation in its training step; all else is the network's, with the same variables.

    `fit` and `train_on_batch` take x as (images, keys), see `Batches`; `predict_on_batch` takes images alone.
    """

    def __init__(self, network: keras.Model, augmentation: StepAugmentation) -> None:
        super().__init__(name=network.name)
        self.network, self._augmentation = network, augmentation
        self.built = True

    @property
    def output(self) -> Any:
        """Symbolic output of the network."""
        return self.network.output

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the network's output for images, or for the images in (images, keys), not augmented."""
        images = inputs[0] if isinstance(inputs, tuple | list) else inputs
        return self.network(images, training=training)

    def train_step(self, state: Any, data: Any) -> Any:
        """Return the logs and the state after a step on an augmented batch."""
        (images, keys), targets, weights = data
        return super().train_step(state, self._augmentation(images, keys, targets, weights))
