"""Folders made to break the program: every file is accepted or reported, within memory, and none is swapped."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from transfercli.config.paths import resolve_paths
from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Geometry
from transfercli.data.load import DataRequest, Examination, examine_dataset
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, OTHER_IMAGES, is_hidden
from transfercli.reporting import Reporter

MEMORY_BYTES = 3 * 1024**3  # of address space, each process; an image of 50 megapixels needs 150 MB a copy
RESIDENT_BYTES = 800 * 1024**2
SECONDS = 240
PICTURE = Image.linear_gradient("L").resize((64, 48)).convert("RGB")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def data(raw: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(raw, 9))


def tiff(*tags: tuple[int, int, int, int], following: int = 0, tail: bytes = b"") -> bytes:
    """Little-endian, one directory right behind the header; tags are (id, type, count, value)."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following) + tail


def bmp(width: int, height: int, bits: int = 24, compression: int = 0) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + info + bytes(range(64))


def gif(width: int, height: int, *blocks: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + b"".join(blocks) + b";"


def frame(width: int, height: int, content: bytes) -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02" + content


def jpeg_sized(width: int, height: int) -> bytes:
    """A real JPEG whose frame header lies about its size."""
    content = encoded(PICTURE, "JPEG")
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def flipped(content: bytes, *places: int) -> bytes:
    changed = bytearray(content)
    for place in places:
        changed[place % len(changed)] ^= 0xFF
    return bytes(changed)


JPEG, PNG, WEBP = encoded(PICTURE, "JPEG"), encoded(PICTURE, "PNG"), encoded(PICTURE, "WEBP")
GIF, TIFF, BMP = encoded(PICTURE, "GIF"), encoded(PICTURE, "TIFF"), encoded(PICTURE, "BMP")
FRAMES = [PICTURE.rotate(angle).quantize(8) for angle in range(0, 360, 3)]
ICC_BOMB = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(64 * 1024**2), 9))
TEXT_BOMB = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(64 * 1024**2), 9))
SIZED = [(256, 4, 1, 100_000), (257, 4, 1, 100_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
SMALL = [(256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]

# name -> bytes, and whether it is an image; None where versions of the decoders may differ: then only a verdict counts.
CORPUS: dict[str, tuple[bytes, bool | None]] = {
    "zero.jpg": (b"", False),
    "one_byte.png": (b"\x89", False),
    "nothing_but_zeros.tif": (bytes(100_000), False),
    "text.jpg": (b"GET / HTTP/1.1\r\n\r\n", False),
    "html.gif": (b"<html><script>alert(1)</script></html>", False),
    "svg.png": (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><svg>&a;</svg>', False),
    "pdf.jpg": (b"%PDF-1.7\n1 0 obj << /JS (app.alert(1)) >>", False),
    "zip.png": (b"PK\3\4" + bytes(60), False),
    "elf.jpg": (b"\x7fELF" + bytes(60), False),
    "pickle.png": (b"cos\nsystem\n(S'echo hello'\ntR.", False),
    "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(x) run\n", False),
    "png_bomb.png": (png(60_000, 60_000, data(bytes(1000))), False),
    "png_of_51_megapixels.png": (png(8_500, 6_000, data(bytes(1000))), False),
    "png_largest.png": (png(2**31 - 1, 2**31 - 1, data(b"")), False),
    "png_no_height.png": (png(9, 0, data(b"")), False),
    "png_without_data.png": (png(9, 9), False),
    "png_short_data.png": (png(900, 900, data(bytes(100))), False),
    "png_data_too_long.png": (png(2, 2, data(bytes(14)), data(bytes(10**6))), None),
    "png_icc_bomb.png": (png(2, 2, ICC_BOMB, data(bytes(14))), None),
    "png_text_bomb.png": (png(2, 2, *[TEXT_BOMB] * 4, data(bytes(14))), None),
    "png_bad_depth.png": (png(2, 2, data(bytes(14)), depth=77), False),
    "png_bad_colour.png": (png(2, 2, data(bytes(14)), colour=9), False),
    "png_no_palette.png": (png(2, 2, data(bytes(6)), colour=3), None),
    "png_bad_checksum.png": (flipped(PNG, 20), False),
    "png_bad_zlib.png": (png(2, 2, chunk(b"IDAT", b"not zlib at all")), False),
    "png_chunk_of_2_gigabytes.png": (PNG[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(40), False),
    "jpeg_half.jpg": (JPEG[: len(JPEG) // 2], False),
    "jpeg_header.jpg": (JPEG[:30], False),
    "jpeg_bomb.jpg": (jpeg_sized(65_500, 65_500), False),
    "jpeg_lies_larger.jpg": (jpeg_sized(4_000, 4_000), None),
    "jpeg_no_size.jpg": (jpeg_sized(0, 0), False),
    "jpeg_markers.jpg": (JPEG[:2] + b"\xff\xe1\0\2" * 3_000 + JPEG[2:], None),
    "jpeg_long_comment.jpg": (JPEG[:2] + (b"\xff\xfe\xff\xff" + b"c" * 65_533) * 20 + JPEG[2:], True),
    "jpeg_rubbish_exif.jpg": (encoded(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"), True),
    "jpeg_flipped.jpg": (flipped(JPEG, *range(170, 600, 37)), None),
    "jpeg_and_zip.jpg": (JPEG + b"PK\3\4" + bytes(500), True),
    "gif_canvas.gif": (gif(65_535, 65_535, frame(1, 1, b"\2D\1\0")), False),
    "gif_frame_outside.gif": (gif(4, 4, frame(60_000, 60_000, b"\2D\1\0")), None),
    "gif_no_frame.gif": (gif(4, 4), False),
    "gif_endless_block.gif": (gif(4, 4, frame(4, 4, b"\xff" * 400)), False),
    "gif_120_frames.gif": (encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), True),
    "gif_cut.gif": (GIF[:200], False),
    "tiff_bomb.tif": (tiff(*SIZED), False),
    "tiff_loop.tif": (tiff(*SMALL, (273, 4, 1, 8), (279, 4, 1, 16), following=8, tail=bytes(16)), None),
    "tiff_strip_outside.tif": (tiff(*SMALL, (273, 4, 1, 2**31), (279, 4, 1, 16)), False),
    "tiff_count_of_4_billion.tif": (tiff(*SMALL, (273, 4, 2**32 - 1, 8)), False),
    "tiff_no_tags.tif": (tiff(), False),
    "tiff_directory_outside.tif": (b"II*\0" + struct.pack("<I", 2**31), False),
    "tiff_cut.tif": (TIFF[:200], False),
    "bmp_bomb.bmp": (bmp(60_000, 60_000), False),
    "bmp_negative.bmp": (bmp(-5, -5), None),
    "bmp_bad_bits.bmp": (bmp(4, 4, bits=77), False),
    "bmp_bad_compression.bmp": (bmp(4, 4, compression=99), False),
    "bmp_cut.bmp": (BMP[:500], False),
    "webp_cut.webp": (WEBP[: len(WEBP) // 2], False),
    "webp_length_of_4_gigabytes.webp": (b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\x7f" + WEBP[20:], None),
    "webp_flipped.webp": (flipped(WEBP, 21, 23, 27), None),
    "webp_no_chunks.webp": (b"RIFF\4\0\0\0WEBP", False),
}

# Names that break tables, terminals, pages and parsers.
NAMES = (
    "new\nline.png",
    "tab\there.png",
    "\x1b[2J\x1b[31mred.png",
    "\u202egnp.exe.png",
    "=cmd|' -C calc'!A0.png",
    "<img src=x onerror=alert(1)>.png",
    "[bold red]markup[unclosed.png",
    "{{ 7 * 7 }}.png",
    "'; DROP TABLE images; --.png",
    "-rf.png",
    "%s%n%d.png",
    "caf\u00e9 \U0001f408.png",
    "cafe\u0301.png",
    "x" * 251 + ".png",
    " .png",
    os.fsdecode(b"latin\xe9\xff.png"),
)

CHILD = """
import json, resource, sys
from pathlib import Path
limit, folder = int(sys.argv[1]), Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data import ingest
from transfercli.data.load import DataRequest, load_dataset
from transfercli.reporting import Reporter
ingest.SMALL_PASS_SECONDS = 0.0 if sys.argv[3] == "workers" else 1e9
config = DataConfig(train=str(folder / "images"), max_bad_fraction=1.0)
compute = ComputeConfig(threads=2, cache_dir=str(folder / "cache"))
found = load_dataset(DataRequest(config, (16, 16), compute), Reporter())
pixels = {}
for split in found.splits.values():
    for number, path in enumerate(split.paths):
        pixels[path] = split.images.read([number])[0].tobytes().hex()
# ru_maxrss of this process would count the test runner that it was forked from; VmHWM starts anew with exec
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
peaks = [own * 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]
print(json.dumps({"problems": [[r.path, r.problem] for r in found.records], "pixels": pixels, "peak": max(peaks)}))
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound classes and one that holds everything above, and what is no file at all."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(3)
    for label in ("cat", "dog"):
        (folder / "images" / label).mkdir(parents=True)
        for n in range(12):
            noise = Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8))
            (folder / "images" / label / f"{n}.png").write_bytes(encoded(noise, "PNG"))
    place = folder / "images" / "cat"
    for name, (content, _) in CORPUS.items():
        (place / name).write_bytes(content)
    for number, name in enumerate(NAMES):
        (place / name).write_bytes(encoded(PICTURE.rotate(number + 1), "PNG"))
    os.mkfifo(place / "pipe.jpg")
    (place / "loop.jpg").symlink_to("loop.jpg")
    (place / "nowhere.jpg").symlink_to("/nowhere/at/all.jpg")
    (place / "endless.jpg").symlink_to("/dev/zero")
    (place / "again").symlink_to("..", target_is_directory=True)
    (place / "folder.jpg").mkdir()
    return folder


@pytest.mark.parametrize("how", ["workers", "one process"])
def test_every_hostile_file_gets_a_verdict_under_a_memory_limit_and_none_is_replaced(
    how: str, hostile: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(hostile / "images", tmp_path / "images", symlinks=True, copy_function=os.link)).parent
    command = [sys.executable, "-c", CHILD, str(MEMORY_BYTES), str(folder), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    verdicts = dict(answer["problems"])
    assert len(verdicts) == len(answer["problems"])
    expected = {f"cat/{name}": usable for name, (_, usable) in CORPUS.items()}
    expected |= {f"cat/{name}": True for name in NAMES}
    expected |= {f"cat/{name}.jpg": False for name in ("pipe", "loop", "nowhere", "endless")}
    expected |= {f"{label}/{n}.png": True for label in ("cat", "dog") for n in range(12)}
    assert set(verdicts) == set(expected)
    wrong = {p: verdicts[p] for p, usable in expected.items() if usable is not None and (not verdicts[p]) != usable}
    assert wrong == {}
    assert set(answer["pixels"]) == {path for path, problem in verdicts.items() if not problem}
    for path, pixels in answer["pixels"].items():
        alone = decode_file(str(folder / "images" / path), Geometry(16, 16)).pixels
        assert alone is not None
        assert alone.tobytes().hex() == pixels
    assert answer["peak"] < RESIDENT_BYTES


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(CORPUS) >= 40
    assert len({content for content, _ in CORPUS.values()}) == len(CORPUS)


# -- trees that nobody thought of

LETTERS = st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",))
STEM = st.one_of(st.sampled_from(["a", "b", "Thumbs", "cat", "train", "test", ".hidden"]), st.text(LETTERS, max_size=6))
SUFFIX = st.sampled_from([".png", ".JPG", ".jpeg", ".gif", ".txt", ".heic", "", ".png.txt"])
FILE = st.tuples(STEM, SUFFIX, st.sampled_from(["good", "empty", "text", "cut", "loop", "up", "pipe", "odd"]))
FOLDER = st.recursive(
    st.lists(FILE, max_size=4),
    lambda inner: st.tuples(st.lists(FILE, max_size=3), st.dictionaries(STEM, inner, max_size=3)),
    max_leaves=6,
)
TREE = st.dictionaries(STEM, FOLDER, max_size=4)
CUT = PNG[: len(PNG) // 2]


def good(number: int) -> bytes:
    return encoded(Image.fromarray(np.full((3, 3), number % 251, np.uint8)), "PNG")


def write_file(path: Path, kind: str, number: int) -> None:
    makers: dict[str, Callable[[], object]] = {
        "good": lambda: path.write_bytes(good(number)),
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("text"),
        "cut": lambda: path.write_bytes(CUT),
        "odd": lambda: path.write_bytes(flipped(PNG, number * 7, number * 11)),
        "loop": lambda: path.symlink_to(path.name),
        "up": lambda: path.symlink_to("..", target_is_directory=True),
        "pipe": lambda: os.mkfifo(path),
    }
    makers[kind]()


def grow(folder: Path, tree: Any, numbers: list[int]) -> None:
    """Write a generated tree; names that this file system, or another entry, does not allow are left out."""
    files, folders = ([], tree) if isinstance(tree, dict) else tree if isinstance(tree, tuple) else (tree, {})
    for stem, suffix, kind in files:
        numbers[0] += 1
        path = folder / f"{stem}{suffix}"
        if path.name and not os.path.lexists(path):
            write_file(path, kind, numbers[0])
    for name, inner in folders.items():
        if name not in {"", ".", ".."} and not os.path.lexists(folder / name):
            (folder / name).mkdir()
            grow(folder / name, inner, numbers)


def plain_files(folder: Path) -> set[str]:
    """Every visible regular file below visible real folders, by an own walk."""
    found = set()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found |= {
            Path(place, name).relative_to(folder).as_posix()
            for name in names
            if not is_hidden(name) and Path(place, name).is_file() and not Path(place, name).is_symlink()
        }
    return found


def examined(folder: Path) -> Examination:
    """Raises nothing: what is wrong is in it."""
    config = DataConfig(train="images", max_bad_fraction=1.0)
    compute = ComputeConfig(cache="off", threads=1)
    return examine_dataset(
        DataRequest(resolve_paths(config, folder, ("data",)), (8, 8), compute), Reporter()
    )  # raises nothing: what is wrong is in it


def check_tree(tree: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        grow(folder / "images", tree, [0])
        found = examined(folder)
        if found.findings is None:
            assert str(found.refusals[0])
            return
        seen = Counter(one.name for one in found.findings.files)
        assert max(seen.values(), default=1) == 1
        classes = {path for path in plain_files(folder / "images") if "/" in path}
        held_out = {path for path in classes if path.split("/")[0].lower() in {"train", "test"}}
        assert set(seen) >= classes - held_out or held_out
        for one in found.findings.files:
            path = folder / "images" / one.name
            again = decode_file(str(path), Geometry(8, 8))
            if path.suffix.lower() in IMAGE_EXTENSIONS or not one.entry.problem.startswith("not read: "):
                assert one.entry.problem == again.problem
                assert one.entry.sha256 == again.sha256
            else:
                assert again.problem or path.suffix.lower() in OTHER_IMAGES
        used = {path for split in (found.dataset.splits if found.dataset else {}).values() for path in split.paths}
        assert used <= {one.name for one in found.findings.usable}
        if found.dataset and not found.refusals:
            assert used == {one.name for one in found.findings.usable}


RELAXED: dict[str, Any] = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@given(TREE)
@settings(max_examples=60, **RELAXED)
def test_every_file_of_any_tree_is_accepted_or_reported(tree: Any) -> None:
    check_tree(tree)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_every_file_of_ten_thousand_trees_is_accepted_or_reported(part: int) -> None:
    """In tenths, each of other trees: the suite ends a test that takes ten minutes."""
    others = settings(max_examples=1000, **RELAXED | {"derandomize": False, "database": None})
    seed(part)(others(given(TREE)(check_tree)))()
