"""Speed and memory of ingest, compared with bare Pillow loops on the same cores.

Usage: python benchmarks/ingest.py OUT.json [--parts photos,large,profiles,batches,second_run,memory] [--repeats 3]
                                   [--cores N]
                                   [--images DIR] [--photos 2000] [--large 200] [--files 20000] [--batches 200]
                                   [--memory 2000,20000,70000]

Generates images: --photos JPEGs of 1 to 12 megapixels, --large JPEGs of 12 megapixels, --files small PNGs. With
--images they are kept in that folder and used again by the next run. Prints, and writes to OUT.json, the median of
--repeats for:

- photos: seconds of ingest / seconds of a bare loop that decodes (with DCT scaling) and resizes, in as many processes;
- large: seconds of a loop without DCT scaling / seconds of ingest;
- profiles: seconds to decode a file with the profile of another colour space / without one, in one process;
- batches: seconds to decode batches from their files / seconds to read them from the cache;
- second run: seconds to load all --files again, unchanged, including the folder walk and the splits;
- memory (Linux, once): peak resident bytes of new processes that ingest --memory small PNGs, and the bytes that each
  further image costs.

Both parts of a ratio are measured one after the other in the same repeat. `cpu_ratio` is the ratio of the processor
seconds of all cores, which other programs on the machine affect less.
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
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Geometry
from transfercli.data.load import DataRequest, load_dataset
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter

SIZE = 224  # pixels
SMALL_SIZE = 32  # pixels
BATCH = 32
MEGAPIXELS = (1.0, 12.0)
COMPLETE_MARKER = "complete"  # file in a folder whose images are all written
DISTINCT_PHOTOS = 16  # the splits need three images per class, so give at least 6 --photos and --large
MEMORY_PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from benchmarks.ingest import SMALL_SIZE, load
load(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4]), SMALL_SIZE)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)  # not ru_maxrss: it starts from the peak of the parent
"""


def photo(number: int, megapixels: float) -> bytes:
    """Return a JPEG with the detail of a photograph: smooth shapes, edges and a little noise; `number` is the seed."""
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
    """Write `count` photographs in two classes and return the folder; copies differ in bytes after the JPEG's end."""
    if (folder / COMPLETE_MARKER).exists():
        return folder
    low, high = megapixels
    photos = [photo(n, low + (high - low) * n / (DISTINCT_PHOTOS - 1)) for n in range(min(count, DISTINCT_PHOTOS))]
    for number in range(count):
        path = folder / "images" / ("even", "odd")[number % 2] / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photos[number % len(photos)] + number.to_bytes(8, "big"))  # a new checksum
    (folder / COMPLETE_MARKER).touch()
    return folder


def write_small(folder: Path, count: int) -> Path:
    """Write `count` different 28x28 PNGs in two classes and return the folder."""
    if (folder / COMPLETE_MARKER).exists():
        return folder
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / "images" / str(number % 2) / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(path)
    (folder / COMPLETE_MARKER).touch()
    return folder


def load(folder: Path, cache: Path, cores: int, size: int = SIZE) -> Dataset:
    """Ingest the folder's images and split them; size: of the decoded images, in pixels."""
    compute = ComputeConfig(cache_dir=str(cache), threads=cores)
    return load_dataset(DataRequest(DataConfig(train=str(folder / "images")), (size, size), compute), Reporter())


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall-clock seconds, and processor seconds of all cores."""

    wall: float
    cpu: float


def decode(file: str, *, scaled: bool) -> int:
    """Decode and resize a file with Pillow and return the sum of its pixels; scaled: use DCT scaling."""
    with Image.open(file) as image:
        if scaled:
            image.draft("RGB", (2 * SIZE, 2 * SIZE))
        return int(np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)).sum())


def decode_seconds(file: str, *, scaled: bool) -> float:
    """Return the processor seconds of this process to decode and resize a file."""
    started = time.process_time()
    decode(file, scaled=scaled)
    return time.process_time() - started


def bare_loop(files: list[str], cores: int, *, scaled: bool) -> Cost:
    """Return the cost to decode the files in `cores` processes, without the start of the processes."""
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        call = partial(decode_seconds, scaled=scaled)
        pool.map(call, files[: 2 * cores], chunksize=1)
        started = time.perf_counter()
        cpu = sum(pool.map(call, files, chunksize=8))
        return Cost(time.perf_counter() - started, cpu)


def timed(call: Callable[[], Any]) -> tuple[Cost, Any]:
    """Return the cost of a call, including the processes that it starts and ends, and its result."""
    started, before = time.perf_counter(), os.times()
    result = call()
    wall, after = time.perf_counter() - started, os.times()
    return Cost(wall, sum(after[:4]) - sum(before[:4])), result


def files_of(folder: Path) -> list[str]:
    """Return the paths of the folder's images, sorted."""
    return sorted(str(path) for path in (folder / "images").rglob("*.*"))


def ingest_cost(folder: Path, work: Path, cores: int) -> Cost:
    """Return the cost of an ingest into an empty cache, including the start of its processes."""
    with tempfile.TemporaryDirectory(dir=work) as cache:
        return timed(lambda: load(folder, Path(cache), cores))[0]


