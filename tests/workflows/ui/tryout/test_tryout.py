"""The try-out: the answer to a posted picture, and everything that a body may do wrong."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.workflows.predict.predicted import said
from transfercli.workflows.ui.tryout import posted


@pytest.fixture(scope="module")
def picture(visited: Any) -> Path:
    return sorted((visited.world.samples / "digits-source" / "test").rglob("*.png"))[0]


def bomb(side: int) -> bytes:
    """A PNG of `side` x `side` pixels in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))

    header = pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 4096))
        + chunk(b"IEND", b"")
    )


def test_the_answer_is_that_of_predict(visited: Any, picture: Path) -> None:
    [expected] = said(visited.world, visited.label, [str(picture)], abstain=True)
    answer = visited.post(f"/try/{visited.label}/answer", picture.read_bytes()).json()
    known = {name: value for name, value in expected.as_json().items() if name != "path"}
    for name in ("label", "abstained", "strange"):
        assert answer[name] == known[name]
    assert [label for label, _ in answer["top"]] == [label for label, _ in known["top"]]
    assert [value for _, value in answer["top"]] == pytest.approx([value for _, value in known["top"]], abs=1e-6)
    assert answer["heat_of"] == answer["label"]
    assert answer["heat"].startswith("data:image/jpeg;base64,")
    assert answer["format"] == 1


def test_the_nearest_training_images_are_those_of_similar(visited: Any, picture: Path) -> None:
    from transfercli.reporting import Reporter
    from transfercli.workflows.embed.similar import SimilarRequest, find_similar

    request = SimilarRequest(visited.label, visited.world.runs, (str(picture),), top=8)
    [expected] = find_similar(request, Reporter()).images
    address = f"/try/{visited.label}/nearest"
    while (answer := visited.post(address, picture.read_bytes())).status_code == 202:
        job = visited.site.jobs
        assert job is not None
    found = answer.json()["nearest"]
    assert [each["similarity"] for each in found] == pytest.approx(
        [match.similarity for match in expected.neighbours], abs=1e-5
    )
    assert {each["path"] for each in found} == {match.path for match in expected.neighbours}
    shown = visited.client.get(found[0]["picture"])
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")


def test_a_picture_that_is_posted_is_nowhere_afterwards(visited: Any) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (40, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    for what in ("answer", "nearest"):
        assert visited.post(f"/try/{visited.label}/{what}", buffer.getvalue()).status_code == 200
    cache = Path(os.environ["TRANSFERCLI_CACHE"]) if "TRANSFERCLI_CACHE" in os.environ else visited.world.folder
    held = [path for root in {cache, visited.world.folder} for path in root.rglob("*") if path.is_file()]
    assert not any(buffer.getvalue() in path.read_bytes() for path in held if path.stat().st_size < 10**7)


@pytest.mark.parametrize(
    "body",
    [b"", b"no image", b"\x89PNG\r\n\x1a\n", bomb(60_000), b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
    ids=["empty", "text", "truncated", "bomb", "svg"],
)
def test_what_is_no_usable_image_is_an_error_with_its_reason(visited: Any, picture: Path, body: bytes) -> None:
    for what in ("answer", "nearest"):
        answer = visited.post(f"/try/{visited.label}/{what}", body)
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert "cannot be used" in error["message"]
        assert "/proc" not in error["message"]
    assert visited.post(f"/try/{visited.label}/answer", picture.read_bytes()).status_code == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    visited: Any, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posted, "MOST_BYTES", 1000)
    assert visited.post(f"/try/{visited.label}/answer", b"x" * 1001).status_code == 413
    monkeypatch.undo()
    assert visited.post(f"/try/{visited.label}/answer", picture.read_bytes()).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-CSRF-Token": "guess"}, {"Origin": "http://evil.example"}])
def test_only_the_page_of_this_server_may_post(visited: Any, picture: Path, headers: dict[str, str]) -> None:
    if "Origin" in headers:
        headers = {**headers, "X-CSRF-Token": visited.site.secret}
    answer = visited.client.post(f"/try/{visited.label}/answer", content=picture.read_bytes(), headers=headers)
    assert answer.status_code == 403


def test_a_run_without_a_model_says_so(visited: Any) -> None:
    assert visited.post("/try/digits-source/nothing/answer", b"x").status_code == 404
    assert visited.client.get("/try/digits-source/nothing/ready").status_code == 404


def test_runs_are_listed_with_their_links(visited: Any) -> None:
    page = visited.client.get("/try").text
    assert f'href="/try/{visited.label}"' in page
    assert ">latest<" in page
