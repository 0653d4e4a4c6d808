from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def digits():
    """160 real digits 0-4 as uint8 [160, 32, 32, 3] and targets."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    chosen = np.flatnonzero(data.target < 5)[:160]
    pixels = [Image.fromarray((data.images[i] * 255 / 16).astype("uint8")).resize((32, 32)) for i in chosen]
    return np.stack([np.asarray(image.convert("RGB")) for image in pixels]), data.target[chosen].astype("int32")
