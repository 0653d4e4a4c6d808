"""How fast are images read? Ingest beside bare Pillow loops on the same cores, all measured in one run.

usage: ingest.py OUT.json [--parts photos,large,batches,second_run,memory] [--repeats 3] [--cores N] [--images DIR]
                 [--photos 2000] [--large 200] [--files 20000] [--batches 200] [--memory 2000,20000,70000]

Makes its own images: --photos JPEGs of 1 to 12 megapixels, --large JPEGs of 12 megapixels, --files small PNGs; in
--images they are kept, and found by the next run. Prints, and writes to OUT.json, the median of --repeats for:

- photos: seconds of ingest / seconds of a bare loop that decodes (with DCT scaling) and resizes, in as many processes;
- large: seconds of a loop without DCT scaling / seconds of ingest;
- batches: seconds to decode batches from their files / seconds to read them from the cache;
- second run: seconds to load all --files again, unchanged, the folder walk and the splits included;
- memory (Linux, once): peak resident bytes of fresh processes that ingest so many small PNGs, and those that each
  image more costs.

A ratio is taken within one repeat, its two sides measured one after the other; `cpu_ratio` is the same of the seconds
of all cores, which other programs on the machine change less.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data.dataset import Dataset
from transfercli.data.load import DataRequest, load_dataset
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter

SIZE = 224
SMALL = 32
BATCH = 32
MEGAPIXELS = (1.0, 12.0)
DONE = "complete"
KINDS = 16  # different pictures; a training needs three a class, so give at least 6 --photos and --large
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from benchmarks.ingest import SMALL, load
load(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4]), SMALL)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)  # not ru_maxrss: it starts from the peak of the parent
"""


def photo(number: int, megapixels: float) -> bytes:
    """A JPEG with the detail of a photograph: smooth shapes, edges and a little noise; a function of its number."""
    rng = np.random.default_rng([number, int(megapixels * 100)])
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = round(width * 3 / 4)
    shapes, edges = (
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).resize((width, height), kernel)
        for shape, kernel in (((18, 24, 3), Image.Resampling.BICUBIC), ((150, 200, 3), Image.Resampling.NEAREST))
    )
    noise = np.asarray(Image.blend(shapes, edges, 0.25)).astype(np.int16)
    noise += rng.integers(-6, 7, (height, width, 1), np.int16)
    buffer = io.BytesIO()
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def write_photos(folder: Path, count: int, megapixels: tuple[float, float]) -> Path:
    """`count` photographs in two classes, from few different ones with other bytes behind the picture."""
    if (folder / DONE).exists():
        return folder
    low, high = megapixels
    kinds = [photo(n, low + (high - low) * n / (KINDS - 1)) for n in range(min(count, KINDS))]
    for number in range(count):
        place = folder / "images" / ("even", "odd")[number % 2] / f"{number:06d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(kinds[number % len(kinds)] + number.to_bytes(8, "big"))  # another content, the same work
    (folder / DONE).touch()
    return folder


def write_small(folder: Path, count: int) -> Path:
    """`count` different 28x28 PNGs in two classes."""
    if (folder / DONE).exists():
        return folder
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / "images" / str(number % 2) / f"{number:06d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(place)
    (folder / DONE).touch()
    return folder


def load(folder: Path, cache: Path, cores: int, size: int = SIZE) -> Dataset:
    compute = ComputeConfig(cache_dir=str(cache), threads=cores)
    return load_dataset(DataRequest(DataConfig(train=str(folder / "images")), (size, size), compute), Reporter())


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the clock, and of all cores together."""

    wall: float
    cpu: float


def bare(file: str, *, scaled: bool) -> int:
    """What any loader must do: decode and resize one file; the sum keeps it from being left out."""
    with Image.open(file) as image:
        if scaled:
            image.draft("RGB", (2 * SIZE, 2 * SIZE))
        return int(np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)).sum())


def bare_cpu(file: str, *, scaled: bool) -> float:
    """Seconds of this process's core for one file."""
    begun = time.process_time()
    bare(file, scaled=scaled)
    return time.process_time() - begun


def bare_loop(files: list[str], cores: int, *, scaled: bool) -> Cost:
    """The loop over `files` in `cores` processes, whose start is left out."""
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        work = partial(bare_cpu, scaled=scaled)
        pool.map(work, files[: 2 * cores], chunksize=1)
        begun = time.perf_counter()
        cpu = sum(pool.map(work, files, chunksize=8))
        return Cost(time.perf_counter() - begun, cpu)


