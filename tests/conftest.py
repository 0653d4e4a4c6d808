"""What every test may rely on: quiet libraries, private caches, no weights to be found, and real digits on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

# Set before any test module imports Keras or TensorFlow, and inherited by every child process. Keras looks for data
# sets and weights in KERAS_HOME: an empty folder, so that no test ever finds, or depends on, what a machine holds.
_HOME = tempfile.TemporaryDirectory(prefix="transfercli-tests-", ignore_cleanup_errors=True)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ["KERAS_HOME"] = str(Path(_HOME.name, "keras"))
os.environ["TRANSFERCLI_CACHE"] = str(Path(_HOME.name, "cache"))
os.environ["MPLCONFIGDIR"] = str(Path(_HOME.name, "matplotlib"))
os.environ["MPLBACKEND"] = "agg"
os.environ["NO_COLOR"] = "1"
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("TRANSFERCLI_RUNS", None)


def pytest_unconfigure() -> None:
    _HOME.cleanup()


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `transfercli sample` writes: digits, digits-source and digits-target, each with {train,test}/CLASS/*.png."""
    from transfercli.data.samples import write_sample

    root = tmp_path_factory.mktemp("samples")
    for name in ("digits", "digits-source", "digits-target"):
        write_sample(name, root / name)
    return root
