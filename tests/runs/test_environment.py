"""The record of what a run was computed with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from transfercli.runs import environment


def test_a_tensorflow_without_cuda_is_recorded_as_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package in ("tensorflow", "jax", "jax-cpu"):
            raise PackageNotFoundError(package)
        return {"tensorflow-cpu": "2.21.0"}.get(package, "1.0")

    monkeypatch.setattr(environment, "version", version)
    assert environment.versions()["tensorflow"] == "2.21.0"
    assert "jax" not in environment.versions()
    assert "tensorflow-cpu" not in environment.versions()