def timed(work: Callable[[], Any]) -> tuple[Cost, Any]:
    """What it costs in this process and in those that it starts and ends."""
    begun, before = time.perf_counter(), os.times()
    result = work()
    wall, after = time.perf_counter() - begun, os.times()
    return Cost(wall, sum(after[:4]) - sum(before[:4])), result


def files_of(folder: Path) -> list[str]:
    return sorted(str(path) for path in (folder / "images").rglob("*.*"))


def ingested(folder: Path, work: Path, cores: int) -> Cost:
    """An ingest into an empty cache, the start of its processes included."""
    with tempfile.TemporaryDirectory(dir=work) as cache:
        return timed(lambda: load(folder, Path(cache), cores))[0]


def measure_photos(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    folder = write_photos(given.images / f"photos-{given.photos}", given.photos, MEGAPIXELS)
    loop = bare_loop(files_of(folder), given.cores, scaled=True)
    return compared(ingested(folder, work, given.cores), loop, "ingest", "bare_loop") | {"wanted": "<= 1.15"}


def measure_large(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    folder = write_photos(given.images / f"large-{given.large}", given.large, (MEGAPIXELS[1], MEGAPIXELS[1]))
    loop = bare_loop(files_of(folder), given.cores, scaled=False)
    return compared(loop, ingested(folder, work, given.cores), "full_loop", "ingest") | {"wanted": ">= 2"}


def compared(one: Cost, other: Cost, name: str, other_name: str) -> dict[str, Any]:
    ratios = {"ratio": one.wall / other.wall, "cpu_ratio": one.cpu / other.cpu}
    return ratios | {name: one.wall, f"{name}_cpu": one.cpu, other_name: other.wall, f"{other_name}_cpu": other.cpu}


def measure_batches(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """One process on either side, so the decoding is that of one core."""
    folder = write_photos(given.images / f"photos-{given.photos}", given.photos, MEGAPIXELS)
    split = load(folder, work / "batches-cache", given.cores).splits["train"]
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, len(split), BATCH) for _ in range(given.batches)]
    split.images.read(np.arange(len(split)))  # checksums are compared once, at the first reading
    cached, _ = timed(lambda: [split.images.read(batch) for batch in rows])
    some = rows[: max(1, given.batches // 20)]
    place = folder / "images"
    decoded, _ = timed(lambda: [bare(str(place / split.paths[row]), scaled=True) for batch in some for row in batch])
    fast, slow = (Cost(cost.wall / n, cost.cpu / n) for cost, n in ((cached, len(rows)), (decoded, len(some))))
    return compared(slow, fast, "decoded", "cached") | {"wanted": ">= 50"}


def measure_second_run(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    folder = write_small(given.images / f"small-{given.files}", given.files)
    with tempfile.TemporaryDirectory(dir=work) as cache:
        first, _ = timed(lambda: load(folder, Path(cache), given.cores, SMALL))
        second, found = timed(lambda: load(folder, Path(cache), given.cores, SMALL))
    assert found.cache.misses == 0
    return compared(first, second, "first", "second") | {"wanted": "<= 3 s"}


def measure_memory(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Peaks of fresh processes, each with a cache of its own."""
    counts = sorted(map(int, given.memory.split(",")))
    peaks = {count: peak_of(write_small(given.images / f"small-{count}", count), work, given.cores) for count in counts}
    extra = (peaks[counts[-1]] - peaks[counts[0]]) / max(1, counts[-1] - counts[0])
    return {"peak_bytes": peaks, "bytes_more_an_image": extra, "pixel_bytes_an_image": SMALL * SMALL * 3}


def peak_of(folder: Path, work: Path, cores: int) -> int:
    root = str(Path(__file__).parent.parent)
    with tempfile.TemporaryDirectory(dir=work) as cache:
        command = [sys.executable, "-c", PROGRAM, str(folder), cache, root, str(cores)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "photos": measure_photos,
    "large": measure_large,
    "batches": measure_batches,
    "second_run": measure_second_run,
    "memory": measure_memory,
}


def medians(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of every number that was measured, and the ratios of all repeats."""
    kept = {
        key: statistics.median(one[key] for one in found) if isinstance(value, float) else value
        for key, value in found[0].items()
    }
    return kept | {"all": [[one[key] for one in found] for key in ("ratio", "cpu_ratio") if key in kept]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=usable_cores())
    parser.add_argument("--images", type=Path)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--large", type=int, default=200)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--memory", default="2000,20000,70000")
    given = parser.parse_args()
    found: dict[str, Any] = {"cores": given.cores, "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        given.images = given.images or work
        for part in given.parts.split(","):
            repeats = 1 if part == "memory" else given.repeats
            found[part] = medians([PARTS[part](given, work) for _ in range(repeats)])
            print(part, json.dumps(found[part]), flush=True)
    given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
