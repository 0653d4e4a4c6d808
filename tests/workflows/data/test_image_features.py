"""Features of images by the frozen base of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from tests.workflows.data.changes import passes_counted
from transfercli.data.load import load_folder_split
from transfercli.runs.folder import RunFolder
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.stored_run import StoredRun


@pytest.mark.parametrize("pooling", ["avg", "flatten"])
def test_what_the_cache_holds_is_what_the_whole_model_and_the_averaged_map_are(
    world: Any, source: Any, monkeypatch: pytest.MonkeyPatch, pooling: str
) -> None:
    import keras

    head = {"pooling": pooling, "init": "new"}
    training = {"epochs": 1}
    weights = {"run": str(Path(source[1]["run"]).resolve())}
    config = world.config(
        "nets", "digits-target", model={"weights": weights, "head": head}, training=training, compute={"cache": "off"}
    )
    trained = StoredRun(RunFolder(Path(world.train("finetune", config)["run"])))
    reading = trained.reading
    split = load_folder_split(world.samples / "digits-target" / "test", "test", trained.labels, reading)
    asked = passes_counted(monkeypatch)
    extractor = ImageFeatures(trained)
    found = extractor.outputs(split)
    assert (extractor.cache_counts(), sum(asked)) == ({"hits": 0, "misses": 0}, len(split))  # the cache is off
    np.testing.assert_allclose(found.probabilities, trained.probabilities(split), atol=1e-6)
    classifier = trained.classifier
    inner = keras.Model(classifier.base.input, classifier.base.output)
    mapped = inner.predict_on_batch(split.images.read(np.arange(len(split))).astype("float32") * scale_of(classifier))
    np.testing.assert_allclose(found.features, mapped.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)


def scale_of(classifier: Any) -> float:
    """What the preprocessing of small_cnn multiplies pixels by."""
    return float(classifier.model.get_layer("preprocess").scale)


def test_a_cache_that_cannot_be_used_is_told_and_features_stay_in_memory(source: Any, recent: Path) -> None:
    run, reporter = RunFolder(Path(source[1]["run"])), Listener()
    extractor = ImageFeatures(StoredRun(run, reporter))
    assert extractor.cache is not None
    extractor.cache.root = recent / "no folder" / "x"
    (recent / "no folder").write_bytes(b"")
    split = load_folder_split(
        source[0].samples / "digits-source" / "test", "test", extractor.run.labels, extractor.run.reading
    )
    assert extractor.features(split).shape[0] == len(split)
    assert extractor.cache_counts() == {"hits": 0, "misses": 0}
    assert any("cannot be used" in text for text in reporter.warnings)
