"""Caches that are merged: every sound row once, whatever else the other folder holds."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from transfercli.data.cache import segments
from transfercli.data.cache.images import DiskCache
from transfercli.data.cache.index import INDEX, Index
from transfercli.data.cache.merge import MergeCounts, merge
from transfercli.data.cache.segments import Segments, Space, segment_files
from transfercli.data.image import Decoded, FileState, Geometry
from transfercli.errors import DiskError, OutOfSpaceError, UsageError
from transfercli.reporting import Reporter

GEOMETRY, GIGABYTE = Geometry(6, 5), 10**9
FEATURES = Space("features/0123abcd", (7, 3), "float32")


def key(number: int) -> str:
    return f"{number:064}"


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (6, 5, 3), np.uint8)


def features(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(7, 3)).astype("float32")


def fill(folder: Path, numbers: Sequence[int]) -> Path:
    """A cache with an image and its features for each number, and the state of its file."""
    images = DiskCache(folder, GEOMETRY, GIGABYTE)
    for number in numbers:
        state = FileState(1, 2, 3, number)
        decoded = Decoded(key(number), f"p{number}", 60, 50, state, notes="grey", pixels=pixels(number))
        images.add(decoded)
        images.remember(f"/data/{number}.png", decoded)
    images.close()
    rows = Segments(folder, FEATURES, GIGABYTE)
    for number in numbers:
        rows.append(segments.Entry(f"{key(number)}:0"), features(number))
    rows.close()
    return folder


def take(root: Path, *folders: Path, limit: int = GIGABYTE) -> MergeCounts:
    return merge(root, folders, limit, Reporter())


def check(root: Path, numbers: Sequence[int]) -> None:
    """Assert that the cache has exactly these images and features, each with its own content."""
    images, rows = DiskCache(root, GEOMETRY, GIGABYTE), Segments(root, FEATURES, GIGABYTE)
    found = images.entries([key(number) for number in range(100)])
    assert sorted(found) == [key(number) for number in numbers]
    for number in numbers:
        image, feature = found[key(number)], rows.entry(f"{key(number)}:0")
        assert feature is not None
        assert (image.pixel_hash, image.width, image.height, image.notes) == (f"p{number}", 60, 50, "grey")
        np.testing.assert_array_equal(images.rows(image.segment)[image.row], pixels(number))
        np.testing.assert_array_equal(rows.rows(feature.segment)[feature.row], features(number))
    images.close()
    rows.close()


def test_rows_are_taken_once_with_what_is_known_of_their_files(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "one", range(5)), fill(tmp_path / "other", range(3, 9))
    with sqlite3.connect(one / INDEX) as index:
        index.execute("INSERT INTO file_headers VALUES ('a', 'PNG', '', '', '')")
        index.execute("INSERT INTO looks VALUES (?, 'k', 1, x'00')", (GEOMETRY.space,))
    root = fill(tmp_path / "root", [0])
    counts = take(root, one, other)
    assert {name: (kind.taken, kind.known) for name, kind in counts.kinds.items()} == {
        "images": (8, 3),
        "features": (8, 3),
    }
    assert counts.bytes == 8 * (6 * 5 * 3 + 7 * 3 * 4)
    again = take(root, one, other)
    assert (again.taken, again.bytes, again.refused) == (0, 0, [])
    check(root, range(9))
    index = Index(root)
    assert index.sha256s_of([("/data/7.png", FileState(1, 2, 3, 7))]) == [key(7)]
    assert index.headers(["a"]) == {"a": ("PNG", "", "", "")}
    assert index.fingerprints(GEOMETRY.space, 1, ["k"]) == {"k": b"\0"}
    index.close()


def test_the_other_folder_is_not_written(tmp_path: Path) -> None:
    other = fill(tmp_path / "other", range(3))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in other.rglob("*") if path.is_file()}
    take(tmp_path / "root", other)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in other.rglob("*") if p.is_file()} == before


def test_the_cache_of_a_version_without_some_of_the_tables_is_read(tmp_path: Path) -> None:
    other = fill(tmp_path / "other", range(3))
    with sqlite3.connect(other / INDEX) as index:
        for table in ("notes", "file_headers", "looks"):
            index.execute(f"DROP TABLE {table}")
    assert take(tmp_path / "root", other).taken == 6


def test_an_index_that_is_locked_is_an_error_and_not_an_empty_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fill(tmp_path / "other", range(3))
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **options: connect(*given, **options | {"timeout": 0}))
    writer = connect(other / INDEX, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UsageError, match="other' cannot be read: database is locked"):
        take(tmp_path / "root", other)
    writer.close()


def segment_of(folder: Path, kind: str) -> Path:
    (path,) = (folder / kind).glob("*/*.rows")
    return path


def test_a_damaged_row_is_named_and_the_others_are_taken(tmp_path: Path) -> None:
    other = fill(tmp_path / "other", range(6))
    path = segment_of(other, "images")
    content = bytearray(path.read_bytes())
    content[0] ^= 1  # of the first row
    path.write_bytes(content)
    counts = take(tmp_path / "root", other)
    (refused,) = counts.refused
    assert (refused.rows, refused.folder / refused.file) == (1, path)
    assert key(0) in refused.reason
    assert (counts.kinds["images"].taken, counts.kinds["features"].taken) == (5, 6)
    content[0] ^= 1
    path.write_bytes(content)
    assert take(tmp_path / "root", other).taken == 1
    check(tmp_path / "root", range(6))


@pytest.mark.parametrize("damage", ["cut", "gone", "other bytes", "a path as its name"])
def test_a_damaged_segment_is_named_and_the_others_are_taken(damage: str, tmp_path: Path) -> None:
    other = fill(tmp_path / "other", range(6))
    path = segment_of(other, "features")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "gone":
        path.unlink()
    elif damage == "other bytes":
        path.write_bytes(bytes(path.stat().st_size))
    else:
        with sqlite3.connect(other / INDEX) as index:
            for table in ("segments", "entries"):
                index.execute(f"UPDATE {table} SET space = 'features/../../x' WHERE space LIKE 'features/%'")
    counts = take(tmp_path / "root", other)
    (refused,) = counts.refused
    assert refused.rows == 6
    assert (counts.kinds["images"].taken, counts.kinds["features"].taken) == (6, 0)
    assert not (tmp_path / "x").exists()


def test_what_is_no_cache_is_refused_before_a_row_is_taken(tmp_path: Path) -> None:
    other = fill(tmp_path / "other", range(2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no cache folder"):
        take(tmp_path / "root", other, tmp_path / "empty")
    (tmp_path / "empty" / INDEX).write_bytes(b"no database" * 100)
    with pytest.raises(UsageError, match="cannot be read"):
        take(tmp_path / "root", other, tmp_path / "empty")
    assert not (tmp_path / "root").exists()


def test_the_limits_hold_and_what_was_taken_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = fill(tmp_path / "one", range(4)), fill(tmp_path / "other", range(4, 10))
    limit = 5 * (6 * 5 * 3 + 7 * 3 * 4)
    with pytest.raises(OutOfSpaceError, match="8 rows taken so far are kept"):
        take(tmp_path / "root", one, other, limit=limit)
    check(tmp_path / "root", range(4))
    # A cache that is full gives up what was used least recently.
    assert take(tmp_path / "root", other, limit=int(6.5 * (6 * 5 * 3 + 7 * 3 * 4))).taken == 12
    check(tmp_path / "root", range(4, 10))
    monkeypatch.setattr(segments.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(DiskError):
        take(tmp_path / "full", one)
    assert segment_files(tmp_path / "full") == []


KILLED = """
import os, signal, sys
from pathlib import Path
from transfercli.data.cache import merge, segments
from transfercli.reporting import Reporter
segments.SEGMENT_BYTES = 300
rename = Path.rename
def killed(path, target, count=[0]):
    count[0] += path.suffix == ".tmp"
    if count[0] == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)
Path.rename = killed
merge.merge(Path(sys.argv[1]), [Path(sys.argv[2])], 10**9, Reporter())
"""


@pytest.mark.parametrize("segment", [1, 3])
def test_a_merge_that_is_killed_goes_on_when_it_is_started_again(segment: int, tmp_path: Path) -> None:
    other, root = fill(tmp_path / "other", range(20)), tmp_path / "root"
    ended = subprocess.run([sys.executable, "-c", KILLED, root, other, str(segment)], check=False)
    assert ended.returncode == -signal.SIGKILL
    counts = take(root, other)
    assert counts.taken < 40 or segment == 1
    assert counts.taken + sum(kind.known for kind in counts.kinds.values()) == 40
    assert counts.refused == []
    check(root, range(20))


def test_merges_at_the_same_time_take_each_row_once(tmp_path: Path) -> None:
    others = [fill(tmp_path / f"other{number}", range(number, number + 15)) for number in range(3)]
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda folder=folder: taken.append(take(tmp_path / "root", folder, *others).taken))
        for folder in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(taken) == 2 * 17
    check(tmp_path / "root", range(17))
