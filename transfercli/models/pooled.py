"""What a classifier's base sees in an image, as one vector."""

from __future__ import annotations

import keras
from keras import layers

from transfercli.models.bases import BASES
from transfercli.models.classifier import Classifier
from transfercli.models.preprocessing import preprocess


def pooled_features(classifier: Classifier) -> keras.Model:
    """Pixels [N, H, W, 3], 0 to 255 -> float32 [N, d]: the base's last feature map, averaged over its places."""
    channels = classifier.base.input.shape[-1]
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    pixels = preprocess(image, BASES[classifier.name].preprocessing, channels)
    return keras.Model(image, layers.GlobalAveragePooling2D(dtype="float32")(classifier.base(pixels)), name="pooled")
