"""Throughput of two hosts of one core beside one of them, for ResNet50 at 64 pixels, all layers.

    python -m benchmarks.host_efficiency [--batch-size 128] [--rounds 2] [--epochs 3]

A host is a network namespace pinned to one core, so this needs root and Linux. Both train with the same batches, which
are all full; every round trains once on one host and once on both, so that other work on the machine meets the two
alike. The first epoch of a training, which compiles, does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.reliability.hosts import Host, Hosts, reason_for_no_hosts
from transfercli.data.samples.writing import write_sample

CLASSES, IMAGES, PATIENCE = 8, 32, 3600.0  # images of a class
CONFIG = """\
name: efficiency
data: {{train: train, validation: validation, image_size: 64, batch_size: {batch_size}}}
model: {{base: resnet50}}
transfer: {{strategy: scratch}}
training: {{epochs: {epochs}}}
compute: {{distribution: data_parallel, precision: float32}}
"""
COMMAND = (sys.executable, "-m", "transfercli", "pretrain", "efficiency.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=128, help="of all hosts together; divides 256")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    if reason := reason_for_no_hosts():
        sys.exit(reason)
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="host-efficiency-") as name, Hosts(2) as hosts:
        folder = Path(name)
        write_images(folder)
        (folder / "efficiency.yaml").write_text(CONFIG.format(batch_size=options.batch_size, epochs=options.epochs))
        for number in range(options.rounds):
            for count, found in speeds.items():
                found += train(folder, hosts[:count], f"round-{number}-{count}")
                load = os.getloadavg()[0]
                print(f"{count}: {found[1 - options.epochs :]} images/s, load {load:.1f}", file=sys.stderr, flush=True)
    one, two = (statistics.median(speeds[count]) for count in (1, 2))
    print("| hosts of one core | images/s | efficiency |")
    print("| ---: | ---: | ---: |")
    print(f"| 1 | {one:.1f} | |")
    print(f"| 2 | {two:.1f} | {two / (2 * one):.2f} |")


def write_images(folder: Path) -> None:
    """Write the first digits of each class to train, and those after them to validation."""
    write_sample("digits", folder / "digits")
    for source in sorted((folder / "digits" / "train").iterdir())[:CLASSES]:
        for number, path in enumerate(sorted(source.iterdir())[: IMAGES + 4]):
            target = folder / ("train" if number < IMAGES else "validation") / source.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def train(folder: Path, hosts: list[Host], run_id: str) -> list[float]:
    """Train on some hosts, and return the images per second of every epoch but the first."""
    launch = {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"{hosts[0].address}:5555",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(len(hosts)),
    }
    started = [
        host.start([*COMMAND, "--run-id", run_id], environment(folder, host) | launch | rank(number), folder)
        for number, host in enumerate(hosts)
    ]
    for each in started:
        if (ended := each.wait(PATIENCE)).code:
            sys.exit(ended.stderr)
    lines = (folder / "runs" / "efficiency" / run_id / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["images_per_second"] for line in lines[1:]]


def rank(number: int) -> dict[str, str]:
    return {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)}


def environment(folder: Path, host: Host) -> dict[str, str]:
    """Return the variables of a training on one core."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(folder / f"xla-{host.name}"),
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TRANSFERCLI_CACHE": str(folder / f"cache-{host.name}"),
    }


if __name__ == "__main__":
    main()
