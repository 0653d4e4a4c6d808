"""Fine-tuning of small networks beside VGG16, each with real ImageNet weights, on Fashion-MNIST.

Usage: python benchmarks/fashion_small_networks.py DATA OUT.json --vgg16 FILE --lite0 FILE [--images 20 100] [--seeds 3]

DATA holds, for each number of images a class and each seed, `IMAGES/SEED/{train,test}/CLASS`; benchmarks/README.md has
the commands. A network is trained by a linear probe, then by a partial fine-tuning of its last stages, and every model
is evaluated on the same kind of test images. The time of an image is that of the whole float32 model in batches of 32.
Prints a Markdown table at the end and writes all results to OUT.json after each run; what is in the file already is
skipped. Runs the program's own workflows in one process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.train.job import TrainRequest
from transfercli.workflows.train.train import train

BATCH = 32
BATCHES = 3
EPOCHS = 15
# Base, image size in pixels, and the stage that a partial fine-tuning trains from.
NETWORKS = (("vgg16", 64, "block5"), ("efficientnet_lite0", 64, "block6"), ("efficientnet_lite0", 128, "block6"))


def settings(
    data: Path, cache: Path, base: str, size: int, weights: Path, stage: str | None, seed: int
) -> dict[str, Any]:
    """Return a config without a name. stage: of a partial fine-tuning; None for a linear probe."""
    strategy = {"strategy": "partial", "unfreeze": stage} if stage else {"strategy": "linear_probe"}
    return {
        "seed": seed,
        "data": {
            "train": str(data / "train"),
            "validation": 0.2,
            "test": str(data / "test"),
            "image_size": size,
            "batch_size": 16,
        },
        "model": {"base": base, "weights": {"path": str(weights)}},
        "transfer": strategy,
        "training": {"epochs": EPOCHS, "optimizer": {"name": "adam", "learning_rate": 1e-4}},
        "compute": {"cache_dir": str(cache)},
    }


def accuracy(work: Path, name: str, config: dict[str, Any]) -> dict[str, float]:
    """Fine-tune, evaluate on the test images, and return the accuracy and the seconds of the training."""
    file = work / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"name": name, **config}))
    result = train(TrainRequest("finetune", file, work / "runs", run_id="run-0"), Reporter()).as_json()
    evaluation = evaluate_run(EvaluateRequest(result["run"], work / "runs"), Reporter()).evaluation
    shutil.rmtree(result["run"])
    return {"accuracy": evaluation.metrics["accuracy"], "seconds": result["seconds"]["train"]}


def milliseconds(base: str, size: int) -> float:
    """Return the least time of one image over some batches, in milliseconds."""
    from transfercli.models.classifier import build_base

    model = build_base(base, (size, size), 3)
    images = np.zeros((BATCH, size, size, 3), "float32")
    model.predict_on_batch(images)
    times = []
    for _ in range(BATCHES):
        started = time.perf_counter()
        model.predict_on_batch(images)
        times.append(time.perf_counter() - started)
    return 1000 * min(times) / BATCH


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown: mean and standard deviation of the accuracy over the seeds."""
    lines = [
        "| base, pixels | images a class | strategy | accuracy | seeds | time an image, VGG16 = 1 |",
        "|---|---|---|---|---|---|",
    ]
    slowest = max(results["milliseconds"].values())
    rows: dict[tuple[str, str, str], list[float]] = {}
    for key, value in results["runs"].items():
        network, images, strategy, _ = key.split(", ")
        rows.setdefault((network, images, strategy), []).append(value["accuracy"])
    for (network, images, strategy), values in rows.items():
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        share = results["milliseconds"][network] / slowest
        lines.append(
            f"| {network} | {images} | {strategy} | {statistics.mean(values):.3f}{spread} | {len(values)}"
            f" | {share:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--vgg16", type=Path, required=True)
    parser.add_argument("--lite0", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="*", default=[20, 100], help="training images per class")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    weights = {"vgg16": args.vgg16.absolute(), "efficientnet_lite0": args.lite0.absolute()}
    results: dict[str, Any] = {"milliseconds": {}, "runs": {}}
    if args.out.exists():
        results = json.loads(args.out.read_text())
    from benchmarks.workbench import prepare_backend

    prepare_backend()
    for base, size, _ in NETWORKS:
        results["milliseconds"][f"{base} {size}"] = milliseconds(base, size)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for seed in range(args.seeds):
            for images in args.images:
                for base, size, stage in NETWORKS:
                    for strategy, unfreeze in (("linear probe", None), (f"partial from {stage}", stage)):
                        key = f"{base} {size}, {images}, {strategy}, {seed}"
                        if key in results["runs"]:
                            continue
                        data = args.data / str(images) / str(seed)
                        config = settings(data, work / "cache", base, size, weights[base], unfreeze, seed)
                        name = key.replace(",", "").replace(" ", "-").replace("_", "-")
                        results["runs"][key] = accuracy(work, name, config)
                        print(key, results["runs"][key], flush=True)
                        args.out.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
