"""Does predict keep up with the network? 2,000 JPEGs through `predict`, beside the bare forward pass.

usage: predict.py OUT.json [--base resnet50] [--side 96] [--images 2000]

Makes JPEGs (320 pixels a side), solves a head on a base with made weights, and starts `transfercli predict` as a user
does, on the folder; before and after, in this process, the network answers images that are decoded already, in batches
of 32. Prints, and writes to OUT.json: images a second of both and their ratio, from the first line to the last; the
same in processor seconds, the workers' included, which a busy machine disturbs less; when the first line came after the
time that the frameworks' import takes; and the peak of the program's memory for an eighth of the images and for all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workbench import fit, measured_as_typed, settings, write_pictures, write_weights

SIDE_OF_FILES = 320
BATCH = 32
IMPORT = "import time; t = time.perf_counter(); import keras, tensorflow; print(time.perf_counter() - t)"


def predicted(run: str, paths: list[str]) -> dict[str, float]:
    """Seconds to the first and to the last line, lines, and the peak of resident memory in MB."""
    command = [sys.executable, "-m", "transfercli", "predict", run, *paths, "--quiet"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        first, lines = 0.0, 0
        for _ in child.stdout:
            first = first or time.perf_counter() - started
            lines += 1
        last = time.perf_counter() - started
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    cpu = used.ru_utime + used.ru_stime
    return {"first": first, "last": last, "lines": lines, "peak_mb": used.ru_maxrss / 1024, "cpu": cpu}


def forward(run: str, images: np.ndarray, count: int) -> tuple[float, float]:
    """Images a second of the network alone, after a batch that does not count, and processor seconds an image."""
    from transfercli.runs.folder import RunFolder
    from transfercli.workflows.stored_run import StoredRun

    model = StoredRun(RunFolder(Path(run))).classifier.model
    model.predict_on_batch(images)
    started, used, answered = time.perf_counter(), time.process_time(), count // BATCH * BATCH
    for _ in range(count // BATCH):
        model.predict_on_batch(images)
    return answered / (time.perf_counter() - started), (time.process_time() - used) / answered


def measure(work: Path, base: str, side: int, count: int) -> dict[str, Any]:
    photos = write_pictures(work / "photos", count, SIDE_OF_FILES)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, side, side, 3), np.uint8)
    files = [str(path) for path in sorted(photos.glob("*/*.jpg"), key=lambda path: path.name)]
    listed = work / "few"
    for path in files[:200]:
        place = listed / Path(path).parent.name / Path(path).name
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, place)
    weights = write_weights(work / "weights.safetensors", base, images)
    run = str(
        fit(work, "few", settings(listed, weights, base, side, None, transfer={"strategy": "linear_probe"}))["run"]
    )
    before = forward(run, images, count // 4)
    small = predicted(run, files[: count // 8])
    whole = predicted(run, [str(photos)])
    after = forward(run, images, count // 4)
    importing = float(subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True).stdout)
    alone, along = (before[0] + after[0]) / 2, (whole["lines"] - 1) / (whole["last"] - whole["first"])
    cpu_alone = (before[1] + after[1]) / 2
    cpu_along = (whole["cpu"] - small["cpu"]) / (whole["lines"] - small["lines"])
    return {
        "base": base,
        "side": side,
        "images": whole["lines"],
        "forward_images_per_second": alone,
        "forward_before_and_after": [before[0], after[0]],
        "predict_images_per_second": along,
        "ratio": along / alone,
        "processor_seconds_an_image": {"forward": cpu_alone, "predict": cpu_along, "ratio": cpu_alone / cpu_along},
        "import_seconds": importing,
        "first_line_after_import": whole["first"] - importing,
        "peak_mb": {small["lines"]: small["peak_mb"], whole["lines"]: whole["peak_mb"]},
    }


if __name__ == "__main__":
    measured_as_typed(__doc__, measure, side=96, images=2000)