def measure_photos(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Compare ingest with a loop that decodes with DCT scaling."""
    folder = write_photos(args.images / f"photos-{args.photos}", args.photos, MEGAPIXELS)
    loop = bare_loop(files_of(folder), args.cores, scaled=True)
    return compared(ingest_cost(folder, work, args.cores), loop, "ingest", "bare_loop") | {"wanted": "<= 1.15"}


def measure_large(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Compare a loop without DCT scaling with ingest, on large images."""
    folder = write_photos(args.images / f"large-{args.large}", args.large, (MEGAPIXELS[1], MEGAPIXELS[1]))
    loop = bare_loop(files_of(folder), args.cores, scaled=False)
    return compared(loop, ingest_cost(folder, work, args.cores), "full_loop", "ingest") | {"wanted": ">= 2"}


def measure_profiles(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Compare decoding with a profile (Display P3, and sRGB itself) with decoding without one, in this process."""
    from tests.data.decoding.profiles import DISPLAY_P3, SRGB, rgb_profile

    profiles = {"none": None, "srgb": rgb_profile(SRGB), "p3": rgb_profile(DISPLAY_P3)}
    ratios = {}
    for kind, megapixels in (("JPEG", MEGAPIXELS[1]), ("JPEG", MEGAPIXELS[0]), ("PNG", MEGAPIXELS[0])):
        with Image.open(io.BytesIO(photo(0, megapixels))) as image:
            files = {name: work / f"{name}.{kind.lower()}" for name in profiles}
            for name, file in files.items():
                image.save(file, kind, quality=88, icc_profile=profiles[name])
        seconds = {name: _cpu_of_decoding(file) for name, file in files.items()}
        ratios |= {f"{kind} {megapixels:g} MP, {name}": seconds[name] / seconds["none"] for name in ("srgb", "p3")}
    return ratios


def _cpu_of_decoding(file: Path, times: int = 20) -> float:
    """Return the median processor seconds to decode a file."""
    costs = []
    for _ in range(times):
        started = time.process_time()
        assert not decode_file(str(file), Geometry(SIZE, SIZE)).problem
        costs.append(time.process_time() - started)
    return statistics.median(costs)


def compared(cost: Cost, reference: Cost, name: str, reference_name: str) -> dict[str, Any]:
    """Return both costs under their names, and their ratios."""
    result = {"ratio": cost.wall / reference.wall, "cpu_ratio": cost.cpu / reference.cpu}
    result |= {name: cost.wall, f"{name}_cpu": cost.cpu}
    return result | {reference_name: reference.wall, f"{reference_name}_cpu": reference.cpu}


def measure_batches(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Compare decoding of batches with reading them from the cache, each in one process."""
    folder = write_photos(args.images / f"photos-{args.photos}", args.photos, MEGAPIXELS)
    split = load(folder, work / "batches-cache", args.cores).splits["train"]
    rng = np.random.default_rng(1)
    batches = [rng.integers(0, len(split), BATCH) for _ in range(args.batches)]
    split.images.read(np.arange(len(split)))  # the first reading also compares checksums
    cached, _ = timed(lambda: [split.images.read(batch) for batch in batches])
    few = batches[: max(1, args.batches // 20)]
    root = folder / "images"
    decoded, _ = timed(lambda: [decode(str(root / split.paths[index]), scaled=True) for b in few for index in b])
    per_batch = Cost(cached.wall / len(batches), cached.cpu / len(batches))
    decoded_per_batch = Cost(decoded.wall / len(few), decoded.cpu / len(few))
    return compared(decoded_per_batch, per_batch, "decoded", "cached") | {"wanted": ">= 50"}


def measure_second_run(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Compare the first load of small images with a second load from the cache."""
    folder = write_small(args.images / f"small-{args.files}", args.files)
    with tempfile.TemporaryDirectory(dir=work) as cache:
        first, _ = timed(lambda: load(folder, Path(cache), args.cores, SMALL_SIZE))
        second, dataset = timed(lambda: load(folder, Path(cache), args.cores, SMALL_SIZE))
    assert dataset.cache.misses == 0
    return compared(first, second, "first", "second") | {"wanted": "<= 3 s"}


def measure_memory(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Measure the peak memory of new processes for several numbers of images, each with an empty cache."""
    counts = sorted(map(int, args.memory.split(",")))
    folders = {count: write_small(args.images / f"small-{count}", count) for count in counts}
    peaks = {count: peak_memory(folder, work, args.cores) for count, folder in folders.items()}
    per_image = (peaks[counts[-1]] - peaks[counts[0]]) / max(1, counts[-1] - counts[0])
    return {"peak_bytes": peaks, "bytes_more_an_image": per_image, "pixel_bytes_an_image": SMALL_SIZE * SMALL_SIZE * 3}


def peak_memory(folder: Path, work: Path, cores: int) -> int:
    """Return the peak resident bytes of a new process that ingests the folder (VmHWM)."""
    root = str(Path(__file__).parent.parent)
    with tempfile.TemporaryDirectory(dir=work) as cache:
        command = [sys.executable, "-c", MEMORY_PROGRAM, str(folder), cache, root, str(cores)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "photos": measure_photos,
    "large": measure_large,
    "profiles": measure_profiles,
    "batches": measure_batches,
    "second_run": measure_second_run,
    "memory": measure_memory,
}


def medians(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of every measured number, and under "all" the ratios of every repeat."""
    result = {
        key: statistics.median(repeat[key] for repeat in repeats) if isinstance(value, float) else value
        for key, value in repeats[0].items()
    }
    return result | {"all": [[repeat[key] for repeat in repeats] for key in ("ratio", "cpu_ratio") if key in result]}


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
    args = parser.parse_args()
    results: dict[str, Any] = {"cores": args.cores, "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        args.images = args.images or work
        for part in args.parts.split(","):
            repeats = 1 if part == "memory" else args.repeats
            results[part] = medians([PARTS[part](args, work) for _ in range(repeats)])
            print(part, json.dumps(results[part]), flush=True)
    args.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
