"""Small real images (scikit-learn's digits), folders of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.listener import Listener
from transfercli.config.paths import resolve_paths
from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data.dataset import Dataset
from transfercli.data.image import Geometry
from transfercli.data.ingest import Reading
from transfercli.data.load import DataRequest, load_dataset
from transfercli.data.splitting.assignments import Assignments


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache") / "transfercli"
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(folder))
    return folder


@pytest.fixture
def reporter() -> Listener:
    return Listener()


@pytest.fixture
def reading(reporter: Listener) -> Reading:
    """How `load` reads, too."""
    return Reading(Geometry(16, 16), 0.01, ComputeConfig(), reporter)


@pytest.fixture(scope="session")
def digit() -> Callable[[int], Image.Image]:
    """The n-th handwritten digit as a grey 32x32 image; all are different."""
    data = load_digits()
    levels = np.rint(data.images * 255 / 16).astype(np.uint8)
    return lambda n: Image.fromarray(levels[n]).resize((32, 32), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def png(digit: Callable[[int], Image.Image]) -> Callable[[int], bytes]:
    def encoded(n: int) -> bytes:
        buffer = io.BytesIO()
        digit(n).save(buffer, "PNG")
        return buffer.getvalue()

    return encoded


@pytest.fixture(scope="session")
def grow(png: Callable[[int], bytes]) -> Callable[..., Path]:
    """Write `{class: count}` as a folder of PNGs; images start at `first` and never repeat within a call."""

    def write(folder: Path, classes: dict[str, int], first: int = 0) -> Path:
        for label, count in classes.items():
            (folder / label).mkdir(parents=True, exist_ok=True)
            for n in range(first, first + count):
                (folder / label / f"{n:04d}.png").write_bytes(png(n))
            first += count
        return folder

    return write


@pytest.fixture
def load(reporter: Listener) -> Callable[..., Dataset]:
    """Load `folder/NAME` as a config would, at 16x16."""

    def run(
        folder: Path,
        train: str = "images",
        *,
        assignments: Assignments | None = None,
        compute: ComputeConfig | None = None,
        size: int = 16,
        **data: object,
    ) -> Dataset:
        config, assigned = DataConfig(train=train, **data), assignments or Assignments()
        used = resolve_paths(compute or ComputeConfig(), folder, ("compute",))
        return load_dataset(
            DataRequest(resolve_paths(config, folder, ("data",)), (size, size), used, assigned),
            reporter,
        )

    return run
