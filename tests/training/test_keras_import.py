"""Keras is imported with its defaults, whatever keras.json and its variables say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transfercli.errors import UsageError
from transfercli.training.keras_import import check_backend

STATE = """
import json
from transfercli.training.keras_import import import_keras

keras = import_keras()
from keras.src.utils.file_utils import config

values = [keras.config.floatx(), keras.config.image_data_format(), keras.config.epsilon(), keras.config.backend()]
print(json.dumps([values, keras.config.max_epochs(), keras.config.max_steps_per_epoch(), config.keras_home()]))
"""
OTHERS = {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "x", "KERAS_NNX_ENABLED": "true"}


@pytest.mark.parametrize(
    "content",
    [
        '{"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1, "backend": "jax"}',
        pytest.param('{"floatx": "float128", "backend": "none"}', marks=pytest.mark.slow),
    ],
)
def test_someone_elses_settings_are_not_read_and_the_folder_of_weights_is_kept(tmp_path: Path, content: str) -> None:
    (tmp_path / "keras.json").write_text(content)
    environment = {**os.environ, **OTHERS, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    done = subprocess.run([sys.executable, "-c", STATE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    defaults = ["float32", "channels_last", 1e-7, "tensorflow"]
    assert json.loads(done.stdout) == [defaults, None, None, str(tmp_path)]
    assert [path.name for path in tmp_path.iterdir()] == ["keras.json"]


@pytest.mark.parametrize("name", ["torch", "nonsense", "TensorFlow"])
def test_a_backend_that_is_not_supported_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(UsageError, match=rf"KERAS_BACKEND is '{name}'; .* tensorflow and jax"):
        check_backend()
