"""Fifty requests that no friend sends, each with the statuses that it may be answered with."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

PLAIN, ROWS, TENSORS = "/predict/digits", "/v1/models/digits:predict", "/v2/models/digits/infer"
JSON, FORM = "application/json", "multipart/form-data; boundary=x"
UNREADABLE = (422,)
WRONG = (400,)
TOO_LARGE = (413,)


@dataclass(frozen=True)
class Hostile:
    """A request. allowed: statuses of its answer."""

    name: str
    path: str
    body: bytes
    media: str
    allowed: tuple[int, ...]
    headers: tuple[str, ...] = ()

    def as_bytes(self) -> bytes:
        lines = [
            f"POST {self.path} HTTP/1.1",
            "Host: 127.0.0.1",
            "Connection: close",
            f"Content-Type: {self.media}",
            f"Content-Length: {len(self.body)}",
            *self.headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def png_of_size(width: int, height: int, rows: bytes = b"") -> bytes:
    """Return a PNG file that says it is of a size, whatever it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(20_000_000))
    return buffer.getvalue()


def files() -> Iterator[tuple[str, bytes]]:
    """Yield bytes that are sent as images."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    good = encoded(noise, "PNG")
    jpeg = encoded(noise, "JPEG")
    yield "empty png", good[:8]
    yield "half a png", good[: len(good) // 2]
    yield "png with wrong checksums", good[:29] + bytes(4) + good[33:]
    yield "head of a jpeg", jpeg[:200]
    yield "png bomb of 30000 pixels a side", png_of_size(30_000, 30_000, bytes(1_000_000))
    yield "png of 2 billion pixels a side", png_of_size(2**31 - 1, 2**31 - 1)
    yield "png of no pixels", png_of_size(0, 0)
    yield "png without rows", png_of_size(64, 64)
    yield "png whose text is a bomb", good[:33] + _text_bomb() + good[33:40]
    yield (
        "tiff of a huge size",
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", 2)
        + b"".join(struct.pack("<HHII", tag, 4, 1, 2**31) for tag in (256, 257)),
    )
    yield "tiff that refers to itself", b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    yield "bmp of a huge size", b"BM" + struct.pack("<IHHIIiiHH", 100, 0, 0, 54, 40, 2**30, 2**30, 1, 24) + bytes(24)
    yield "gif of a huge size", b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,\0\0\0\0" + b"\xff" * 20
    yield "webp that ends early", encoded(noise, "WEBP")[:40]
    yield "picture of vectors", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "entities", b'<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><svg>&c;</svg>'
    yield "postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n"
    yield "zip bomb", zip_bomb()
    yield "page", b"<html><script>alert(1)</script></html>"
    yield "pickle", b"cposix\nsystem\n(S'touch /tmp/hostile'\ntR."
    yield "zeros", bytes(1_000_000)
    yield "path", b"/etc/passwd"


def _text_bomb() -> bytes:
    content = b"Comment\0\0" + zlib.compress(bytes(50_000_000))
    return struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))


def texts() -> Iterator[tuple[str, str, str | bytes, tuple[int, ...]]]:
    """Yield name, path, JSON and statuses of requests with JSON."""
    bomb = base64.b64encode(png_of_size(30_000, 30_000, bytes(1_000_000))).decode()
    levels = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3]}
    yield "nesting", ROWS, "[" * 3_000_000, WRONG
    yield "nesting of objects", ROWS, '{"instances":' * 300_000, WRONG
    yield "50 MB of lists", ROWS, '{"instances": [' + "[0],[1]," * 6_200_000 + "[0]]}", TOO_LARGE + WRONG
    yield "50 MB of numbers", ROWS, '{"instances": [[' + "0," * 25_000_000 + "0]]}", WRONG
    yield "20 MB of one number", ROWS, '{"instances": [' + "9" * 20_000_000 + "]}", WRONG
    yield "text without end", ROWS, '{"instances": ["' + "a" * 20_000_000, WRONG
    yield "many keys", ROWS, "{" + ",".join(f'"{n}":0' for n in range(500_000)) + "}", WRONG
    yield "wide images", ROWS, json.dumps({"instances": [[[[0, 0, 0]] * 500_000]]}), (200, 400)
    yield "many images", ROWS, json.dumps({"instances": [[[[0, 0, 0]]]] * 50_000}), TOO_LARGE
    yield "bomb in base64", ROWS, json.dumps({"instances": [{"b64": bomb}]}), WRONG
    yield "bombs in base64", ROWS, json.dumps({"instances": [{"b64": bomb}] * 100}), WRONG
    yield "nan", ROWS, '{"instances": [[[[NaN, 1, 2]]]]}', WRONG
    yield "half a surrogate", ROWS, '{"signature_name": "\\ud800", "instances": []}', WRONG
    yield "bytes that are no text", ROWS, b'{"instances": "\xff\xfe"}', WRONG
    yield "shape that lies", TENSORS, json.dumps({"inputs": [{**levels, "shape": [10**9] * 4, "data": [0]}]}), TOO_LARGE
    yield "shape of many images", TENSORS, json.dumps({"inputs": [{**levels, "shape": [10**9, 1, 1, 3]}]}), TOO_LARGE
    yield "outputs without end", TENSORS, json.dumps({"inputs": [levels], "outputs": [{}] * 10**6}), WRONG
    yield "id without end", TENSORS, json.dumps({"id": "a" * 10**7, "inputs": [levels]}), WRONG


def hostile_requests() -> list[Hostile]:
    """Return all requests."""
    found = [Hostile(name, PLAIN, body, "image/png", UNREADABLE) for name, body in files()]
    for name, path, text, allowed in texts():
        found.append(Hostile(name, path, text if isinstance(text, bytes) else text.encode(), JSON, allowed))
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../b.png"\r\n\r\n'
    forms = {
        "form without end": (part + b"a" * 1_000_000, WRONG),
        "form of many files": ((part + b"a\r\n") * 100_000 + b"--x--\r\n", TOO_LARGE),
        "form of long headers": (b"--x\r\nA: " + b"b" * 3_000_000 + b"\r\n\r\n--x--\r\n", WRONG),
        "form of files that are none": ((part + b"a\r\n") * 9 + b"--x--\r\n", UNREADABLE),
        "form of boundaries": (b"--x\r\n" * 1_000_000, WRONG),
    }
    found += [Hostile(name, PLAIN, body, FORM, allowed) for name, (body, allowed) in forms.items()]
    length = "Inference-Header-Content-Length: "
    tensors = json.dumps({"inputs": [{"name": "e", "datatype": "BYTES", "shape": [1]}]}).encode()
    found += [
        Hostile("gzip bomb", PLAIN, zlib.compress(bytes(10_000_000)), "image/png", (415,), ("Content-Encoding: gzip",)),
        Hostile("too large", PLAIN, bytes(70_000_000), "image/png", TOO_LARGE),
        Hostile("length of another", TENSORS, tensors, JSON, WRONG, (f"{length}9999999999",)),
        Hostile(
            "bytes behind",
            TENSORS,
            tensors + bytes(9),
            JSON,
            WRONG,
            (f"{length}{len(tensors)}",),
        ),
        Hostile("compressed twice", ROWS, b"x", JSON, (415,), ("Content-Encoding: gzip, gzip",)),
    ]
    return found
