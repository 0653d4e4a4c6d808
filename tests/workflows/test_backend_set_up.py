"""Keras is imported by the set-up of the backend, and by nothing before it: threads and determinism come first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GUARD = """
import sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "keras":
            frame, names = sys._getframe(), []
            while frame:
                names.append((frame.f_code.co_name, frame.f_code.co_filename))
                frame = frame.f_back
            asked = ("find_spec", "<frozen importlib.util>") in names  # if it is installed, which imports nothing
            if not asked and not any(name == "prepare" and file.endswith("backend.py") for name, file in names):
                raise RuntimeError(f"Keras was imported before the backend was set up: {names[:30]}")
        return None

sys.meta_path.insert(0, Guard())
from transfercli.cli.app import main
main()
"""


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "digits-source"],
        ["data", "drift", "digits-source", "IMAGES"],
        pytest.param(["predict", "digits-source", "IMAGES"], marks=pytest.mark.slow),
        pytest.param(["runs", "why", "digits-source", "digits-source"], marks=pytest.mark.slow),
        pytest.param(["export", "digits-source", "--format", "keras"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_keras_is_imported_by_the_set_up_of_the_backend(source: Any, words: list[str]) -> None:
    world, _ = source
    images = world.samples / "digits-source" / "test"
    arguments = [str(images) if word == "IMAGES" else word for word in words]
    command = [sys.executable, "-c", GUARD, *arguments, "--runs", str(world.runs), "--verbose"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(world.folder))
    assert "before the backend was set up" not in finished.stderr, finished.stderr
    assert "InitializeLog" not in finished.stderr, "TensorFlow's start-up messages are shown"
    assert finished.returncode == 0, finished.stderr
