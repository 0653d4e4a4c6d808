"""Embedded image folders: scikit-learn's real handwritten digits (UCI ML repository, Alpaydin & Kaynak 1998).

1,797 scans of 8x8 pixels with 17 grey levels, enlarged to 32x32 PNGs. Every fifth image of a class, in scikit-learn's
order, is a test image. The bytes are the same on every machine. `digits-faint` has the same scans, faint on grey paper:
another domain with the same classes.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from transfercli.errors import UsageError
from transfercli.io.atomic import write_errors
from transfercli.text import counted


@dataclass(frozen=True, slots=True)
class Sample:
    """Row of the table of samples. digits: its classes; paper: grey level of the ground; ink: contrast, 0 to 1."""

    digits: tuple[int, ...]
    paper: int = 0
    ink: float = 1.0


SAMPLES: dict[str, Sample] = {
    "digits": Sample(tuple(range(10))),
    "digits-source": Sample(tuple(range(5))),
    "digits-target": Sample(tuple(range(5, 10))),
    "digits-faint": Sample(tuple(range(10)), paper=100, ink=0.4),
}
PIXELS = 32  # height and width of a written image


@dataclass(frozen=True, slots=True)
class WrittenSample:
    """Contents of a sample.

    Attributes:
        train, test: number of images in each split.
        existed: True if the folder already held the sample.
    """

    train: int
    test: int
    classes: tuple[str, ...]
    existed: bool


def write_sample(name: str, folder: Path) -> WrittenSample:
    """Write sample `name` as folder/{train,test}/CLASS/*.png; do nothing if the folder holds it already.

    Raises `UsageError` for an unknown name, and if `folder` is a file or holds other files.
    """
    if name not in SAMPLES:
        raise UsageError(f"unknown sample {name!r}: allowed are {', '.join(SAMPLES)}")
    files = dict(_files(SAMPLES[name]))
    existed = _holds(folder, files, name)
    if not existed:
        with write_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        _write(files, folder)
    train = sum(path.startswith("train/") for path in files)
    return WrittenSample(train, len(files) - train, tuple(map(str, SAMPLES[name].digits)), existed)


def _holds(folder: Path, files: dict[str, bytes], name: str) -> bool:
    """Return True if `folder` holds exactly this sample, False if it is missing or empty.

    Raises `UsageError` if it is a file or holds other files.
    """
    if folder.is_symlink() and not folder.exists():
        raise UsageError(f"{str(folder)!r} is a broken symbolic link", "name a folder that does not exist yet")
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise UsageError(f"{str(folder)!r} is a file; a folder is needed", "name a folder that does not exist yet")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not present and not any(folder.iterdir()):
        return False
    if present == set(files) and all((folder / path).read_bytes() == content for path, content in files.items()):
        return True
    raise UsageError(
        f"{str(folder)!r} is not empty ({counted(len(present), 'file')}) and is not the sample {name!r}",
        "name a folder that does not exist yet",
    )


def _write(files: dict[str, bytes], folder: Path) -> None:
    """Write all files or none; they are not fsynced, because they can be written again at any time."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    with write_errors(folder):
        try:
            for path, content in files.items():
                target = temporary / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _files(sample: Sample) -> Iterator[tuple[str, bytes]]:
    """Yield the relative path and the content of each file."""
    from sklearn.datasets import load_digits

    data = load_digits()
    for digit in sample.digits:
        for number, index in enumerate(np.flatnonzero(data.target == digit)):
            split = "test" if number % 5 == 4 else "train"
            yield f"{split}/{digit}/{index:04d}.png", _png(data.images[index], sample)


def _png(levels: np.ndarray, sample: Sample) -> bytes:
    """Return a 32x32 grey PNG of an 8x8 image with levels 0-16, on the sample's paper."""
    small = np.rint(levels * 255 / 16).astype(np.uint8)
    large = Image.fromarray(small).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
    large = large.point([round(sample.paper + sample.ink * level) for level in range(256)])
    buffer = io.BytesIO()
    # Uncompressed, because builds of Pillow compress differently and the bytes must be the same everywhere.
    large.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()
