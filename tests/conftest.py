"""What every test may rely on: quiet libraries, private caches, no weights to be found, and real digits on disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.digits import Digits

# Set before any test module imports Keras or TensorFlow, and inherited by every child process. Keras looks for data
# sets and weights in KERAS_HOME, the library of the Hugging Face Hub in HF_HOME: empty folders, so that no test ever
# finds, or depends on, what a machine holds.
_HOME = tempfile.TemporaryDirectory(prefix="transfercli-tests-", ignore_cleanup_errors=True)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ["KERAS_HOME"] = str(Path(_HOME.name, "keras"))
os.environ["HF_HOME"] = str(Path(_HOME.name, "huggingface"))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("HF_HUB_CACHE", None)
os.environ["TRANSFERCLI_CACHE"] = str(Path(_HOME.name, "cache"))
os.environ["MPLCONFIGDIR"] = str(Path(_HOME.name, "matplotlib"))
os.environ["MPLBACKEND"] = "agg"
os.environ["NO_COLOR"] = "1"
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("TRANSFERCLI_RUNS", None)


def pytest_unconfigure() -> None:
    _HOME.cleanup()


@pytest.fixture(scope="session")
def digits() -> Digits:
    """scikit-learn's 1,797 digits: features, images and labels, read-only."""
    from tests.digits import all_digits

    return all_digits()


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `transfercli sample` writes: digits, digits-source and digits-target, each with {train,test}/CLASS/*.png."""
    from transfercli.data.samples.writing import write_sample

    root = tmp_path_factory.mktemp("samples")
    for name in ("digits", "digits-source", "digits-target"):
        write_sample(name, root / name)
    return root


@pytest.fixture
def small_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add transformers for images of 64 pixels, `tiny_vit` and `tiny_vit_registers`, to the table of bases."""
    from tests.models.transformers import ROWS
    from transfercli.models.bases import BASES

    for name, row in ROWS.items():
        monkeypatch.setitem(BASES, name, row)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(text, name="config.yaml")` -> its path; folders are made."""

    def write_file(text: str | bytes, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_file
