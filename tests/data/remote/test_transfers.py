"""Single objects: transfers that are stopped, and addresses that no file can have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.object_server import BUCKET, ObjectServer
from transfercli.data.remote.fetch import fetch
from transfercli.data.remote.mirror import Mirror
from transfercli.data.remote.store import RemoteError, RemoteFile
from transfercli.data.remote.stores import store_of
from transfercli.data.sources.storage.remote_inputs import remote_images
from transfercli.io.addresses import local_copy


class Parts:
    """Store of one object of four parts; the transfer is stopped after the second one."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop

    def file_at(self, address: str) -> RemoteFile:
        return RemoteFile(address, 8, "v1")

    def files_below(self, address: str) -> Iterator[RemoteFile]:
        raise AssertionError("nothing is listed")

    def read(self, address: str, start: int, size: int) -> Iterator[bytes]:
        for place in range(start, size, 2):
            if place == 4:
                self.stop.set()
            yield b"01234567"[place : place + 2]


def test_a_stop_ends_a_large_transfer_which_then_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transfercli.data.remote.fetch.PART_BYTES", 2)
    address, stop = "s3://bucket/all.tar", threading.Event()
    mirror, copy = Mirror(tmp_path), local_copy(address, tmp_path)
    known = RemoteFile(address, 8, "v1")
    mirror.record(None, [known])
    with pytest.raises(RemoteError, match="stopped"):
        fetch(mirror, Parts(stop), address, known, str(copy), stop)
    (part,) = copy.parent.glob(".*.part")
    assert (part.read_bytes(), copy.read_bytes()) == (b"012345", b"")
    stop.clear()
    assert fetch(mirror, Parts(threading.Event()), address, known, str(copy), stop) == 8
    assert copy.read_bytes() == b"01234567"
    mirror.close()


@pytest.mark.parametrize("address", ["https://host/a//b.jpg", "s3://bucket/../x.jpg", "s3://bucket//x/"])
def test_an_address_that_no_file_can_have_is_the_problem_of_its_image(address: str) -> None:
    (image,) = remote_images(address)
    assert (image.path, "cannot be the name of a file" in image.problem) == (address, True)


@pytest.mark.parametrize("content", [b"", b"0123456", b"01234567"])
def test_an_object_of_unknown_size_is_read_to_its_end(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr("transfercli.data.remote.fsspec_store.PART_BYTES", 4)
    server.client().put_object(Bucket=BUCKET, Key="a.bin", Body=content)
    address = f"s3://{BUCKET}/a.bin"
    store = store_of(address)
    assert b"".join(store.read(address, 0, -1)) == content
    assert b"".join(store.read(address, 3, -1)) == content[3:]
    monkeypatch.setattr(store, "file_at", lambda address: RemoteFile(address, -1, "v1"))
    mirror, copy = Mirror(tmp_path), local_copy(address, tmp_path)
    mirror.record(None, [store.file_at(address)])
    assert fetch(mirror, store, address, store.file_at(address), str(copy), threading.Event()) == len(content)
    assert copy.read_bytes() == content
    if content:
        monkeypatch.setattr(mirror, "free", lambda: 5)
        copy.write_bytes(b"")
        with pytest.raises(RemoteError, match="has more than 5 B"):
            fetch(mirror, store, address, store.file_at(address), str(copy), threading.Event())
    mirror.close()
