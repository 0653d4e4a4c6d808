"""How fast are images read? Ingest beside bare Pillow loops on the same cores, all measured in one run.

usage: ingest.py OUT.json [--photos 2000] [--large 200] [--files 20000] [--batches 200] [--cores N] [--work DIR]

Makes its own images in a temporary folder (or below --work): --photos JPEGs of 1 to 12 megapixels, --large JPEGs of 12
megapixels, --files small PNGs. Prints, and writes to OUT.json, as ratios:

- photos: seconds of ingest / seconds of a bare loop that decodes (with DCT scaling) and resizes, in as many processes;
- large: seconds of a loop without DCT scaling / seconds of ingest;
- second run: seconds to load all --files again, unchanged, the folder walk and the splits included;
- batches: seconds to decode batches from their files / seconds to read them from the cache;
- memory (Linux): peak resident bytes of a process that ingests all --files, against one that ingests a quarter of them.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data.dataset import Dataset
from transfercli.data.ingest import usable_cores
from transfercli.data.load import DataRequest, load_dataset
from transfercli.events import Events

SIZE = 224
BATCH = 32
MEGAPIXELS = (1.0, 12.0)
KINDS = 16  # different pictures; a training needs three a class, so give at least 6 --photos and --large
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from benchmarks.ingest import load
load(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4]), size=32)
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
    low, high = megapixels
    kinds = [photo(n, low + (high - low) * n / (KINDS - 1)) for n in range(min(count, KINDS))]
    for number in range(count):
        place = folder / "images" / ("even", "odd")[number % 2] / f"{number:06d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(kinds[number % len(kinds)] + number.to_bytes(8, "big"))  # another content, the same work
    return folder


def write_small(folder: Path, count: int) -> Path:
    """`count` different 28x28 PNGs in two classes."""
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / "images" / str(number % 2) / f"{number:06d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(place)
    return folder


def load(folder: Path, cache: Path, cores: int, size: int = SIZE) -> Dataset:
    compute = ComputeConfig(cache_dir=str(cache), threads=cores)
    return load_dataset(DataRequest(DataConfig(train="images"), folder, (size, size), compute), Events())


def bare(file: str, *, scaled: bool) -> int:
    """What any loader must do: decode and resize one file; the sum keeps it from being left out."""
    with Image.open(file) as image:
        if scaled:
            image.draft("RGB", (2 * SIZE, 2 * SIZE))
        return int(np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)).sum())


def bare_loop(files: list[str], cores: int, *, scaled: bool) -> float:
    """Seconds of the loop over `files` in `cores` processes; their start is left out, as it is not for ingest."""
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.map(partial(bare, scaled=scaled), files[: 2 * cores], chunksize=1)
        begun = time.perf_counter()
        pool.map(partial(bare, scaled=scaled), files, chunksize=8)
        return time.perf_counter() - begun


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def files_of(folder: Path) -> list[str]:
    return sorted(str(path) for path in (folder / "images").rglob("*.*"))


def measure_photos(work: Path, count: int, large: int, cores: int) -> dict[str, Any]:
    mixed = write_photos(work / "photos", count, MEGAPIXELS)
    twelve = write_photos(work / "large", large, (MEGAPIXELS[1], MEGAPIXELS[1]))
    files = files_of(mixed)
    loop = bare_loop(files, cores, scaled=True)
    ingest, _ = timed(lambda: load(mixed, work / "cache", cores))
    full = bare_loop(files_of(twelve), cores, scaled=False)
    reduced, _ = timed(lambda: load(twelve, work / "cache", cores))
    return {
        "photos": {"images": count, "ingest": ingest, "bare_loop": loop, "ratio": ingest / loop, "wanted": "<= 1.15"},
        "large": {"images": large, "ingest": reduced, "full_loop": full, "ratio": full / reduced, "wanted": ">= 2"},
    }


def measure_second_run(work: Path, small: Path, cores: int) -> dict[str, Any]:
    first, _ = timed(lambda: load(small, work / "small-cache", cores, 32))
    second, found = timed(lambda: load(small, work / "small-cache", cores, 32))
    misses = found.cache.misses
    return {"files": len(found.records), "first": first, "seconds": second, "misses": misses, "wanted": "<= 3 s"}


def measure_batches(work: Path, batches: int, cores: int) -> dict[str, Any]:
    split = load(work / "photos", work / "cache", cores).splits["train"]
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, len(split), BATCH) for _ in range(batches)]
    split.images.read(np.arange(len(split)))  # checksums are compared once, at the first reading
    cached, _ = timed(lambda: [split.images.read(batch) for batch in rows])
    some = rows[: max(1, batches // 20)]
    place = work / "photos" / "images"
    decoded, _ = timed(lambda: [bare(str(place / split.paths[row]), scaled=True) for batch in some for row in batch])
    ratio = (decoded / len(some)) / (cached / len(rows))
    return {"cached": cached / len(rows), "decoded": decoded / len(some), "ratio": ratio, "wanted": ">= 50"}


def measure_memory(work: Path, count: int, cores: int) -> dict[str, Any]:
    """Peaks of fresh processes, each with a cache of its own."""
    peaks = {}
    for name, files in (("quarter", count // 4), ("all", count)):
        folder = write_small(work / f"memory-{name}", files)
        root = str(Path(__file__).parent.parent)
        command = [sys.executable, "-c", PROGRAM, str(folder), str(work / f"cache-{name}"), root, str(cores)]
        peaks[name] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    extra = (peaks["all"] - peaks["quarter"]) / (count - count // 4)
    return {**peaks, "ratio": peaks["all"] / peaks["quarter"], "bytes_more_an_image": extra, "wanted": "flat"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--large", type=int, default=200)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--cores", type=int, default=usable_cores())
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        work = Path(name)
        found: dict[str, Any] = {"cores": given.cores, "load": os.getloadavg()[0]}
        found |= measure_photos(work, given.photos, given.large, given.cores)
        found["batches"] = measure_batches(work, given.batches, given.cores)
        found["second_run"] = measure_second_run(work, write_small(work / "small", given.files), given.cores)
        found["memory"] = measure_memory(work, given.files, given.cores)
    for key, value in found.items():
        print(key, json.dumps(value))
    given.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
