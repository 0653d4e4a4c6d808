"""`cache show` and `cache clear` with local copies of remote objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.object_server import BUCKET, ObjectServer
from transfercli.data.dataset import Dataset
from transfercli.data.remote import versions
from transfercli.workflows.data.cache import clear_caches, show_caches

Load = Callable[..., Dataset]
Grow = Callable[..., Path]


def test_copies_are_counted_and_cleared_once_no_process_reads_them(
    tmp_path: Path, grow: Grow, load: Load, server: ObjectServer, cache_folder: Path
) -> None:
    folder = grow(tmp_path / "images", {"a": 8, "b": 8})
    server.upload(folder, "images/")
    records = load(tmp_path, train=f"s3://{BUCKET}/images").records
    size = sum(path.stat().st_size for path in folder.rglob("*.png"))
    shown = show_caches(None).caches["remote"]
    assert shown.entries == 16
    assert shown.bytes >= size

    in_use = clear_caches(None)
    assert in_use.cleared is not None
    assert in_use.cleared.in_use >= size
    assert in_use.caches["remote"].entries == 16

    versions.mirror_at(cache_folder).close()
    versions.mirror_at.cache_clear()
    cleared = clear_caches(None)
    assert cleared.cleared is not None
    assert cleared.cleared.freed >= size
    assert cleared.caches["remote"].bytes == cleared.caches["remote"].entries == 0
    assert load(tmp_path, train=f"s3://{BUCKET}/images").records == records
