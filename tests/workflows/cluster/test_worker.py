"""Worker of a cluster, called as Ray calls it, in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import transfercli
from transfercli.errors import DataError, OutOfSpaceError, UsageError
from transfercli.workflows.cluster.worker import PATH, RESULT, ROW, Compute, Failure, Worker, environment


class Lengths:
    """Task that returns the length of each path; loads: how often it was loaded."""

    def __init__(self, error: Exception | None = None) -> None:
        self.loads, self.error = 0, error

    def load(self, cores: int) -> Compute:
        self.loads += 1

        def compute(paths: Sequence[str]) -> list[int]:
            if self.error:
                raise self.error
            return [len(path) for path in paths]

        return compute


def called(task: Lengths, *batches: list[str], version: str = transfercli.__version__) -> list[Any]:
    worker = Worker(task, 1, version, {})
    results = []
    for paths in batches:
        rows = np.arange(7, 7 + len(paths))
        columns = worker({ROW: rows, PATH: np.array([os.fsencode(path) for path in paths], object)})
        assert columns[ROW].tolist() == rows.tolist()
        results += list(columns[RESULT])
    return results


def test_it_loads_once_and_reads_names_in_any_encoding() -> None:
    task = Lengths()
    results = called(task, ["a.png", "b\udcff.png"], ["é.png"])
    assert [result.value for result in results] == [5, 6, 5]
    assert task.loads == 1


@pytest.mark.parametrize(
    "error, kind", [(DataError("bad", "mend it"), DataError), (MemoryError("no room"), OutOfSpaceError)]
)
def test_an_expected_error_is_the_result_of_every_path(error: Exception, kind: type[Exception]) -> None:
    results = called(Lengths(error), ["a", "b"])
    assert len(results) == 2
    for result in results:
        assert isinstance(result, Failure)
        assert isinstance(result.error(), kind)


def test_a_bug_is_raised() -> None:
    with pytest.raises(KeyError):
        called(Lengths(KeyError("x")), ["a"])


def test_another_version_of_the_program_is_refused() -> None:
    (result,) = called(Lengths(), ["a"], version="0.0")
    assert isinstance(result.error(), UsageError)
    assert "the command is of 0.0" in result.error().message


def test_workers_get_the_backend_and_a_bounded_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    variables = environment(3)
    assert (variables["KERAS_BACKEND"], variables["OMP_NUM_THREADS"]) == ("jax", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert environment(3)["OMP_NUM_THREADS"] == "1"
