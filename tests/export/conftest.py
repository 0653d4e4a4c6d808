"""One small predictor and one export a format, shared by all tests of this folder."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.digits import Digits
from tests.export.any_network import ANY_NETWORK
from transfercli.export.exporter import ExportRequest, Reference, export_formats
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
def examples(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The first 40 digits at 32x32 as images (uint8 [40, 32, 32, 3]), PNG files and targets."""
    folder = tmp_path_factory.mktemp("digits")
    files = tuple(folder / f"{row:03}.png" for row in range(40))
    for row, file in enumerate(files):
        file.write_bytes(digits.png(row, mode="RGB"))
    return SimpleNamespace(images=digits.rgb(range(40), 32), files=files, targets=digits.labels[:40])


@pytest.fixture(scope="session")
def spec():
    origin = {"run": "digits/one", "data_fingerprint": "0f", "weights_licence": "none"}
    return ExportSpec(LABELS, (32, 32), "stretch", 1.5, 0.75, origin)


@pytest.fixture(scope="session")
def reference(predictor, examples):
    probabilities = np.asarray(predictor(examples.images, training=False))
    return Reference(examples.images, examples.files, probabilities, examples.targets)


@pytest.fixture(scope="session")
def exported(predictor, spec, reference, tmp_path_factory):
    """All formats, written and verified: `out` is the exports folder, `results` the contract's artefacts by format.

    The processes of pytest-xdist share one export, which the first of them writes.
    """
    shared: Path = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    out, results = shared / "exported" / "exports", shared / "exported" / "results.json"
    with (shared / "exported.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not results.exists():
            request = ExportRequest(ANY_NETWORK, out, max_drop=0.0)
            written = export_formats(predictor, spec, reference, request, {"created": "today"}, Reporter())
            results.write_text(json.dumps({result["format"]: result for result in written}))
    return SimpleNamespace(out=out, results=json.loads(results.read_text()))
