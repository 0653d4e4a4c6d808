"""Low-rank adaptation beside the other strategies: accuracy, parameters that train, and processor seconds.

    python -m benchmarks.lora

Accuracy: a small vision transformer (patches of 4, width 64, 4 blocks) is trained on scikit-learn's digits 0-4 and then
transferred to digits 5-9, of which 99 are training images; means of three seeds. Time: one epoch of 32 images of 98
pixels on a network of DINOv2-S's shape with random weights, features of frozen layers cached; the weights are random,
so no accuracy is meant. Prints Markdown tables.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.workbench import prepare_backend
from transfercli.config.schema import AugmentationConfig, ExperimentConfig, HeadConfig
from transfercli.models import bases
from transfercli.models.base import Base
from transfercli.models.networks.transformer import Transformer
from transfercli.reporting import Reporter
from transfercli.training.progress import Plan
from transfercli.transfer.strategies import phases_of

SEEDS = 3
EVERY_LAYER = ["query", "key", "value", "projection", "hidden", "output"]
STRATEGIES: dict[str, dict[str, Any]] = {
    "linear_probe": {"strategy": "linear_probe"},
    "lora, rank 4": {"strategy": "lora", "lora": {"rank": 4}},
    "lora, rank 4, a tenth of the rate": {"strategy": "lora", "lora": {"rank": 4}, "rate": 0.1},
    "lora, rank 4, all layers": {
        "strategy": "lora",
        "lora": {"rank": 4, "layers": ["query", "key", "value", "projection", "hidden", "output"]},
    },
    "partial (last block)": {"strategy": "partial"},
    "full": {"strategy": "full"},
}
SMALL = Transformer(patch=4, width=64, depth=4, heads=4)
DINOV2_S = Transformer(patch=14, width=384, depth=12, heads=6)


def add_base(name: str, architecture: Transformer, size: int) -> str:
    """Add a vision transformer to the table of bases and return its name."""
    builder = "transfercli.models.networks.vision_transformer:vision_transformer"
    settings = {"name": name, "architecture": architecture}
    bases.BASES[name] = Base(builder, size, "symmetric", r"^(block\d+)", 0, "ViT", settings=settings, prefix_tokens=1)
    return name


def digits(labels: range, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [N, side, side, 3] and targets int32 [N] of some digits, in a fixed random order."""
    data = load_digits()
    rows = np.random.default_rng(0).permutation(np.flatnonzero(np.isin(data.target, labels)))
    pixels = (data.images[rows] * 15.9375).astype("uint8").repeat(side // 8, 1).repeat(side // 8, 2)
    return np.stack([pixels] * 3, axis=-1), (data.target[rows] - labels.start).astype("int32")


def build(base: str, side: int) -> Any:
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    return build_classifier(Architecture(base, (side, side), 3, HeadConfig(pooling="token"), tuple("abcde")))


def train(classifier: Any, images: np.ndarray, targets: np.ndarray, config: ExperimentConfig, cache: Path) -> Any:
    """Train on all images but the last quarter, which validates; return the trainer."""
    from transfercli.data.batching.batches import Batches
    from transfercli.data.dataset import Split
    from transfercli.rows import ArrayRows
    from transfercli.training.trainer import Trainer
    from transfercli.transfer.features.features import FeatureCache
    from transfercli.transfer.phase_builder import PhaseBuilder
    from transfercli.transfer.training_inputs import TrainingInputs

    count = len(images) * 3 // 4
    names = tuple(f"{number:064x}" for number in range(len(images)))
    parts = (slice(0, count), slice(count, None))
    splits = [Split("", names[p], targets[p], tuple("abcde"), ArrayRows(images[p]), names[p]) for p in parts]
    make = lambda source, augment: Batches(source, targets[:count], 32, seed=config.seed, augment=augment)  # noqa: E731
    inputs = TrainingInputs(*splits, make, AugmentationConfig(), None, None, config.seed)
    builder = PhaseBuilder(classifier, inputs, FeatureCache(cache, 10**9, "stretch", Reporter()), Reporter())
    plan = Plan(tuple(phases_of(config, tuple(classifier.stages))), config.training, config.seed)
    trainer = Trainer(classifier, builder, targets[count:], plan, Reporter(), lambda *_: None)
    trainer.run()
    trainer.assign_best()
    return trainer


def config_of(transfer: dict[str, Any], epochs: int, seed: int, rate: float = 1e-3) -> ExperimentConfig:
    transfer = dict(transfer)
    training = {"epochs": epochs, "optimizer": {"learning_rate": rate * transfer.pop("rate", 1.0)}}
    weights = "none" if transfer["strategy"] == "scratch" else {"run": "earlier"}
    model = {"base": "small_cnn", "weights": weights}
    return ExperimentConfig.model_validate(
        {"name": "b", "seed": seed, "data": {"train": "."}, "model": model, "transfer": transfer, "training": training}
    )


def trained_parameters(trainer: Any) -> int:
    return sum(int(np.prod(v.shape)) for v in trainer.setup.model.trainable_variables)


def accuracy_table(cache: Path) -> None:
    import keras

    from transfercli.models.tensor_names import assign_tensors, read_tensors

    base = add_base("small_vit", SMALL, 32)
    images, targets = digits(range(5), 32)
    source = build(base, 32)
    keras.utils.set_random_seed(0)
    train(source, images, targets, config_of({"strategy": "scratch"}, 20, 0), cache)
    weights = {name: value for name, value in read_tensors(source).items() if name.startswith("base/")}
    images, targets = digits(range(5, 10), 32)
    print(
        "| strategy | parameters that train | accuracy of 3 seeds, mean | processor seconds |\n"
        "| --- | ---: | ---: | ---: |"
    )
    for name, transfer in STRATEGIES.items():
        correct, seconds = [], []
        for seed in range(SEEDS):
            keras.utils.set_random_seed(seed)
            target = build(base, 32)
            assign_tensors(target, read_tensors(target) | weights)
            started = time.process_time()
            trainer = train(target, images[:133], targets[:133], config_of(transfer, 20, seed), cache)
            seconds.append(time.process_time() - started)
            predicted = np.asarray(target.model.predict(images[133:], verbose=0)).argmax(1)
            correct.append(float(np.mean(predicted == targets[133:])))
        print(
            f"| {name} | {trained_parameters(trainer):,} | {np.mean(correct):.3f} | {np.mean(seconds):.1f} |",
            flush=True,
        )


def time_table(cache: Path) -> None:
    import keras

    base = add_base("dinov2_s", DINOV2_S, 98)
    images, targets = digits(range(5), 96)
    images = np.pad(images[:43], ((0, 0), (1, 1), (1, 1), (0, 0)))
    print("\n| DINOv2-S, strategy | parameters that train | processor seconds of 1 epoch |\n| --- | ---: | ---: |")
    upper = {"lora, rank 8, block10 and above": {"strategy": "lora", "unfreeze": "block10"}}
    rows = {
        "lora, rank 8": {"strategy": "lora"},
        **upper,
        **{k: STRATEGIES[k] for k in ("partial (last block)", "full")},
    }
    for name, transfer in rows.items():
        keras.utils.set_random_seed(0)
        classifier = build(base, 98)
        config = config_of(transfer, 3, 0, rate=1e-4)
        started = time.process_time()
        trainer = train(classifier, images, targets[:43], config, cache)
        first = time.process_time() - started
        trainer.progress.phase = 2
        trainer.begin_phase()
        trainer._fit(1)  # compiles
        started = time.process_time()
        trainer._fit(2)
        once = time.process_time() - started
        print(f"| {name} | {trained_parameters(trainer):,} | {once:.1f} (whole run {first:.0f}) |", flush=True)


def main() -> None:
    prepare_backend()
    with TemporaryDirectory() as folder:
        accuracy_table(Path(folder))
        time_table(Path(folder))


if __name__ == "__main__":
    main()
