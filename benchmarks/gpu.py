"""Features and training on one accelerator, beside its own limit, plain Keras and plain PyTorch.

Usage: benchmarks/gpu.sh OUT (see there), or python -m benchmarks.gpu OUT [--base resnet50] [--side 224] [--images N]
[--batch N] [--steps N] [--epochs N] [--seconds S]

Each part (`gpu_parts.py`) is a process of its own, so that no library holds memory that another one needs. Images are
JPEGs of noise and shapes with fixed seeds. All figures are images a second, without compilation; `share` is that of the
program, from images in its cache to results in memory, relative to the bare loop on data that is on the device already.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import workbench

WORKS, PRECISIONS = ("features", "training"), ("float32", "bfloat16")
LIBRARIES = ("program", "bare", "keras", "torch")
AIM = 0.9  # share of the bare loop
TITLES = {"program": "this program", "bare": "bare loop", "keras": "plain Keras", "torch": "plain PyTorch"}


def main() -> None:
    """Measure all parts, and write and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", default="resnet50")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=256, help="images of a training step, and of all plain loops")
    parser.add_argument("--steps", type=int, default=30, help="timed steps of the bare loops")
    parser.add_argument("--epochs", type=int, default=3, help="of the program and of plain Keras; the first compiles")
    parser.add_argument("--seconds", type=float, default=540, help="no part starts after this time")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        workbench.write_images(work / "images", args.images, args.side)
        written = time.monotonic() - started
        results = [_measured(args, work, started, *part) for part in _parts()]
    facts = {"base": args.base, "side": args.side, "images": args.images, "batch": args.batch, "writing": written}
    text = markdown(facts, results)
    (args.out / "gpu.json").write_text(json.dumps({**facts, "parts": results}, indent=1) + "\n")
    (args.out / "gpu.md").write_text(text)
    print(text)


def _parts() -> list[tuple[str, str, str]]:
    """Return (work, library, precision) of all parts, those that matter most first."""
    fast_first = PRECISIONS[::-1]
    own = [(work, name, precision) for precision in fast_first for work in WORKS for name in LIBRARIES[:2]]
    plain = [(work, name, precision) for precision in fast_first for name in LIBRARIES[2:] for work in WORKS]
    return [*own, ("augmented", "program", "bfloat16"), *plain]


def _measured(
    args: argparse.Namespace, work: Path, started: float, task: str, library: str, precision: str
) -> dict[str, Any]:
    """Return the result of a part: its `images_per_second` and facts, or the `reason` why there are none."""
    part: dict[str, Any] = {"work": task, "library": library, "precision": precision}
    left = args.seconds - (time.monotonic() - started)
    if left <= 0:
        return {**part, "reason": "no time was left"}
    settings = {name: getattr(args, name) for name in ("base", "side", "batch", "steps", "epochs")}
    request = json.dumps({**part, **settings, "work_folder": str(work)})
    command = [sys.executable, "-m", "benchmarks.gpu_parts", request]
    begun = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=False)
    except subprocess.TimeoutExpired:
        return {**part, "reason": f"not over after the {left:.0f} seconds that were left"}
    seconds = {"seconds": round(time.monotonic() - begun, 1)}
    if done.returncode:
        return {**part, **seconds, "reason": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{task} {library} {precision}: {result}", file=sys.stderr)
    return {**part, **seconds, **result}


def markdown(facts: dict[str, Any], results: list[dict[str, Any]]) -> str:
    """Return the table of images a second, the shares of the bare loop, and the reasons for empty cells."""
    speeds = {(r["work"], r["library"], r["precision"]): r.get("images_per_second") for r in results}
    device = next((r["device"] for r in results if "device" in r), "no device")
    settings = f"{facts['base']} at {facts['side']} pixels, {facts['images']} images, batches of {facts['batch']}"
    lines = [
        f"{device}: {settings}; images a second, without compilation.",
        "",
        f"| | precision | {' | '.join(TITLES.values())} | share of the bare loop (aim {AIM}) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for work in WORKS:
        for precision in PRECISIONS:
            row = [speeds.get((work, library, precision)) for library in LIBRARIES]
            share = f"{row[0] / row[1]:.2f}" if row[0] and row[1] else ""
            lines.append(f"| {work} | {precision} | {' | '.join(_number(speed) for speed in row)} | {share} |")
    augmented, bare = speeds.get(("augmented", "program", "bfloat16")), speeds.get(("training", "bare", "bfloat16"))
    share = f"{augmented / bare:.2f}" if augmented and bare else ""
    lines += [f"| training, preset medium | bfloat16 | {_number(augmented)} | | | | {share} |", ""]
    lines += [
        f"- {r['work']}, {TITLES[r['library']]}, {r['precision']}: {r['reason']}" for r in results if "reason" in r
    ]
    return "\n".join(lines) + "\n"


def _number(speed: float | None) -> str:
    return "" if speed is None else f"{speed:,.0f}"


if __name__ == "__main__":
    main()
