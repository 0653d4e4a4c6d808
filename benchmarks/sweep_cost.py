"""Cost of a sweep on a frozen VGG16, relative to one plain Keras training, and of two processes relative to one.

Usage: python -m benchmarks.sweep_cost OUT.json --weights vgg16.weights.h5 [--trials 64] [--images 200] [--jobs 1 2]

Everything is timed as a process of its own, from its start to its end, one after the other:

- plain: the usual script. Images are read from their folders, the whole of VGG16 is in the model with a head of 256
  units on top, its base is frozen, and `fit` trains 10 epochs on 85% of the images and validates on the rest;
- sweep: `transfercli sweep` with empty caches, of trials of 10 epochs each over the head, its dropout, the learning
  rate and label smoothing, once for each number of `--jobs`.

Processor seconds hardly change if other processes run beside it; wall-clock seconds do.

Prints a Markdown table, with the number of features that trials after the first had to compute. Random weights of the
plain script cost the same time as trained ones. A short form: --trials 8.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks import workbench

SIDE, EPOCHS, BATCH, VALIDATION = 150, 10, 32, 0.15
SPACE = {
    "training.optimizer.learning_rate": {"log": [1e-5, 1e-2]},
    "model.head.hidden": {"choice": [[], [64], [256]]},
    "model.head.dropout": {"range": [0.0, 0.5]},
    "training.regularization.label_smoothing": {"choice": [0.0, 0.1]},
}
PLAIN = f"""
import sys
import keras
folder = sys.argv[1]
read = dict(image_size=({SIDE}, {SIDE}), batch_size={BATCH}, validation_split={VALIDATION}, seed=0)
train = keras.utils.image_dataset_from_directory(folder, subset="training", **read)
validation = keras.utils.image_dataset_from_directory(folder, subset="validation", **read)
classes = len(train.class_names)
base = keras.applications.VGG16(weights=None, include_top=False, input_shape=({SIDE}, {SIDE}, 3))
base.trainable = False
inputs = keras.Input(({SIDE}, {SIDE}, 3))
x = base(keras.applications.vgg16.preprocess_input(inputs), training=False)
x = keras.layers.GlobalAveragePooling2D()(x)
x = keras.layers.Dense(256, activation="relu")(x)
x = keras.layers.Dropout(0.3)(x)
model = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, validation_data=validation, epochs={EPOCHS}, verbose=0)
"""


def main() -> None:
    """Measure the plain training and the sweeps, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images = workbench.write_images(work / "images", args.images, SIDE)
        plain = cost_of([sys.executable, "-c", PLAIN, str(images)])
        sweeps = [measure_sweep(work, images, args.weights.absolute(), args.trials, jobs) for jobs in args.jobs]
    args.out.write_text(json.dumps({"plain": plain, "sweeps": sweeps}, indent=1))
    print(table(args.trials, plain, sweeps))


def measure_sweep(work: Path, images: Path, weights: Path, trials: int, jobs: int) -> dict[str, Any]:
    """Run a sweep with empty caches in `jobs` processes; return its seconds, and the features each trial computed."""
    name = f"jobs{jobs}"
    config = workbench.make_config(
        images,
        weights,
        "vgg16",
        SIDE,
        work / f"cache-{name}",
        training={"epochs": EPOCHS},
        transfer={"strategy": "feature_extraction"},
        sweep={"trials": trials, "pruner": "none", "space": SPACE},
    )
    config["data"]["validation"] = VALIDATION
    file, runs = work / f"{name}.yaml", work / "runs"
    file.write_text(yaml.safe_dump({"name": name, **config}))
    command = [sys.executable, "-m", "transfercli", "sweep", str(file), "--jobs", str(jobs), "--runs", str(runs)]
    cost = cost_of([*command, "--quiet"])
    folders = [path for path in (runs / name).iterdir() if not path.is_symlink()]
    records = [json.loads(file.read_text()) for path in folders if (file := path / "run.json").exists()]
    completed = [record for record in records if record["status"] == "completed"]
    misses = sorted(record["cache"]["features"]["misses"] for record in completed)
    return {"jobs": jobs, **cost, "completed": len(completed), "misses": misses}


def cost_of(command: list[str]) -> dict[str, float]:
    """Return the wall-clock seconds of a process, and the processor seconds of it and its children."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(time.perf_counter() - started, 1), "processor": round(processor, 1)}


def table(trials: int, plain: dict[str, float], sweeps: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table; the ratios are those of one run of this script."""
    titles = ("", "seconds", "to plain", "processor seconds", "to plain", "trials an hour", "to one process", "misses")
    lines = [
        f"| {' | '.join(titles)} |",
        f"| --- |{' ---: |' * (len(titles) - 1)}",
        f"| plain Keras, {EPOCHS} epochs | {plain['seconds']:.0f} | 1.00 | {plain['processor']:.0f} | 1.00 | | | |",
    ]
    for result in sweeps:
        seconds = result["seconds"]
        lines.append(
            f"| sweep, {result['completed']} of {trials} trials, --jobs {result['jobs']} | {seconds:.0f} |"
            f" {seconds / plain['seconds']:.2f} | {result['processor']:.0f} |"
            f" {result['processor'] / plain['processor']:.2f} | {3600 * result['completed'] / seconds:.0f} |"
            f" {sweeps[0]['seconds'] / seconds:.2f} | {sum(result['misses'][:-1])} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
