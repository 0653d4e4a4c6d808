"""Addresses of clusters, workers by the resources of nodes, and a process without Ray. No cluster is started."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from transfercli.errors import ClusterError, UsageError, exit_code
from transfercli.workflows.cluster import cluster
from transfercli.workflows.cluster.cluster import Workers, check_address, check_ray_installed, connected_cluster


@pytest.mark.parametrize(
    "nodes, expected",
    [
        ([{"CPU": 2.0}], Workers(1, 2)),
        ([{"CPU": 64.0}], Workers(16, 4)),
        ([{"CPU": 0.0}, {"CPU": 1.0}, {"CPU": 1.0}], Workers(2, 1)),  # a head node that has no work
        ([{"CPU": 3.0}, {"CPU": 8.0}], Workers(3, 3)),  # 1 and 2
        ([{"CPU": 32.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 1.0}, {"CPU": 8.0}], Workers(5, 8, 1)),
        ([{"CPU": 0.0}], None),
        ([], None),
    ],
)
def test_workers_follow_from_the_nodes(nodes: list[dict[str, float]], expected: Workers | None) -> None:
    assert Workers.of(nodes) == expected


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1", "host:port", ":6379"])
def test_an_address_of_another_kind_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError, match="must be HOST:PORT"):
        check_address(address)


def test_an_address_where_nothing_answers_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_address(f"127.0.0.1:{port}")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(ClusterError, match="no Ray cluster answers at RAY_ADDRESS") as error, connected_cluster():
        pytest.fail("connected")
    assert exit_code(error.value) == 75
    assert "without RAY_ADDRESS" in str(error.value.hint)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None if name == "ray" else object())
    with pytest.raises(UsageError, match="needs ray, which is not installed") as error:
        check_ray_installed()
    assert error.value.hint == "pip install 'transfercli[ray]'"


def test_a_token_protects_a_local_cluster_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    with cluster._local_files() as folder:
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
        assert Path(folder).stat().st_mode & 0o077 == 0
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert not Path(folder).exists()
