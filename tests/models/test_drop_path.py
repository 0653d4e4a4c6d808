"""Drop-path: it follows from seed and epoch, works in blocks that train, and is nowhere else."""

from __future__ import annotations

import inspect
from importlib import import_module

import numpy as np
import pytest

from tests.training.trainers import same, tensors, trainer
from transfercli.config.schema import HeadConfig
from transfercli.errors import ConfigError
from transfercli.models import bases
from transfercli.models.architecture import Architecture
from transfercli.models.base import Base
from transfercli.models.bases import BASES
from transfercli.models.networks.transformer import Transformer
from transfercli.training.phases import Lora, Phase

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype("uint8")


@pytest.fixture(autouse=True)
def tiny_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"name": "tiny_vit", "architecture": Transformer(patch=8, width=16, depth=3, heads=2)}
    builder = "transfercli.models.networks.vision_transformer:vision_transformer"
    row = Base(builder, 32, "symmetric", r"^(block\d+)", 0, "ViT", settings=settings, prefix_tokens=1, patch=8)
    monkeypatch.setitem(bases.BASES, "tiny_vit", row)


def classifier(drop_path: float, base: str = "tiny_vit"):
    import keras

    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(0)
    return build_classifier(Architecture(base, (32, 32), 3, HeadConfig(pooling="avg"), ("a", "b"), drop_path=drop_path))


def test_names_weights_outputs_and_exports_are_those_without_it() -> None:
    from transfercli.models.inference_model import build_inference_model
    from transfercli.models.tensor_names import assign_tensors, read_tensors

    dropping, plain = classifier(0.5), classifier(0.0)
    assign_tensors(plain, read_tensors(dropping))
    assert np.array_equal(dropping.model.predict_on_batch(IMAGES), plain.model.predict_on_batch(IMAGES))
    exported = [build_inference_model(one) for one in (dropping, plain)]
    assert [layer.name for layer in exported[0].layers] == [layer.name for layer in exported[1].layers]
    assert np.array_equal(*(model.predict_on_batch(IMAGES) for model in exported))


def test_training_skips_blocks_that_train_and_no_frozen_one() -> None:
    from transfercli.models.trainable.freezing import freeze_below
    from transfercli.models.trainable.lora import adapt

    dropping = classifier(0.9)
    still = np.asarray(dropping.model(IMAGES, training=False))
    for unfreeze, differs in (("none", False), ("block3", True)):
        freeze_below(dropping, unfreeze)
        assert (np.abs(np.asarray(dropping.model(IMAGES, training=True)) - still).max() > 1e-4) == differs
    adapt(dropping, ["block3_query"], 2, None, 0)
    assert np.abs(np.asarray(dropping.model(IMAGES, training=True)) - still).max() > 1e-4
    drops = {layer.name: layer.trainable for layer in dropping.base.layers if "_drop" in layer.name}
    assert drops == {"block2_drop1": False, "block2_drop2": False, "block3_drop1": True, "block3_drop2": True}


@pytest.mark.parametrize("lora", [None, Lora(2)])
@pytest.mark.slow
def test_a_training_is_repeated_and_resumed_to_the_same_bits(digits, lora: Lora | None) -> None:
    phases, kept = [Phase("all", 3, 1e-3, lora=lora)], {}

    def job(keep=None, drop_path: float = 0.5):
        return trainer(digits, phases, "tiny_vit", keep, drop_path=drop_path)

    whole, again, resumed, plain = (
        job(lambda progress, one, _: kept.update({progress.epoch: one})),
        job(),
        job(),
        job(None, 0),
    )
    for one in (whole, again, plain):
        one.run()
    resumed.resume(kept[1], kept[1])
    resumed.run()
    assert same(tensors(whole), tensors(again))
    assert same(tensors(whole), tensors(resumed))
    assert not same(tensors(whole), tensors(plain))


def test_a_base_without_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.drop_path: small_cnn has no drop-path, received 0.1") as caught:
        classifier(0.1, "small_cnn")
    assert "vision transformer" in str(caught.value.hint)


def test_rows_with_drop_path_are_those_whose_builder_has_the_argument() -> None:
    for name, row in BASES.items():
        module, function = row.builder.split(":")
        if module.startswith("transfercli."):
            parameters = inspect.signature(getattr(import_module(module), function)).parameters
            assert ("drop_path" in parameters) is row.has_drop_path, name
