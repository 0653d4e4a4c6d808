"""Speed and memory of `predict`, compared with the forward pass of the network alone.

Usage: python -m benchmarks.predict OUT.json [--base resnet50] [--side 96] [--images 2000]

Generates JPEGs (320 x 320 pixels), solves a head on a base with random weights, and runs `transfercli predict` on the
folder in a new process. Before and after, in this process, the network alone predicts decoded images in batches of 32.
Prints, and writes to OUT.json: images per second of both and their ratio, from the first output line to the last; the
same in processor seconds, with those of the workers, which other load of the machine affects less; the seconds to the
first line minus those of the frameworks' import; and the peak memory of `predict` for an eighth of the images and for
all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workbench import finetune, make_config, run_measurement, write_images, write_weights

FILE_SIDE = 320  # pixels
BATCH = 32
IMPORT_PROGRAM = "import time; t = time.perf_counter(); import keras, tensorflow; print(time.perf_counter() - t)"


def predict_costs(run: str, paths: list[str]) -> dict[str, float]:
    """Return the seconds to the first and last output line, the lines, peak memory in MB and processor seconds."""
    command = [sys.executable, "-m", "transfercli", "predict", run, *paths, "--quiet"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        first, lines = 0.0, 0
        for _ in child.stdout:
            first = first or time.perf_counter() - started
            lines += 1
        last = time.perf_counter() - started
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return {"first": first, "last": last, "lines": lines, "peak_mb": usage.ru_maxrss / 1024, "cpu": cpu}


def forward_speed(run: str, images: np.ndarray, count: int) -> tuple[float, float]:
    """Return images per second and processor seconds per image of the run's network alone.

    The batch uint8 [N, H, W, 3] is predicted about `count / BATCH` times, after a first time that is not measured.
    """
    from transfercli.runs.folder import RunFolder
    from transfercli.workflows.stored_run import StoredRun

    model = StoredRun(RunFolder(Path(run))).classifier.model
    model.predict_on_batch(images)
    started, cpu_started, predicted = time.perf_counter(), time.process_time(), count // BATCH * BATCH
    for _ in range(count // BATCH):
        model.predict_on_batch(images)
    return predicted / (time.perf_counter() - started), (time.process_time() - cpu_started) / predicted


def measure(work: Path, base: str, side: int, count: int) -> dict[str, Any]:
    """Measure `predict` and the forward pass; side: of the network's input, in pixels; count: number of images."""
    photos = write_images(work / "photos", count, FILE_SIDE)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, side, side, 3), np.uint8)
    files = [str(path) for path in sorted(photos.glob("*/*.jpg"), key=lambda path: path.name)]
    training = work / "few"
    for path in files[:200]:
        link = training / Path(path).parent.name / Path(path).name
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, link)
    weights = write_weights(work / "weights.safetensors", base, images)
    config = make_config(training, weights, base, side, None, transfer={"strategy": "linear_probe"})
    run = str(finetune(work, "few", config)["run"])
    before = forward_speed(run, images, count // 4)
    small = predict_costs(run, files[: count // 8])
    whole = predict_costs(run, [str(photos)])
    after = forward_speed(run, images, count // 4)
    importing = [sys.executable, "-c", IMPORT_PROGRAM]
    import_seconds = float(subprocess.run(importing, capture_output=True, text=True, check=True).stdout)
    forward, predict = (before[0] + after[0]) / 2, (whole["lines"] - 1) / (whole["last"] - whole["first"])
    forward_cpu = (before[1] + after[1]) / 2
    predict_cpu = (whole["cpu"] - small["cpu"]) / (whole["lines"] - small["lines"])
    return {
        "base": base,
        "side": side,
        "images": whole["lines"],
        "forward_images_per_second": forward,
        "forward_before_and_after": [before[0], after[0]],
        "predict_images_per_second": predict,
        "ratio": predict / forward,
        "processor_seconds_an_image": {
            "forward": forward_cpu,
            "predict": predict_cpu,
            "ratio": forward_cpu / predict_cpu,
        },
        "import_seconds": import_seconds,
        "first_line_after_import": whole["first"] - import_seconds,
        "peak_mb": {small["lines"]: small["peak_mb"], whole["lines"]: whole["peak_mb"]},
    }


if __name__ == "__main__":
    run_measurement(__doc__, measure, side=96, images=2000)
