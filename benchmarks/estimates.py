"""Accuracy of the estimates of `--dry-run`: seconds and peak memory, compared with those of the real run.

Usage: python -m benchmarks.estimates OUT.json [--parts vgg16 resnet50] [--repeats 3] [--images N]

Generates images and random weights; each repeat starts with an empty cache, and each run is a new process. Prints, and
writes to OUT.json, medians over the repeats of the estimate (`said`), the real value (`was`) and their ratio: vgg16
(150 pixels, a hidden layer on the frozen base, 30 epochs) and resnet50 (160 pixels, a probe, then 10 epochs from conv5
upwards). Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import workbench

# Base, side in pixels, number of images, and the settings that differ from those of `workbench.make_config`.
PARTS: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "vgg16": (
        "vgg16",
        150,
        256,
        {"head": {"hidden": [256]}, "training": {"epochs": 30}, "transfer": {"strategy": "feature_extraction"}},
    ),
    "resnet50": (
        "resnet50",
        160,
        256,
        {"training": {"epochs": 10}, "transfer": {"strategy": "partial", "unfreeze": "conv5"}},
    ),
}


def print_costs(work: Path, name: str, dry_run: bool) -> None:
    """Train, and print the seconds per stage and the peak memory of this process in bytes, as JSON."""
    from transfercli.training.estimate import peak_memory

    result = workbench.finetune(work, name, json.loads((work / f"{name}.json").read_text()), dry_run=dry_run)
    print(json.dumps({**result["seconds"], "peak": peak_memory()}))


def costs_in_new_process(work: Path, name: str, kind: str) -> dict[str, float]:
    """Return the costs that `print_costs` prints in a new process; kind: dry or real."""
    command = [sys.executable, "-m", "benchmarks.estimates", str(work), "--child", name, kind]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    costs: dict[str, float] = json.loads(output.splitlines()[-1])
    return costs


def compare(work: Path, name: str, config: dict[str, Any]) -> dict[str, float]:
    """Return the costs of a dry run and of the real run with the same config, and their ratios."""
    with tempfile.TemporaryDirectory(dir=work) as cache:
        config = {**config, "compute": {"cache_dir": cache}}
        (work / f"{name}.json").write_text(json.dumps(config))
        estimated, real = (costs_in_new_process(work, name, kind) for kind in ("dry", "real"))
    costs = {f"{kind}_{key}": run[key] for kind, run in (("said", estimated), ("was", real)) for key in estimated}
    return costs | {f"ratio_{key}": estimated[key] / real[key] for key in estimated}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, help="instead of the number in PARTS")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return print_costs(args.out, args.child[0], args.child[1] == "dry")
    results: dict[str, Any] = {"repeats": args.repeats}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in args.parts:
            base, side, images, settings = PARTS[name]
            images = args.images or images
            folder_of_images = workbench.write_images(work / f"images-{side}", images, side)
            weights = work / f"{base}.safetensors"
            workbench.write_weights(weights, base, workbench.read_images(folder_of_images)[0])
            config = workbench.make_config(folder_of_images, weights, base, side, work, **settings)
            repeats = [compare(work, f"{name}-{number}", config) for number in range(args.repeats)]
            results[name] = {"images": images, **workbench.median(repeats)}
            print(name, json.dumps(results[name]), flush=True)
            args.out.write_text(json.dumps(results, indent=2) + "\n")
    return None


if __name__ == "__main__":
    main()
