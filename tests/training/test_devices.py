"""The device of a backend. No machine that runs these tests has a GPU: the lists of several are made up."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from tests.listener import Listener
from transfercli.config.schema import ComputeConfig
from transfercli.errors import ConfigError
from transfercli.training import backend
from transfercli.training.backend import prepare
from transfercli.training.devices import accelerators, choose_device, device_name


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TensorFlow and JAX with three GPUs; the result has what is made visible to TensorFlow, and JAX's settings."""
    import jax
    import tensorflow as tf

    gpus = [SimpleNamespace(name=f"GPU {n}", device_kind=f"Large GPU {n}", platform="gpu") for n in range(3)]
    config = SimpleNamespace(jax_default_device=None, update=lambda name, value: setattr(config, name, value))
    made = SimpleNamespace(visible=list(gpus), settings=vars(config))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: list(gpus))
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: made.visible)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda chosen, _: setattr(made, "visible", chosen))
    details = lambda gpu: {"device_name": gpu.device_kind}  # noqa: E731
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    monkeypatch.setattr(jax, "devices", lambda: gpus)
    monkeypatch.setattr(jax, "local_devices", lambda **_: gpus)
    monkeypatch.setattr(jax, "config", config)
    return made


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
@pytest.mark.parametrize("device, used", [("auto", [0, 1, 2]), ("gpu", [0, 1, 2]), ("gpu:0", [0]), ("gpu:2", [2])])
def test_a_gpu_is_chosen_by_its_number(
    three_gpus: Any, monkeypatch: pytest.MonkeyPatch, name: str, device: str, used: list[int]
) -> None:
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: name)
    choose_device(device, name)
    assert accelerators() == [f"Large GPU {number}" for number in used]
    assert device_name() == f"Large GPU {used[0]}"


def test_the_processor_is_chosen_before_a_gpu_is_touched(three_gpus: Any) -> None:
    choose_device("cpu", "tensorflow")
    assert three_gpus.visible == []
    choose_device("cpu", "jax")
    assert three_gpus.settings["jax_platforms"] == "cpu"


@pytest.mark.parametrize("name, library", [("tensorflow", "TensorFlow"), ("jax", "JAX")])
def test_a_number_out_of_range_is_an_error_that_says_how_many_there_are(
    three_gpus: Any, name: str, library: str
) -> None:
    with pytest.raises(ConfigError, match=rf"device is gpu:3, but {library} found 3 GPUs here, gpu:0 to gpu:2"):
        choose_device("gpu:3", name)


@pytest.mark.parametrize("device", ["gpu", "gpu:0", "gpu:1"])
def test_a_gpu_that_is_not_here_is_an_error_of_the_config_and_a_warning_for_a_finished_run(device: str) -> None:
    compute = ComputeConfig(device=device)
    name = prepare(ComputeConfig(), seed=0)
    with pytest.raises(ConfigError, match=rf"compute.device is {device}, but .* no GPU here, only the proc") as raised:
        prepare(compute, seed=0)
    extra = {"tensorflow": "gpu", "jax": "jax-cuda"}[name]
    assert f"pip install 'transfercli[{extra}]'" in str(raised.value.hint)
    listener = Listener()
    assert prepare(compute, 0, listener) == name
    (warning,) = listener.warnings
    assert warning.startswith(f"compute.device of the run is {device}, but")
    assert warning.endswith("it is computed on cpu")


@pytest.mark.parametrize("given", ["", "--xla_gpu_autotune_level=2", "--xla_gpu_deterministic_ops=false"])
def test_a_deterministic_training_adds_to_the_flags_of_xla_that_are_set(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_FLAGS", given)
    backend.set_variables(ComputeConfig())
    assert os.environ["XLA_FLAGS"] == given, "without a GPU's plug-in"
    monkeypatch.setattr(backend, "find_spec", lambda name: name)
    backend.set_variables(ComputeConfig(deterministic=False))
    assert os.environ["XLA_FLAGS"] == given
    backend.set_variables(ComputeConfig())
    added = given if "deterministic" in given else f"{given} --xla_gpu_deterministic_ops=true".strip()
    assert os.environ["XLA_FLAGS"] == added
    backend.set_variables(ComputeConfig())
    assert os.environ["XLA_FLAGS"] == added


def test_threads_are_those_of_the_config_unless_the_user_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("PJRT_NPROC", "")
    monkeypatch.delenv("PJRT_NPROC")
    backend.set_variables(ComputeConfig(threads=3))
    assert (os.environ["OMP_NUM_THREADS"], os.environ["PJRT_NPROC"]) == ("7", "3")
