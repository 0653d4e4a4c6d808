"""What do a drift and a prune cost? `data drift` the first and the second time, beside a plain pass; `runs prune`.

usage: drift.py OUT.json [--parts small_cnn resnet50 prune] [--repeats 3] [--images 2000]

Makes its own pictures and random weights. Prints, and writes to OUT.json, medians over the repeats:

- small_cnn (32 pixels), resnet50 (64): `images` JPEGs against a run of 600 others, through `data drift` in this
  process. `first` has the caches as the training left them, and so none of the recent images in them;
  `second` is the same again; `pass` is the whole model over the recent images, decoded and in memory, already
  compiled. Each ratio is taken within one repeat. `warm` is `first` with 1% of the images new;
- prune: `runs prune --keep-last 10` over 200 runs of one experiment, each a copy of a small_cnn run: a dry run, and
  what removes 190.
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

LEARNT, RUNS, LAST = 600, 200, 10
NEW = 0.01


@dataclass(frozen=True)
class World:
    """A trained run, its caches as the training left them, and recent pictures that it has not seen."""

    run: RunFolder
    cache: Path
    left: Path
    recent: Path

    @classmethod
    def made(cls, work: Path, base: str, side: int, images: int) -> World:
        pictures = workbench.write_pictures(work / "pictures", LEARNT + images, side)
        recent = work / "recent"
        recent.mkdir()
        for file in sorted(pictures.glob("*/*.jpg"), key=lambda file: file.name)[LEARNT:]:
            file.rename(recent / file.name)
        weights = workbench.write_weights(work / "weights.safetensors", base, workbench.read_pictures(pictures)[0])
        config = workbench.settings(
            pictures, weights, base, side, work / "cache", transfer={"strategy": "linear_probe"}
        )
        run = RunFolder(Path(workbench.fit(work, base, config)["run"]))
        shutil.copytree(work / "cache", work / "left")
        return cls(run, work / "cache", work / "left", recent)

    def forget(self) -> None:
        """Caches as the training left them."""
        shutil.rmtree(self.cache)
        shutil.copytree(self.left, self.cache)


def drifts(world: World) -> dict[str, float]:
    """One repeat."""
    from transfercli.workflows.data.drift import measure_drift
    from transfercli.workflows.stored_run import StoredRun

    found: dict[str, Any] = {}

    def measured() -> None:
        found.update(measure_drift(StoredRun(world.run), world.recent, maximum=None).as_json())

    world.forget()
    files = sorted(world.recent.iterdir())
    new = files[: round(NEW * len(files))]
    taken = {"first": seconds(measured)} | {"first_misses": found["cache"]["features"]["misses"]}
    taken |= {"second": seconds(measured)} | {"second_misses": found["cache"]["features"]["misses"]}
    for file in new:
        file.write_bytes(file.read_bytes() + os.urandom(8))  # other bytes behind the end of the picture
    taken |= {"warm": seconds(measured)} | {"warm_misses": found["cache"]["features"]["misses"]}
    taken["pass"] = once = one_pass(world)
    return taken | {f"{name}_times_pass": taken[name] / once for name in ("first", "second", "warm")}


def one_pass(world: World) -> float:
    """Seconds of the run's whole model over the recent pictures."""
    import numpy as np
    from PIL import Image

    from transfercli.models.forward import forward
    from transfercli.workflows.stored_run import StoredRun

    trained = StoredRun(world.run)
    pixels = ArrayRows(np.stack([np.asarray(Image.open(file)) for file in sorted(world.recent.iterdir())]))
    model, size = trained.classifier.model, trained.config.data.batch_size
    forward(model, ArrayRows(pixels.read(np.arange(size))), size, Reporter())
    return seconds(lambda: forward(model, pixels, size, Reporter()))


def pruned(work: Path, run: RunFolder) -> dict[str, float]:
    """One repeat: a folder of copies, each begun a minute after the one before."""
    from transfercli.workflows.runs.prune import PruneRequest, prune

    runs = work / "many"
    record = json.loads(run.record.read_text())
    for number in range(RUNS):
        place = runs / "many" / f"20260101-{number // 60:02d}{number % 60:02d}00-abcdef"
        shutil.copytree(run.path, place, symlinks=True)
        created = f"2026-01-01T{number // 60:02d}:{number % 60:02d}:00+00:00"
        (place / "run.json").write_text(json.dumps({**record, "parent": None, "created": created}))
    found: dict[str, Any] = {}
    taken = {}
    for name, dry in (("dry_run", True), ("removing", False)):
        taken[name] = seconds(
            lambda dry=dry: found.update(prune(PruneRequest(runs, last=LAST, dry_run=dry), Reporter()).as_json())
        )
        taken[f"{name}_removed"] = len(found["removed"])
    taken["gigabytes"] = found["bytes"] / 1e9
    shutil.rmtree(runs)
    return taken


BASES = {"small_cnn": 32, "resnet50": 64}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", default=[*BASES, "prune"], choices=[*BASES, "prune"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=2000)
    given = parser.parse_args()
    workbench.quiet_backend()
    found: dict[str, Any] = {"load": os.getloadavg()[0], "repeats": given.repeats, "images": given.images}
    for part in given.parts:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            base = part if part in BASES else "small_cnn"
            world = World.made(work, base, BASES[base], given.images if part in BASES else 0)
            one = partial(drifts, world) if part in BASES else partial(pruned, work, world.run)
            found[part] = workbench.median([one() for _ in range(given.repeats)])
        print(part, json.dumps(found[part]), flush=True)
        given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
