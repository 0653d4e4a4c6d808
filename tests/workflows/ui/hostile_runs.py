"""Runs folders that strangers made: damaged, hostile and huge files in copies of a real run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARKUP = "<img src=x onerror=alert(1)>\"'{{ 7 * 7 }}<script>alert(2)</script>"
SECRET = "the content of a file outside"


def _edit(file: str, **changes: Any) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _write(file: str, content: str | bytes) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def _link(file: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        outside = run.parent.parent.parent / "outside.txt"
        outside.write_text(SECRET)
        path = run / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(outside)

    return change


def _pipe(file: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / file).unlink(missing_ok=True)
        os.mkfifo(run / file)

    return change


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
EPOCH = json.dumps({"epoch": 1, "loss": 1.0, "val_loss": 2.0, MARKUP: 3.0})
DAMAGE: dict[str, Callable[[Path], None]] = {
    "record-of-noise": _write("run.json", os.urandom(2000)),
    "record-empty": _write("run.json", ""),
    "record-deep": _write("run.json", "[" * 100_000),
    "record-list": _write("run.json", "[1, 2]"),
    "record-of-markup": _edit(
        "run.json", command=MARKUP, created=MARKUP, workflow=MARKUP, failure=MARKUP, git_commit=MARKUP, parent=MARKUP
    ),
    "record-of-wrong-types": _edit(
        "run.json", created=[1], workflow={}, parent={"a": 1}, seed={"b": [2]}, machine=[3], phases=7, sweep=[4]
    ),
    "record-of-odd-metrics": _edit("run.json", metrics={MARKUP: 0.5, "val_accuracy": 1e300, "val_loss": -1}),
    "record-of-odd-counts": _edit("run.json", data={"fingerprint": "x", "images": {MARKUP: "many"}}),
    "record-of-odd-seconds": _edit("run.json", seconds={"total": -1e308}),
    "record-linked": _link("run.json"),
    "record-pipe": _pipe("run.json"),
    "config-of-noise": _write("config.yaml", os.urandom(2000)),
    "config-bomb": _write("config.yaml", BOMB),
    "config-of-markup": _write("config.yaml", f"name: {json.dumps(MARKUP)}\nother: /home/ann/secret\n"),
    "config-huge": _write("config.yaml", "# " + "x" * 2**20),
    "config-linked": _link("config.yaml"),
    "history-of-noise": _write("metrics.jsonl", os.urandom(2000) + b"\n"),
    "history-of-markup": _write("metrics.jsonl", f"{EPOCH}\n"),
    "history-cut": _write("metrics.jsonl", f'{EPOCH}\n{{"epoch": 2, "lo'),
    "history-of-lists": _write("metrics.jsonl", "[]\n{}\n"),
    "history-pipe": _pipe("metrics.jsonl"),
    "history-linked": _link("metrics.jsonl"),
    "log-of-markup": _write("log.txt", f"{MARKUP}\x1b[31m\u202e /home/ann/secret/file.py\n" * 3),
    "log-of-noise": _write("log.txt", os.urandom(200_000)),
    "log-linked": _link("log.txt"),
    "evaluation-of-noise": _write("evaluation/test/metrics.json", os.urandom(2000)),
    "evaluation-of-lists": _write("evaluation/test/metrics.json", "[1]"),
    "evaluation-of-markup": _write(
        "evaluation/test/metrics.json",
        json.dumps(
            {
                "metrics": {MARKUP: 0.5},
                "examples": MARKUP,
                "intervals": {MARKUP: [MARKUP, 1]},
                "gates": [{"metric": MARKUP, "op": MARKUP, "bound": [1], "passed": MARKUP}, 7, {}],
            }
        ),
    ),
    "evaluation-named-oddly": _write(f"evaluation/{MARKUP.replace('/', '')}/metrics.json", '{"metrics": {}}'),
    "report-linked": _link("evaluation/test/report.html"),
    "export-of-lists": _write("exports/onnx/export.json", "[1]"),
    "export-of-markup": _write(
        "exports/onnx/export.json", json.dumps({"quantize": MARKUP, "bytes": MARKUP, "latency_ms": [MARKUP]})
    ),
    "export-named-oddly": _write(f"exports/{MARKUP.replace('/', '')}/export.json", "{}"),
    "labels-of-markup": _write("labels.json", json.dumps([MARKUP, "b"])),
    "picture-linked": _link("history.png"),
}


def make_hostile(runs: Path, real: Path) -> dict[str, Path]:
    """Write the experiment `hostile` with a run for each kind of damage, and experiments with odd names."""
    made = {}
    for name, damage in DAMAGE.items():
        made[name] = runs / "hostile" / name
        shutil.copytree(real, made[name], symlinks=True)
        _edit("run.json", run_id=name, experiment="hostile")(made[name])
        damage(made[name])
    decision = {"decision": MARKUP, "reason": f"{MARKUP} in /home/ann/secret", "champion": "log-of-markup"}
    lines = [json.dumps(decision), json.dumps(decision | {"decision": "promoted", "time": MARKUP}), "{", "[]"]
    (runs / "hostile/decisions.jsonl").write_text("\n".join(lines) + "\n")
    (runs / "hostile/champion").symlink_to("../../outside")
    (runs / "hostile/test-ledger.csv").write_text(MARKUP)
    for experiment in (MARKUP.replace("/", ""), "two\nlines", os.fsdecode(b"not-utf-8-\xff"), " spaces "):
        shutil.copytree(real, runs / experiment / "one", symlinks=True)
    (runs / "a-file").write_text("no folder")
    (runs / "loop").symlink_to("loop")
    (runs / "empty").mkdir()
    return made
