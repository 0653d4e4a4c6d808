"""`data check --shard`: each shard reports on its own images, and a last check on the merged caches decodes nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from transfercli.data import ingest
from transfercli.errors import UsageError
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.workflows.data.cache import merge_caches
from transfercli.workflows.data.check import CheckRequest, check_data


@pytest.fixture
def request_(digits_folder: Path, tmp_path: Path) -> CheckRequest:
    """A check of 24 images of two classes, one of them a copy of its neighbour, and of a file that is no image."""
    for label in "01":
        files = sorted((digits_folder / "digits" / "train" / label).iterdir())[:12]
        (tmp_path / "data" / label).mkdir(parents=True)
        for file in files:
            shutil.copy(file, tmp_path / "data" / label)
    first, second, *_ = sorted((tmp_path / "data" / "0").iterdir())
    shutil.copy(first, second)
    (tmp_path / "data" / "1" / "damaged.png").write_bytes(b"no image")
    data = {"train": "data", "image_size": 18, "max_bad_fraction": 0.1}
    config = {"name": "checked", "data": data, "model": {"base": "small_cnn", "weights": "none"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return CheckRequest(tmp_path / "config.yaml", tmp_path / "runs", mislabelled=False)


def checked(request: CheckRequest, cache: Path, monkeypatch: Any) -> dict[str, Any]:
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(cache))
    return check_data(request, Reporter()).as_json()


def test_a_last_check_finds_what_no_shard_can_and_decodes_nothing(
    request_: CheckRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = checked(request_, tmp_path / "whole", monkeypatch)
    assert len(whole["duplicates"]) == 1
    hosts = [tmp_path / "host1", tmp_path / "host2"]
    shards = [
        checked(replace(request_, shard=Shard(number, 2)), cache, monkeypatch)
        for number, cache in enumerate(hosts, start=1)
    ]
    assert [shard["shard"] for shard in shards] == ["1/2", "2/2"]
    assert sum(shard["images"] for shard in shards) == whole["images"] == 24
    for label, count in whole["classes"].items():
        assert sum(shard["classes"][label] for shard in shards) == count
    found = [problem["path"] for shard in shards for problem in shard["problems"]]
    assert sorted(found) == sorted(problem["path"] for problem in whole["problems"])
    assert [(shard["duplicates"], shard["splits"], shard["usable"]) for shard in shards] == [([], {}, None)] * 2

    merge_caches(tmp_path / "merged", hosts, None, Reporter())

    def decoded(*_: Any) -> Any:
        raise AssertionError("an image is decoded again")

    monkeypatch.setattr(ingest, "decode_file", decoded)
    assert checked(request_, tmp_path / "merged", monkeypatch) == whole


def test_what_the_names_of_all_files_show_is_refused_by_every_shard(
    request_: CheckRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tmp_path / "data" / "1")
    for number in (1, 2):
        found = checked(replace(request_, shard=Shard(number, 2)), tmp_path / "cache", monkeypatch)
        assert found["usable"] is False
        assert found["refusals"]


def test_a_page_is_of_all_images(request_: CheckRequest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--report is a page on all images"):
        check_data(replace(request_, shard=Shard(1, 2), report=tmp_path / "page"), Reporter())
