"""`data features --engine ray` with workers in this process: no cluster is started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.conftest import World
from transfercli.errors import ClusterError
from transfercli.reporting import Reporter
from transfercli.workflows.cluster.cluster import Cluster, Workers
from transfercli.workflows.cluster.worker import Located
from transfercli.workflows.data import features_on_ray
from transfercli.workflows.data.features import FeaturesRequest, fill_features
from transfercli.workflows.data.features_on_ray import FeaturesTask, fill_features_on_ray


@pytest.fixture
def target(source: Any, digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[World, Path]:
    """A world with a cache of its own, and a config."""
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(tmp_path / "cache"))
    world = World(tmp_path, digits_folder)
    model, transfer = {"weights": {"run": source[1]["run"]}}, {"strategy": "linear_probe"}
    return world, world.config("target", "digits-target", model=model, transfer=transfer)


def use_cluster(monkeypatch: pytest.MonkeyPatch, address: str, nodes: int = 2) -> None:
    """Replace Ray by one worker for each node, in this process."""

    @contextmanager
    def connected() -> Iterator[Cluster]:
        yield Cluster(address, Workers(nodes, 1))

    def results(cluster: Cluster, task: FeaturesTask, names: Sequence[str], block: int) -> Iterator[Located | None]:
        workers = [task.load(1) for _ in range(nodes)]
        for number, name in enumerate(names):
            yield None
            yield Located(workers[number % nodes]([name])[0], f"node{number % nodes}")

    monkeypatch.setattr(features_on_ray, "connected_cluster", connected)
    monkeypatch.setattr(features_on_ray, "results_in_order", results)


@pytest.mark.parametrize("address", ["", "127.0.0.1:6379"])
def test_a_training_after_it_finds_every_image_and_feature(
    target: tuple[World, Path], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, config = target
    use_cluster(monkeypatch, address)
    result = fill_features_on_ray(FeaturesRequest(config, world.runs), Reporter()).as_json()
    again = fill_features(FeaturesRequest(config, world.runs), Reporter()).as_json()
    assert (again["cache"]["images"]["misses"], again["cache"]["features"]["misses"]) == (0, 0)
    for key in ("folder", "images", "unreadable", "features"):
        assert result[key] == again[key], key
    assert result["cache"]["features"]["bytes"] == again["cache"]["features"]["bytes"]
    assert 0 < result["cache"]["images"]["misses"] <= result["images"]
    assert list((tmp_path / "cache").glob("ray-*")) == []
    trained = world.train("finetune", config)["cache"]
    assert (trained["images"]["misses"], trained["features"]["misses"]) == (0, 0)


def test_a_second_time_a_cluster_of_this_machine_computes_nothing(
    target: tuple[World, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, config = target
    use_cluster(monkeypatch, "", nodes=1)
    fill_features_on_ray(FeaturesRequest(config, world.runs), Reporter())
    again = fill_features_on_ray(FeaturesRequest(config, world.runs), Reporter()).as_json()
    assert (again["cache"]["images"]["misses"], again["cache"]["features"]["misses"]) == (0, 0)


def test_a_node_whose_folder_is_not_seen_here_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"node n1 of the cluster filled .*, which this machine cannot read"):
        features_on_ray._check_seen(tmp_path / "elsewhere", "n1")
