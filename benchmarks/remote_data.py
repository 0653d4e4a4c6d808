"""Cost of fetching: images as single objects of an S3 server, and as one tar shard; memory of a large shard.

Usage: python -m benchmarks.remote_data

It starts an S3 server (moto) and a web server on loopback, and prints a Markdown table. The images are scikit-learn's
digits; a shard of 1 GB holds one image and one large member that is not read.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

IMAGES = 200
LARGE = 1_000_000_000
_BLOCK = 1024 * 1024


def main() -> None:
    """Measure and print."""
    from tests.data.remote.test_shards import shards
    from tests.digits import write_folders
    from tests.object_server import BUCKET, object_server

    with tempfile.TemporaryDirectory() as scratch, object_server(os.environ.__setitem__) as server:
        images = write_folders(Path(scratch, "images"), {"a": IMAGES // 2, "b": IMAGES // 2})
        shards(images, Path(scratch, "shards"), size=IMAGES)
        server.upload(images, "images/")
        server.upload(Path(scratch, "shards"), "shards/")
        rows = []
        for name, address in (("objects", f"s3://{BUCKET}/images"), ("one tar shard", f"s3://{BUCKET}/shards")):
            os.environ["TRANSFERCLI_CACHE"] = str(Path(scratch, name))
            server.requests.clear()
            seconds = [fetched(address), fetched(address)]
            rows.append((name, len(server.requests), *seconds))
    print(
        f"| {IMAGES} images as | requests, both times | seconds, first time | seconds, unchanged |\n"
        "| --- | ---: | ---: | ---: |"
    )
    for name, requests, first, again in rows:
        print(f"| {name} | {requests} | {first:.2f} | {again:.2f} |")
    print(f"\n{rows[0][2] / rows[1][2]:.1f} times as long for objects.")
    print(f"A shard of {LARGE / 1e9:g} GB needs {memory_of_large_shard():.0f} MB of memory beyond a small one.")


def fetched(address: str) -> float:
    """Return the seconds in which the files at an address are listed and fetched."""
    from transfercli.config.paths import user_cache
    from transfercli.config.schema import DataConfig
    from transfercli.data.remote.remote_files import RemoteFiles
    from transfercli.data.sources.listing import list_images
    from transfercli.reporting import Reporter

    start = time.perf_counter()
    files = [item.file for item in list_images(DataConfig(train=address), Reporter()).items]
    remote = RemoteFiles(files, user_cache(), 1 << 30, lambda: None)
    for _, file in remote.arriving([file for file in files if file in remote.files], 1 << 30):
        remote.used(file)
    return time.perf_counter() - start


def memory_of_large_shard() -> float:
    """Return the additional peak memory, in MB, of a process that lists a large shard behind HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        peaks = [_peak(f"http://127.0.0.1:{server.server_port}/{size}/all.tar") for size in (_BLOCK, LARGE)]
    finally:
        server.shutdown()
    return (peaks[1] - peaks[0]) / 1024


def _peak(address: str) -> int:
    code = f"from benchmarks.remote_data import fetched, peak; fetched({address!r}); print(peak())"
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TRANSFERCLI_CACHE": cache}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def peak() -> int:
    """Return the largest resident memory of this process so far, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class _Shard(BaseHTTPRequestHandler):
    """Server of a shard that is made while it is sent: one image with its class, and a member of the asked size."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._head(self._parts())

    def do_GET(self) -> None:
        head, size, end = parts = self._parts()
        self._head(parts)
        self.wfile.write(head)
        for start in range(0, size, _BLOCK):
            self.wfile.write(bytes(min(_BLOCK, size - start)))
        self.wfile.write(end)

    def _head(self, parts: tuple[bytes, int, bytes]) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{parts[1]}"')
        self.send_header("Content-Length", str(len(parts[0]) + parts[1] + len(parts[2])))
        self.end_headers()

    def _parts(self) -> tuple[bytes, int, bytes]:
        """Return what stands before the large member's content, its size, and what follows."""
        from tests.digits import all_digits

        size = int(self.path.split("/")[1]) // 512 * 512
        members = {"0.png": all_digits().png(0), "0.cls": b"a", "1.png": all_digits().png(1), "1.cls": b"b"}
        small = b"".join(
            _header(name, len(content)) + content + bytes(-len(content) % 512) for name, content in members.items()
        )
        return small + _header("large.bin", size), size, bytes(1024)


def _header(name: str, size: int) -> bytes:
    """Return the header of a member (POSIX ustar)."""
    fields = (
        name.encode().ljust(100, b"\0")
        + b"0000644\0"
        + b"0000000\0" * 2
        + f"{size:011o}\0".encode()
        + b"0" * 11
        + b"\0"
    )
    rest = b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(247)
    checksum = sum(fields) + sum(rest) + 8 * 0x20
    return fields + f"{checksum:06o}\0 ".encode() + rest


if __name__ == "__main__":
    main()
