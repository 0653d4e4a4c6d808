"""Death of a node in the middle of `predict --engine ray`: every path must be answered exactly once.

Usage: python -m benchmarks.ray_node_death [--trials 5] [--images 6000]

A cluster of a head without workers and of two nodes with one core each, as processes of their own on this machine.
In each trial one of the two nodes is killed (SIGKILL) when a share of the answers, between 20% and 60%, is there and
the others are not, and a new node joins for the next trial. The answers are compared with those of plain `predict`.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

PROGRAM = [sys.executable, "-m", "transfercli"]
WAIT_SECONDS = 1200


def train(folder: Path) -> None:
    """Train a small network on digits, in `folder`."""
    subprocess.run(
        [*PROGRAM, "sample", "digits", "digits", "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    config = {
        "name": "digits",
        "data": {"train": "digits/train", "test": "digits/test", "image_size": 64},
        "model": {"base": "small_cnn", "weights": "none"},
        "training": {"epochs": 1},
    }
    (folder / "digits.yaml").write_text(yaml.safe_dump(config))
    subprocess.run([*PROGRAM, "pretrain", "digits.yaml", "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def copy_images(folder: Path, count: int) -> list[str]:
    """Link `count` digits under names of their own, and return these."""
    files = sorted((folder / "digits").rglob("*.png"))
    (folder / "images").mkdir()
    names = [f"images/{number:06}.png" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).hardlink_to(files[number % len(files)])
    return names


def answers_of(text: str) -> dict[str, list[Any]]:
    """Return path -> its answers: label and probabilities."""
    found: dict[str, list[Any]] = {}
    for line in text.splitlines():
        answer = json.loads(line)
        found.setdefault(answer["path"], []).append(answer.get("top"))
    return found


def killed_run(folder: Path, cluster: Any, node: Any, share: float, total: int) -> tuple[str, int, float]:
    """Predict all images on the cluster, and kill a node at a share of the answers.

    Returns the output, the number of answers at the kill, and the seconds in all.
    """
    started = time.monotonic()
    out = folder / "answers.jsonl"
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    with out.open("w") as stdout:
        process = subprocess.Popen(
            [*PROGRAM, "predict", "digits", "images", "--engine", "ray", "--quiet"],
            cwd=folder,
            env=environment,
            stdout=stdout,
        )
        while out.read_bytes().count(b"\n") < share * total and process.poll() is None:
            assert time.monotonic() - started < WAIT_SECONDS, "no answers"
            time.sleep(0.02)
        at_kill = out.read_bytes().count(b"\n")
        assert process.poll() is None, f"the command ended before the kill, with exit code {process.poll()}"
        cluster.remove_node(node, allow_graceful=False)
        code = process.wait(WAIT_SECONDS)
    assert code == 0, code
    return out.read_text(), at_kill, time.monotonic() - started


@dataclass(frozen=True)
class Trial:
    """Outcome of one trial, in numbers of images.

    at_kill: answered when the node was killed. once: answered exactly once. labels, bits: answered as plain `predict`
    does, by the label and by every probability.
    """

    total: int
    at_kill: int
    once: int
    labels: int
    bits: int
    seconds: float


def trials(shares: Sequence[float], images: int) -> Iterator[Trial]:
    """Kill a node at each of these shares of the answers, and yield the outcomes."""
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_worker_niceness": "0"}
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    from ray.cluster_utils import Cluster

    folder = Path(tempfile.mkdtemp(prefix="deaths-"))
    os.environ["TRANSFERCLI_CACHE"] = str(folder / "cache")
    train(folder)
    names = copy_images(folder, images)
    plain = subprocess.run(
        [*PROGRAM, "predict", "digits", "images", "--quiet"], cwd=folder, check=True, capture_output=True, text=True
    )
    expected = answers_of(plain.stdout)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 << 20})
    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 << 20}
    try:
        nodes = [cluster.add_node(**node), cluster.add_node(**node)]
        for number, share in enumerate(shares):
            text, at_kill, seconds = killed_run(folder, cluster, nodes.pop(number % 2), share, images)
            found = answers_of(text)
            assert list(found) == names, "another order"
            once = sum(len(found[name]) == 1 for name in names)
            labels = sum(found[name][0][0][0] == expected[name][0][0][0] for name in names)
            bits = sum(found[name] == expected[name] for name in names)
            yield Trial(images, at_kill, once, labels, bits, seconds)
            nodes.append(cluster.add_node(**node))
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--images", type=int, default=6000)
    options = parser.parse_args()
    print("| trial | answers at the kill | of | once | twice or never | same label | same bits | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    shares = np.random.default_rng(0).uniform(0.2, 0.6, options.trials)
    for number, one in enumerate(trials(shares.tolist(), options.images), start=1):
        at_kill = f"{one.at_kill} ({one.at_kill / one.total:.0%})"
        row = (number, at_kill, one.total, one.once, one.total - one.once, one.labels, one.bits, f"{one.seconds:.0f}")
        print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()
