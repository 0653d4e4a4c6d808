"""How right is `--dry-run`? Its seconds and its peak of memory beside those of the real run, both in fresh processes.

usage: estimates.py OUT.json [--parts vgg16 resnet50] [--repeats 3] [--images N]

Makes its own pictures and random weights; each repeat starts with an empty cache. Prints, and writes to OUT.json,
medians over the repeats of what the dry run said / what the run after it took: vgg16 (150 pixels, a hidden layer on
the frozen base, 30 epochs) and resnet50 (160 pixels, a probe, then 10 epochs from conv5 upwards). Linux only.
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


def child(work: Path, name: str, dry_run: bool) -> None:
    """Prints the result of a training, and the most memory that its process held."""
    from transfercli.training.estimate import peak_memory

    result = workbench.fit(work, name, json.loads((work / f"{name}.json").read_text()), dry_run=dry_run)
    print(json.dumps({**result["seconds"], "peak": peak_memory()}))


def in_child(work: Path, name: str, kind: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.estimates", str(work), "--child", name, kind]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def compare(work: Path, name: str, config: dict[str, Any]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=work) as cache:
        config = {**config, "compute": {"cache_dir": cache}}
        (work / f"{name}.json").write_text(json.dumps(config))
        said, was = (in_child(work, name, kind) for kind in ("dry", "real"))
    found = {f"{kind}_{key}": one[key] for kind, one in (("said", said), ("was", was)) for key in said}
    return found | {f"ratio_{key}": said[key] / was[key] for key in said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, help="instead of each part's own number")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.out, given.child[0], given.child[1] == "dry")
    found: dict[str, Any] = {"repeats": given.repeats}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in given.parts:
            base, side, images, settings = PARTS[name]
            images = given.images or images
            pictures = workbench.write_pictures(work / f"pictures-{side}", images, side)
            weights = work / f"{base}.safetensors"
            workbench.write_weights(weights, base, workbench.read_pictures(pictures)[0])
            config = workbench.settings(pictures, weights, base, side, work, **settings)
            repeats = [compare(work, f"{name}-{number}", config) for number in range(given.repeats)]
            found[name] = {"images": images, **workbench.median(repeats)}
            print(name, json.dumps(found[name]), flush=True)
            given.out.write_text(json.dumps(found, indent=2) + "\n")
    return None


if __name__ == "__main__":
    main()
