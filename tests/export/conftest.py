"""One small predictor and one export a format, shared by all tests of this folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from transfercli.export.exporter import ExportRequest, Reference, export_formats
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import ExportSpec
from transfercli.reporting import Reporter

LABELS = (*(f"digit {number}" for number in range(9)), "naïve\nnine")


@pytest.fixture(scope="session")
def predictor():
    """Untrained, with the layers and operations of the real ones: uint8 [N, 32, 32, 3] -> float32 [N, 10]."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    # Large weights: an untrained softmax would otherwise say 0.1 to everything, and hide what goes wrong.
    logits = keras.layers.Dense(10, kernel_initializer=keras.initializers.RandomNormal(stddev=8.0, seed=1))(x)
    return keras.Model(image, keras.layers.Softmax()(logits), name="predictor")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Real digits at 32x32 as arrays, PNG files and targets."""
    from sklearn.datasets import load_digits

    data = load_digits()
    folder = tmp_path_factory.mktemp("digits")
    images, files = [], []
    for number in range(40):
        grey = Image.fromarray((data.images[number] * 15.9).astype(np.uint8))
        rgb = grey.resize((32, 32), Image.Resampling.BILINEAR).convert("RGB")
        files.append(folder / f"{number:03}.png")
        rgb.save(files[-1])
        images.append(np.asarray(rgb))
    return SimpleNamespace(images=np.stack(images), files=tuple(files), targets=data.target[:40])


@pytest.fixture(scope="session")
def spec():
    origin = {"run": "digits/one", "data_fingerprint": "0f", "weights_licence": "none"}
    return ExportSpec(LABELS, (32, 32), "stretch", 1.5, 0.75, origin)


@pytest.fixture(scope="session")
def reference(predictor, digits):
    probabilities = np.asarray(predictor(digits.images, training=False))
    return Reference(digits.images, digits.files, probabilities, digits.targets)


@pytest.fixture(scope="session")
def exported(predictor, spec, reference, tmp_path_factory):
    """All formats, written and verified: `out` is the exports folder, `results` the contract's artefacts by format."""
    out: Path = tmp_path_factory.mktemp("run") / "exports"
    request = ExportRequest(tuple(FORMATS), out, max_drop=0.0)
    results = export_formats(predictor, spec, reference, request, {"created": "today"}, Reporter())
    return SimpleNamespace(out=out, results={result["format"]: result for result in results})
