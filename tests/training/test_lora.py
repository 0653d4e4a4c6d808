"""LoRA in a training: what moves, what a checkpoint holds, and that going on ends with the same bits."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tests.training.trainers import same, tensors, trainer
from transfercli.config.schema import OptimizerConfig
from transfercli.errors import ArtefactError
from transfercli.models.base import Base
from transfercli.models.networks.transformer import Transformer
from transfercli.training.phases import Lora, Phase


@pytest.fixture(autouse=True)
def tiny_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.models import bases

    settings = {"name": "tiny_vit", "architecture": Transformer(patch=8, width=16, depth=2, heads=2)}
    builder = "transfercli.models.networks.vision_transformer:vision_transformer"
    row = Base(builder, 32, "symmetric", r"^(block\d+)", 0, "ViT", settings=settings, prefix_tokens=1, patch=8)
    monkeypatch.setitem(bases.BASES, "tiny_vit", row)


job = partial(trainer, base="tiny_vit", pooling="token")
cnn_job = partial(trainer, base="small_cnn")


def lora_phase(epochs: int = 2, unfreeze: str = "all", **settings) -> Phase:
    return Phase(unfreeze, epochs, 1e-2, lora=Lora(**({"rank": 2, "alpha": 4.0} | settings)))


def moved(trained, before) -> set[str]:
    return {name for name, value in tensors(trained).items() if not np.array_equal(value, before[name])}


@pytest.mark.parametrize(
    "unfreeze, layers, kernels",
    [
        ("all", None, {"block1_query", "block1_value", "block2_query", "block2_value"}),
        ("block2", ("key", "projection"), {"block2_key", "block2_projection"}),
    ],
)
def test_only_the_kernels_of_the_named_layers_and_the_head_move(digits, unfreeze, layers, kernels) -> None:
    from transfercli.training.frozen import constant_tensors

    told = []
    lora = job(digits, [lora_phase(1, unfreeze, layers=layers)])
    lora.reporter.info = told.append
    before = tensors(lora)
    lora.run()
    head = {"head/logits/bias", "head/logits/kernel"}
    assert moved(lora, before) == {f"base/{name}/kernel" for name in kernels} | head
    assert tensors(lora).keys() == before.keys()
    assert not moved(lora, before) & constant_tensors(lora.classifier, lora.plan)
    trained = sum(before[name].size for name in head) + len(kernels) * 2 * (16 + 16)
    assert f"LoRA of rank 2 in {len(kernels)} layers, 1 epoch, learning rate 0.01, {trained:,} of" in told[0]
    for name in kernels:
        change = tensors(lora)[f"base/{name}/kernel"] - before[f"base/{name}/kernel"]
        assert np.linalg.matrix_rank(change, tol=1e-4 * np.abs(change).max()) == 2


@pytest.mark.parametrize("job, optimizer", [(job, {"ema": 0.9}), (cnn_job, {})])
@pytest.mark.slow
def test_a_training_that_was_stopped_in_a_phase_of_lora_ends_with_the_same_bits(digits, job, optimizer) -> None:
    phases, kept = [Phase("none", 1, 1e-2), lora_phase(3)], {}
    common = {"optimizer": OptimizerConfig(**optimizer)}

    def keep(progress, checkpoint, is_best) -> None:
        kept[progress.epoch] = checkpoint

    whole = job(digits, phases, keep=keep, **common)
    whole.run()
    for epoch in (1, 2):  # the end of the phase before, and inside
        resumed = job(digits, phases, **common)
        resumed.resume(kept[epoch], kept[epoch])
        resumed.run()
        assert same(tensors(whole), tensors(resumed))


def test_a_checkpoint_is_that_of_a_plain_network_with_the_same_outputs(digits) -> None:
    from transfercli.models.tensor_names import assign_tensors

    kept = []
    adapted = job(digits, [lora_phase(2)], keep=lambda _, checkpoint, __: kept.append(checkpoint))
    adapted.run()
    images = adapted.setup.validation.read(np.arange(32))
    logits = np.asarray(adapted.classifier.model(images))
    features = np.asarray(adapted.classifier.base(images / np.float32(255)))
    plain = job(digits, [lora_phase(2)])
    assign_tensors(plain.classifier, kept[-1].model)
    assert not any("lora" in variable.name for variable in plain.classifier.model.weights)
    assert np.abs(np.asarray(plain.classifier.model(images)) - logits).max() < 1e-6
    assert np.abs(np.asarray(plain.classifier.base(images / np.float32(255))) - features).max() < 1e-6
    assign_tensors(adapted.classifier, kept[-1].model)  # also in the process that trained it
    assert np.abs(np.asarray(adapted.classifier.model(images)) - logits).max() < 1e-6
    assert same(tensors(adapted), kept[-1].model)


@pytest.mark.slow
def test_a_phase_after_lora_starts_from_the_merged_kernels_and_trains_them_alone(digits) -> None:
    kept = []
    two = job(digits, [lora_phase(1), Phase("block2", 1, 1e-3)], keep=lambda _, checkpoint, __: kept.append(checkpoint))
    two.run()
    changed = {name for name in kept[0].model if not np.array_equal(kept[0].model[name], kept[1].model[name])}
    assert not any(name.startswith("base/block1") for name in changed)
    assert {"base/block2_query/kernel", "base/block2_query/bias"} <= changed
    assert not any(variable.name.startswith("lora") for variable in two.setup.model.trainable_variables)


def test_a_state_of_other_layers_is_refused(digits) -> None:
    kept = []
    phases = [lora_phase(2)]
    cnn_job(digits, phases, keep=lambda _, checkpoint, __: kept.append(checkpoint)).run()
    names = [name for name in kept[0].state if name.startswith("raw/lora/")]
    assert len(names) == 9  # three kernels with two factors each
    state = {name: value for name, value in kept[0].state.items() if name != names[0]}
    resumed = cnn_job(digits, phases)
    with pytest.raises(ArtefactError, match="does not fit the adapted layers"):
        resumed.resume(type(kept[0])(kept[0].model, state, kept[0].progress), kept[0])
