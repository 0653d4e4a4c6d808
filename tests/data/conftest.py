"""Small real images (scikit-learn's digits) and folders of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.digits import Digits, write_folders
from tests.listener import Listener
from transfercli.config.paths import resolve_paths
from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.config.types import Task
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
def digit(digits: Digits) -> Callable[[int], Image.Image]:
    """`digit(n)`: the n-th handwritten digit as a grey 32x32 image; all are different."""
    return digits.image


@pytest.fixture(scope="session")
def png(digits: Digits) -> Callable[[int], bytes]:
    """`png(n)`: the same image as a PNG file."""
    return digits.png


@pytest.fixture(scope="session")
def grow() -> Callable[..., Path]:
    """`grow(folder, {class: count}, first=0)`: write a folder of PNGs."""
    return write_folders


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
        task: Task = "classify",
        **data: object,
    ) -> Dataset:
        config, assigned = DataConfig(train=train, **data), assignments or Assignments()
        used = resolve_paths(compute or ComputeConfig(), folder, ("compute",))
        return load_dataset(
            DataRequest(resolve_paths(config, folder, ("data",)), (size, size), used, assigned, task=task),
            reporter,
        )

    return run
