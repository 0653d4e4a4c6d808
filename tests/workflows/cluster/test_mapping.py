"""One result per path, in order, whatever the cluster gives back: late, twice, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from transfercli.errors import ArtefactError, ClusterError, as_facts, exit_code
from transfercli.workflows.cluster import mapping
from transfercli.workflows.cluster.cluster import Cluster, Workers
from transfercli.workflows.cluster.mapping import block_size, results_in_order
from transfercli.workflows.cluster.worker import Failure, Located

CLUSTER = Cluster("127.0.0.1:1", Workers(2, 1))
PATHS = [f"{number}.png" for number in range(6)]


def values(monkeypatch: pytest.MonkeyPatch, *passes: Sequence[Any]) -> list[Any]:
    """Return the values for PATHS if the n-th pass gives these rows, or failures, or pauses (None)."""
    asked = iter(passes)

    def stream(cluster: Cluster, task: Any, paths: Sequence[str], rows: Sequence[int], block: int) -> Iterator[Any]:
        for row in next(asked):
            if row is None:
                yield None
            else:
                yield (0, row) if isinstance(row, Failure) else (row, Located(paths[row], "node"))

    monkeypatch.setattr(mapping, "_Stream", stream)
    return [one and one.value for one in results_in_order(CLUSTER, object(), PATHS)]  # type: ignore[arg-type]


def test_results_come_in_the_order_of_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    assert values(monkeypatch, [3, 4, 5, None, 0, 1, 2]) == [None, *PATHS]


def test_a_result_that_comes_twice_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert values(monkeypatch, [0, 1, 0, 4, 1, 2, 4, 3, 5, 5]) == PATHS


def test_rows_that_never_came_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert values(monkeypatch, [0, 2, 5], [1, 3, 4]) == PATHS


def test_rows_that_are_missing_again_are_an_error_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ClusterError, match=r"no result for 2 of 6 paths, also when asked again; the first is 1\.png"
    ) as error:
        values(monkeypatch, [0, 2], [4, 5])
    assert exit_code(error.value) == 75


def test_a_failure_of_a_worker_is_raised_with_its_kind_and_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = Failure(as_facts(ArtefactError("the run is damaged", "restore it")), "node7")
    with pytest.raises(ArtefactError, match=r"the run is damaged \(on node node7 of the cluster\)") as error:
        values(monkeypatch, [failure])
    assert error.value.hint == "restore it"


@pytest.mark.parametrize(
    "paths, workers, expected", [(40, 2, 32), (3000, 2, 160), (1_000_000, 2, 1024), (10_000, 200, 32)]
)
def test_blocks_are_whole_batches(paths: int, workers: int, expected: int) -> None:
    assert block_size(paths, workers) == expected


def test_a_cluster_without_a_node_for_a_worker_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping._Stream, "_fill", lambda _: None)  # nothing ever arrives
    monkeypatch.setattr(Cluster, "has_room", lambda _: False)
    monkeypatch.setattr(mapping, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(mapping, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(mapping, "POLL_SECONDS", 0.001)
    with pytest.raises(ClusterError, match="no node for a worker"):
        list(mapping._Stream(CLUSTER, object(), PATHS, range(6), 32))  # type: ignore[arg-type]
