"""The environment of a run, and its differences from another."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from transfercli.runs import environment
from transfercli.runs.environment import differences, machine, processor_features


def test_differences_are_told_in_words_and_what_was_not_recorded_is_not_compared() -> None:
    then = machine(2, []) | {"features": ["avx2", "fma"], "settings": {"XLA_FLAGS": "a"}, "cores": 1, "system": "X"}
    now = machine(2, ["H100"]) | {"features": ["avx2", "avx512f"], "settings": {}, "system": "X"}
    assert differences(then, now) == [
        "XLA_FLAGS None instead of a",
        "devices with H100",
        "features without fma with avx512f",
    ]
    assert differences({}, now) == []
    assert differences(now, now) == []


def test_the_processors_features_are_those_that_choose_kernels() -> None:
    assert "fpu" not in processor_features()
    assert processor_features() == sorted(set(processor_features()))


def test_a_tensorflow_without_cuda_is_recorded_as_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package in ("tensorflow", "jax", "jax-cpu"):
            raise PackageNotFoundError(package)
        return {"tensorflow-cpu": "2.21.0"}.get(package, "1.0")

    monkeypatch.setattr(environment, "version", version)
    assert environment.versions()["tensorflow"] == "2.21.0"
    assert "jax" not in environment.versions()
    assert "tensorflow-cpu" not in environment.versions()
