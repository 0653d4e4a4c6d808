"""Sweep that is killed at random moments, beside one that is not: the same trials, values and winner.

    python -m benchmarks.sweep_kills [--kills 10] [--trials 10] [--seed 0]

A sweep over a network on the digits is killed (SIGKILL) after a random number of lines of its progress, and started
again, until it was killed often enough; then it ends. Its finished trials may not change after that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CONFIG = """name: digits
data: {{train: digits/train, test: null, image_size: 18}}
model: {{base: small_cnn, weights: none}}
transfer: {{strategy: scratch}}
training: {{epochs: 4}}
compute: {{cache_dir: cache}}
sweep:
  trials: {trials}
  pruner: successive_halving
  space:
    training.optimizer.learning_rate: {{log: [1e-4, 1e-2]}}
    model.head.hidden: {{choice: [[], [16], [64]]}}
    model.head.dropout: {{range: [0, 0.5]}}
"""
COMMAND = (sys.executable, "-m", "transfercli")
LINES = 8  # of progress before a kill, at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 10), ("trials", 10), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        for place in (whole, killed):
            place.mkdir()
            Path(place, "digits.yaml").write_text(CONFIG.format(trials=arguments.trials), encoding="utf-8")
            subprocess.run((*COMMAND, "sample", "digits", "digits", "--quiet"), cwd=place, check=True)
        started = time.perf_counter()
        expected = result_of(whole)
        seconds = time.perf_counter() - started
        finished: dict[str, str] = {}
        changed: set[str] = set()
        kills = 0
        while kills < arguments.kills and kill_once(killed, moments.randint(1, LINES)):
            kills += 1
            note_finished(killed, finished, changed)
        received = result_of(killed)
        note_finished(killed, finished, changed)
    print_table(arguments.trials, kills, seconds, expected, received, finished, changed)


def result_of(folder: Path) -> dict[str, Any]:
    """Run the sweep to its end; return its JSON result."""
    command = (*COMMAND, "sweep", "digits.yaml", "--json", "--quiet")
    return dict(json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout))


def kill_once(folder: Path, lines: int) -> bool:
    """Start the sweep and kill it after some lines of progress; return False if it ended before."""
    process = subprocess.Popen((*COMMAND, "sweep", "digits.yaml"), cwd=folder, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process:
        for _ in range(lines):
            if not process.stderr.readline():
                return False
        process.kill()
    return True


def note_finished(folder: Path, finished: dict[str, str], changed: set[str]) -> None:
    """Note the finished trials, and those that have changed since they were noted."""
    for path in folder.glob("runs/digits/*/run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] == "completed" or (record["status"] == "failed" and "pruned" in record):
            facts = [record.get("finished"), record.get("metrics"), path.with_name("metrics.jsonl").read_text("utf-8")]
            digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
            if finished.setdefault(path.parent.name, digest) != digest:
                changed.add(path.parent.name)


def trials_of(result: dict[str, Any], *keys: str) -> list[Any]:
    return [[trial[key] for key in keys] for trial in result["trials"]]


def print_table(
    trials: int,
    kills: int,
    seconds: float,
    expected: dict[str, Any],
    received: dict[str, Any],
    finished: dict[str, str],
    changed: set[str],
) -> None:
    same = {
        "values": trials_of(expected, "number", "values") == trials_of(received, "number", "values"),
        "states": trials_of(expected, "number", "state") == trials_of(received, "number", "state"),
        "epochs": trials_of(expected, "value", "steps") == trials_of(received, "value", "steps"),
        "winner": expected["winner"]["trial"] == received["winner"]["trial"],
    }
    counts = ", ".join(f"{number} {state}" for state, number in received["counts"].items())
    print(f"| kills | trials | trained again | {' | '.join(f'same {name}' for name in same)} |")
    print(f"| --- | --- | --- |{' --- |' * len(same)}")
    answers = " | ".join("yes" if equal else "NO" for equal in same.values())
    print(f"| {kills} | {trials} ({counts}) | {len(changed)} of {len(finished)} | {answers} |")
    print(f"\nThe sweep that was not killed took {seconds:.0f} s.")


if __name__ == "__main__":
    main()
