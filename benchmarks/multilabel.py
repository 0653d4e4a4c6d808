"""Several labels an image: heads of the program beside a plain Keras script, on scenes of two or three digits.

Usage: python benchmarks/multilabel.py OUT.json WEIGHTS.h5 [--images 3000] [--side 64] [--epochs 5] [--seeds 3]
                                       [--methods linear_probe multilayer_probe auto full ...]
                                       [--caches off empty filled]

WEIGHTS.h5 are those of VGG16 without its top layers. The scenes are those of `transfercli sample digits-scenes`; test
scenes share no scan with the others. The Keras scripts train the same network for the same number of epochs and keep
the epoch of the least validation loss: `keras head` trains the head on the frozen base, `keras full` everything. The
program's trainings are done three times: without a cache, with an empty one, and with a filled one. Prints a Markdown
table of the mean average precision on the test scenes and of the seconds, means over the seeds; results are written to
OUT.json after each training, and those that are in the file already are skipped.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import average_precision_score
from workbench import finetune, prepare_backend

from transfercli.data.samples.writing import write_sample
from transfercli.reporting import Reporter
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

METHODS = ("linear_probe", "multilayer_probe", "auto", "full", "keras head", "keras full")
RATES = {"keras head": 1e-3, "keras full": 1e-4}  # of Adam; those of the program's heads and of its pretrained layers
BATCH = 32
CACHES = ("off", "empty", "filled")


def measure(work: Path, args: argparse.Namespace, method: str, seed: int) -> dict[str, Any]:
    """Return the mean average precision on the test scenes, and the seconds of each kind of cache, or of the script."""
    if method.startswith("keras"):
        return train_with_keras(work, args, method, seed)
    seconds = {}
    name = f"{method}-{seed}"
    for cache in args.caches:
        folder = {"cache": "off"} if cache == "off" else {"cache_dir": str(work / f"cache-{name}")}
        started = time.perf_counter()
        result = finetune(work, f"{name}-{cache}", config(work, args, method, seed, folder))
        seconds[cache] = time.perf_counter() - started
    evaluation = evaluate_run(EvaluateRequest(result["run"], work / "runs"), Reporter()).evaluation
    return {"map": evaluation.metrics["map"], "seconds": seconds}


def config(work: Path, args: argparse.Namespace, method: str, seed: int, compute: dict[str, str]) -> dict[str, Any]:
    """Return the config of a training of the program, without a name."""
    return {
        "seed": seed,
        "data": {
            "train": str(work / "scenes" / "labels.csv"),
            "columns": {"label": "labels"},
            "label_separator": ";",
            "image_size": args.side,
            "batch_size": BATCH,
        },
        "model": {"base": "vgg16", "weights": {"path": str(args.weights.absolute())}},
        "transfer": {"strategy": method},
        "training": {"epochs": args.epochs},
        "compute": compute,
    }


def read_scenes(work: Path, side: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images uint8 [N, side, side, 3] and targets [N, 10] of each split."""
    found: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    folder = work / "scenes"
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            image = Image.open(folder / row["path"]).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            images, targets = found.setdefault(row["split"], ([], []))
            images.append(np.asarray(image))
            targets.append(np.isin(np.arange(10), [int(digit) for digit in row["labels"].split(";")]))
    return {name: (np.stack(images), np.stack(targets).astype("float32")) for name, (images, targets) in found.items()}


def train_with_keras(work: Path, args: argparse.Namespace, method: str, seed: int) -> dict[str, Any]:
    """Train VGG16 as a tutorial would."""
    import keras

    keras.utils.set_random_seed(seed)
    started = time.perf_counter()
    splits = read_scenes(work, args.side)
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(args.side, args.side, 3))
    base.load_weights(args.weights)
    base.trainable = method == "keras full"
    image = keras.Input((args.side, args.side, 3))
    pixels = keras.applications.vgg16.preprocess_input(image)
    features = keras.layers.GlobalAveragePooling2D()(base(pixels, training=False))
    model = keras.Model(image, keras.layers.Dense(10, activation="sigmoid")(features))
    model.compile(keras.optimizers.Adam(RATES[method]), "binary_crossentropy")
    best = keras.callbacks.EarlyStopping(patience=args.epochs, restore_best_weights=True)
    model.fit(
        *splits["train"],
        batch_size=BATCH,
        epochs=args.epochs,
        validation_data=splits["validation"],
        callbacks=[best],
        verbose=0,
    )
    seconds = time.perf_counter() - started
    images, targets = splits["test"]
    answers = model.predict(images, batch_size=BATCH, verbose=0)
    return {"map": float(average_precision_score(targets, answers, average="macro")), "seconds": {"off": seconds}}


def table(results: dict[str, dict[str, Any]], methods: list[str]) -> str:
    """Return a Markdown table of the means over the seeds."""
    lines = ["| method | seeds | mAP | s, no cache | s, empty cache | s, filled cache |", "|---|---|---|---|---|---|"]
    for method in methods:
        found = [result for key, result in results.items() if key.rsplit(" ", 1)[0] == method]
        if found:
            maps = [result["map"] for result in found]
            spread = f" ± {statistics.stdev(maps):.4f}" if len(maps) > 1 else ""
            seconds = [[result["seconds"].get(cache) for result in found] for cache in CACHES]
            known = [[value for value in each if value is not None] for each in seconds]
            cells = [f"{statistics.mean(each):.0f}" if each else "" for each in known]
            lines.append(f"| {method} | {len(found)} | {statistics.mean(maps):.4f}{spread} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--caches", nargs="*", choices=CACHES, default=list(CACHES))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    prepare_backend()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_sample("digits-scenes", work / "scenes", images=args.images)
        for seed in range(args.seeds):
            for method in args.methods:
                key = f"{method} {seed}"
                if key not in results:
                    results[key] = measure(work, args, method, seed)
                    print(key, json.dumps(results[key]), flush=True)
                    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results, args.methods))


if __name__ == "__main__":
    main()
