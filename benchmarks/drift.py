"""Cost of `data drift`, compared with one forward pass, and of `runs prune`.

Usage: python -m benchmarks.drift OUT.json [--parts small_cnn resnet50 prune] [--repeats 3] [--images 2000]

Generates images and random weights. Prints, and writes to OUT.json, medians over the repeats:

- small_cnn (32 pixels), resnet50 (64 pixels): seconds of `data drift` in this process for `images` JPEGs and a run
  that was trained on 600 other images. `first` starts with the caches that the training left, without the recent
  images; `second` is the same call again; `warm` is the call after 1% of the images changed; `pass` is the whole
  compiled model on the recent images, decoded and in memory. Each ratio is of one repeat;
- prune: seconds of `runs prune --keep-last 10` for 200 runs of one experiment, each a copy of a small_cnn run: as a dry
  run, and with the removal of 190 runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import workbench
from benchmarks.plain import seconds
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.runs.folder import RunFolder

TRAINING_IMAGES, RUNS, KEPT_RUNS = 600, 200, 10
CHANGED_SHARE = 0.01


@dataclass(frozen=True)
class DriftCase:
    """A trained run, its cache, a copy of the cache from after the training, and recent images of other content."""

    run: RunFolder
    cache: Path
    trained_cache: Path
    recent: Path

    @classmethod
    def create(cls, work: Path, base: str, side: int, images: int) -> DriftCase:
        """Generate the images and train the run; side: of the images, in pixels."""
        images_folder = workbench.write_images(work / "images", TRAINING_IMAGES + images, side)
        recent = work / "recent"
        recent.mkdir()
        for file in sorted(images_folder.glob("*/*.jpg"), key=lambda file: file.name)[TRAINING_IMAGES:]:
            file.rename(recent / file.name)
        weights = workbench.write_weights(work / "weights.safetensors", base, workbench.read_images(images_folder)[0])
        config = workbench.make_config(
            images_folder, weights, base, side, work / "cache", transfer={"strategy": "linear_probe"}
        )
        run = RunFolder(Path(workbench.finetune(work, base, config)["run"]))
        shutil.copytree(work / "cache", work / "trained-cache")
        return cls(run, work / "cache", work / "trained-cache", recent)

    def reset_cache(self) -> None:
        """Replace the cache by the copy from after the training."""
        shutil.rmtree(self.cache)
        shutil.copytree(self.trained_cache, self.cache)


def measure_drift_costs(case: DriftCase) -> dict[str, float]:
    """Measure one repeat of `data drift`: seconds, cache misses and ratios."""
    from transfercli.workflows.data.drift import measure_drift
    from transfercli.workflows.stored_run import StoredRun

    result: dict[str, Any] = {}

    def call() -> None:
        result.update(measure_drift(StoredRun(case.run), case.recent, maximum=None))

    case.reset_cache()
    files = sorted(case.recent.iterdir())
    costs = {"first": seconds(call)} | {"first_misses": result["cache"]["features"]["misses"]}
    costs |= {"second": seconds(call)} | {"second_misses": result["cache"]["features"]["misses"]}
    for file in files[: round(CHANGED_SHARE * len(files))]:
        file.write_bytes(file.read_bytes() + os.urandom(8))  # after the end of the image, which decoders ignore
    costs |= {"warm": seconds(call)} | {"warm_misses": result["cache"]["features"]["misses"]}
    costs["pass"] = pass_seconds = forward_pass_seconds(case)
    return costs | {f"{name}_times_pass": costs[name] / pass_seconds for name in ("first", "second", "warm")}


def forward_pass_seconds(case: DriftCase) -> float:
    """Return the seconds of one pass of the run's whole model over the recent images."""
    import numpy as np
    from PIL import Image

    from transfercli.models.forward import forward
    from transfercli.workflows.stored_run import StoredRun

    trained = StoredRun(case.run)
    pixels = ArrayRows(np.stack([np.asarray(Image.open(file)) for file in sorted(case.recent.iterdir())]))
    model, size = trained.classifier.model, trained.config.data.batch_size
    forward(model, ArrayRows(pixels.read(np.arange(size))), size, Reporter())
    return seconds(lambda: forward(model, pixels, size, Reporter()))


def measure_prune(work: Path, run: RunFolder) -> dict[str, float]:
    """Measure one repeat of `runs prune` on copies of a run, with creation times a minute apart."""
    from transfercli.workflows.runs.prune import PruneRequest, prune

    runs = work / "many"
    record = json.loads(run.record.read_text())
    for number in range(RUNS):
        copy = runs / "many" / f"20260101-{number // 60:02d}{number % 60:02d}00-abcdef"
        shutil.copytree(run.path, copy, symlinks=True)
        created = f"2026-01-01T{number // 60:02d}:{number % 60:02d}:00+00:00"
        (copy / "run.json").write_text(json.dumps({**record, "parent": None, "created": created}))
    result: dict[str, Any] = {}
    costs = {}
    for name, dry in (("dry_run", True), ("removing", False)):
        costs[name] = seconds(
            lambda dry=dry: result.update(prune(PruneRequest(runs, last=KEPT_RUNS, dry_run=dry), Reporter()))
        )
        costs[f"{name}_removed"] = len(result["removed"])
    costs["gigabytes"] = result["bytes"] / 1e9
    shutil.rmtree(runs)
    return costs


SIDES = {"small_cnn": 32, "resnet50": 64}  # pixels, by base


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", default=[*SIDES, "prune"], choices=[*SIDES, "prune"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=2000)
    args = parser.parse_args()
    workbench.prepare_backend()
    results: dict[str, Any] = {"load": os.getloadavg()[0], "repeats": args.repeats, "images": args.images}
    for part in args.parts:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            base = part if part in SIDES else "small_cnn"
            case = DriftCase.create(work, base, SIDES[base], args.images if part in SIDES else 0)
            is_drift = part in SIDES
            measure = partial(measure_drift_costs, case) if is_drift else partial(measure_prune, work, case.run)
            results[part] = workbench.median([measure() for _ in range(args.repeats)])
        print(part, json.dumps(results[part]), flush=True)
        args.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
