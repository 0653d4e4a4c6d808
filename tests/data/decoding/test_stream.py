from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from transfercli.data.decoding import stream, worker_client
from transfercli.data.decoding.decode import decode_file
from transfercli.data.decoding.stream import CHUNK, Decoder, Outcome, decode_in_order
from transfercli.data.image import Geometry, InputImage
from transfercli.data.sources.inputs import InputQueue

SMALL = Geometry(16, 20)


@pytest.fixture
def files(tmp_path: Path, png: Callable[[int], bytes]) -> list[str]:
    for n in range(60):
        (tmp_path / f"{n:02}.png").write_bytes(b"bad" if n % 7 == 3 else png(n))
    return [str(tmp_path / f"{n:02}.png") for n in range(60)] + [str(tmp_path / "missing.png")]


def outcomes(decoder: Decoder, names: Iterator[InputImage], ahead: int = 32) -> list[Outcome]:
    return [one for one in decode_in_order(InputQueue(names), decoder, lambda: ahead) if one is not None]


def test_outcomes_come_in_the_order_of_the_names_with_the_same_bits(files: list[str]) -> None:
    named = [InputImage(file) for file in files] + [InputImage("x", "told before")]
    with Decoder(SMALL, 2) as decoder:
        found = outcomes(decoder, iter(named))
    assert [name for name, _ in found] == named
    assert found[-1][1].problem == "told before"
    for name, decoded in found[:-1]:
        expected = decode_file(name.path, SMALL)
        assert decoded.problem == expected.problem
        assert np.array_equal(decoded.pixels, expected.pixels)


def test_a_file_that_ends_its_decoder_is_told_in_its_place(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = worker_client._START.replace(
        "main()",
        "import os, transfercli.data.decoding.worker as w; d = w.decode_file; "
        "w.decode_file = lambda p, *r: os._exit(3) if 'deadly' in p else d(p, *r); main()",
    )
    monkeypatch.setattr(worker_client, "_START", deadly)
    named = [InputImage(file) for file in (*files[:3], str(tmp_path / "deadly.png"), *files[4:9])]
    with Decoder(SMALL, 1) as decoder:
        found = outcomes(decoder, iter(named))
    assert [name for name, _ in found] == named
    assert "crashes the decoder" in found[3][1].problem
    assert [bool(decoded.problem) for _, decoded in found] == [False] * 3 + [True] + [False] * 5


def test_without_workers_files_are_decoded_in_this_process(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_client, "_START", "raise SystemExit(1)")
    with Decoder(SMALL, 2) as decoder:
        found = outcomes(decoder, (InputImage(file) for file in files[:5]))
        assert "ended at its start" in decoder.trouble
    assert [bool(decoded.problem) for _, decoded in found] == [False, False, False, True, False]


def test_no_more_is_read_ahead_than_is_allowed(files: list[str]) -> None:
    taken: list[str] = []

    def names() -> Iterator[InputImage]:
        for file in files * 40:
            taken.append(file)
            yield InputImage(file)

    feed = InputQueue(names())
    with Decoder(SMALL, 2) as decoder:
        submitted = decoder.submit
        asked: list[int] = []
        decoder.submit = lambda named: asked.append(len(named)) or submitted(named)  # type: ignore[method-assign,func-returns-value]
        answers = (one for one in decode_in_order(feed, decoder, lambda: 2 * CHUNK) if one is not None)
        for count in range(1, 200):
            next(answers)
            assert sum(asked) <= count + 3 * CHUNK


def test_a_pause_of_the_names_is_told(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.01)
    feed = InputQueue(iter(()))
    feed.take = lambda *_: []  # type: ignore[method-assign]
    with Decoder(SMALL, 1) as decoder:
        answers = decode_in_order(feed, decoder, lambda: 8)
        assert next(answers) is None
        feed.exhausted = True
        assert list(answers) == []


def test_leaving_ends_the_workers(files: list[str]) -> None:
    with Decoder(SMALL, 2) as decoder:
        decoder.submit([InputImage(files[0])]).result()
        decoder.submit([InputImage(files[1])]).result()
    assert decoder._started
    assert all(worker.process.returncode is not None for worker in decoder._started)
