"""Table of the samples, and the writing of one as a whole folder."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.samples.digits import DigitFolder, SampleFile
from transfercli.data.samples.scenes import FEWEST, MOST, DigitScenes
from transfercli.errors import UsageError
from transfercli.io.atomic import write_errors
from transfercli.text import counted

SAMPLES: dict[str, DigitFolder | DigitScenes] = {
    "digits": DigitFolder(tuple(range(10))),
    "digits-source": DigitFolder(tuple(range(5))),
    "digits-target": DigitFolder(tuple(range(5, 10))),
    "digits-faint": DigitFolder(tuple(range(10)), paper=100, ink=0.4),
    "digits-scenes": DigitScenes(),
}


@dataclass(frozen=True, slots=True)
class WrittenSample:
    """Contents of a sample.

    Attributes:
        images: number of images per split.
        existed: True if the folder already held the sample.
        config: name of its file that is a config, or None.
    """

    images: Mapping[str, int]
    classes: tuple[str, ...]
    existed: bool
    config: str | None


def write_sample(name: str, folder: Path, images: int | None = None) -> WrittenSample:
    """Write sample `name` into `folder`; do nothing if the folder holds it already.

    images: number of images of a sample that may have more or fewer; None for the usual number.

    Raises `UsageError` for an unknown name, for `images` if the sample's number is fixed or out of range, and if
    `folder` is a file or holds other files.
    """
    if name not in SAMPLES:
        raise UsageError(f"unknown sample {name!r}: allowed are {', '.join(SAMPLES)}")
    files = tuple(_of_size(name, images).files())
    existed = _holds(folder, {file.path: file.content for file in files}, name)
    if not existed:
        with write_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        _write(files, folder)
    counts = Counter(file.split for file in files if file.split)
    config = next((file.path for file in files if file.path.endswith(".yaml")), None)
    return WrittenSample(dict(counts), SAMPLES[name].classes, existed, config)


def _of_size(name: str, images: int | None) -> DigitFolder | DigitScenes:
    """Return the sample with a number of images. Raises `UsageError` if it cannot have that number."""
    sample = SAMPLES[name]
    if images is None:
        return sample
    if not isinstance(sample, DigitScenes):
        raise UsageError(f"--images {images}: the sample {name!r} has a fixed number of images", "leave it out")
    if not FEWEST <= images <= MOST:
        raise UsageError(f"--images {images}: the sample {name!r} has {FEWEST} to {MOST:,} images")
    return DigitScenes(images)


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


def _write(files: tuple[SampleFile, ...], folder: Path) -> None:
    """Write all files or none; they are not fsynced, because they can be written again at any time."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    with write_errors(folder):
        try:
            for file in files:
                target = temporary / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.content)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
