"""Weight files in repositories: from the cache, from a server on this machine, or not at all."""

from __future__ import annotations

import ast
import hashlib
import os
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from huggingface_hub import constants

from tests.listener import Listener
from tests.models.weights.foreign_files import COMMIT, card, settings, write_cache
from tests.models.weights.hub_server import Hub, serving
from transfercli.config.schema import HubWeights
from transfercli.errors import ArtefactError, WeightsError
from transfercli.models.weights import hub
from transfercli.models.weights.file_kinds import FROM_PICKLE
from transfercli.models.weights.files import weight_path
from transfercli.reporting import Reporter

REPOSITORY = "timm/resnet18.a1_in1k"
WEIGHTS = safetensors.numpy.save({"conv1.weight": np.ones((1, 1), "float32")})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hub's library."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine, which the library asks."""
    with serving() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        template = running.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield running


def test_a_file_in_the_cache_needs_no_network(cache: Path) -> None:
    write_cache(cache, REPOSITORY, {"model.safetensors": WEIGHTS, "README.md": card("apache-2.0")})
    found = hub.fetched(HubWeights(hub=REPOSITORY), Reporter())
    assert (found.commit, found.asked, found.licence, found.settings) == (COMMIT, "main", "apache-2.0", {})
    assert found.path.read_bytes() == WEIGHTS
    assert hub.cached(HubWeights(hub=REPOSITORY, revision=COMMIT)) is not None
    assert hub.cached(HubWeights(hub=REPOSITORY, revision="v2")) is None
    assert hub.cached(HubWeights(hub=REPOSITORY, file="a/b.safetensors")) is None


def test_a_file_in_a_folder_of_the_repository_is_of_the_same_commit(cache: Path) -> None:
    files = {"unet/a.safetensors": WEIGHTS, "README.md": card("mit"), "config.json": settings(architecture="resnet18")}
    write_cache(cache, REPOSITORY, files)
    found = hub.cached(HubWeights(hub=REPOSITORY, file="unet/a.safetensors"))
    assert found is not None
    assert (found.commit, found.licence, found.settings) == (COMMIT, "mit", {"architecture": "resnet18"})


def test_offline_the_error_says_where_it_looked_and_how_to_get_the_file(cache: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        hub.fetched(HubWeights(hub=REPOSITORY, revision="v1"), Reporter())
    assert "HF_HUB_OFFLINE is set" in caught.value.message
    assert str(cache) in caught.value.message
    assert f"hf download {REPOSITORY} model.safetensors README.md config.json --revision v1" in str(caught.value.hint)


def test_a_missing_file_is_downloaded_once_with_its_card_and_config(cache: Path, server: Hub) -> None:
    files = {"model.safetensors": WEIGHTS, "README.md": card("mit"), "config.json": b"{}", "pytorch_model.bin": b"\x80"}
    server.files[REPOSITORY] = files
    listener = Listener()
    found = hub.fetched(HubWeights(hub=REPOSITORY), listener)
    assert (found.path.read_bytes(), found.commit, found.licence) == (WEIGHTS, COMMIT, "mit")
    assert any(text.startswith(f"downloading {REPOSITORY}/model.safetensors (") for text in listener.infos)
    assert listener.steps
    assert not any("pytorch_model" in path for path in server.asked)
    server.asked.clear()
    assert hub.fetched(HubWeights(hub=REPOSITORY), Reporter()) == found
    assert server.asked == []


@pytest.mark.parametrize(
    "status, code, words, mend",
    [
        (403, "GatedRepo", "is gated", "HF_TOKEN"),
        (401, "RepoNotFound", "does not exist, or is not open to you", "correct the name"),
        (404, "RepoNotFound", "does not exist, or is not open to you", "correct the name"),
        (500, "", "cannot be downloaded: HTTP 500", "hf download"),
    ],
)
def test_each_refusal_of_the_server_is_named(server: Hub, status: int, code: str, words: str, mend: str) -> None:
    server.errors["owner/net"] = (status, code)
    with pytest.raises(WeightsError, match=words) as caught:
        hub.fetched(HubWeights(hub="owner/net"), Reporter())
    assert mend in str(caught.value.hint)
    assert len(server.asked) == 1


def test_a_gated_file_of_a_repository_that_is_open_is_named_too(server: Hub) -> None:
    server.files["owner/net"] = {"model.safetensors": WEIGHTS}
    server.errors["owner/net/resolve"] = (403, "GatedRepo")
    with pytest.raises(WeightsError, match="is gated"):
        hub.fetched(HubWeights(hub="owner/net"), Reporter())


def test_a_revision_and_a_file_that_the_repository_lacks_are_named(server: Hub) -> None:
    server.files["owner/net"] = {"resnet.safetensors": WEIGHTS, "pytorch_model.bin": b"\x80"}
    with pytest.raises(WeightsError, match=r"model\.weights\.revision: owner/net has no commit, branch or tag v9"):
        hub.fetched(HubWeights(hub="owner/net", revision="v9"), Reporter())
    with pytest.raises(WeightsError, match=r"its safetensors files are: resnet\.safetensors"):
        hub.fetched(HubWeights(hub="owner/net"), Reporter())
    server.files["owner/net"] = {"pytorch_model.bin": b"\x80"}
    with pytest.raises(WeightsError, match="its safetensors files are: none") as caught:
        hub.fetched(HubWeights(hub="owner/net"), Reporter())
    assert "convert" in str(caught.value.hint)


def test_another_hash_than_the_config_wants_is_refused_before_the_download(server: Hub) -> None:
    server.files["owner/net"] = {"model.safetensors": WEIGHTS}
    with pytest.raises(ArtefactError, match=f"has {hashlib.sha256(WEIGHTS).hexdigest()}, the config wants 0000"):
        hub.fetched(HubWeights(hub="owner/net", sha256="0" * 64), Reporter())
    assert not any("resolve" in path for path in server.asked)


def test_a_file_in_the_cache_that_was_changed_is_refused_by_its_hash(cache: Path) -> None:
    write_cache(cache, REPOSITORY, {"model.safetensors": WEIGHTS})
    right = hashlib.sha256(WEIGHTS).hexdigest()
    assert weight_path(HubWeights(hub=REPOSITORY, sha256=right), Reporter()).is_file()
    with pytest.raises(ArtefactError, match="the config wants 0000"):
        weight_path(HubWeights(hub=REPOSITORY, sha256="0" * 64), Reporter())


def test_a_server_that_does_not_answer_is_an_error_after_one_try(
    cache: Path, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(hub, "SECONDS", 0.2)
        with pytest.raises(WeightsError, match="ReadTimeout"):
            hub.fetched(HubWeights(hub="owner/net"), Reporter())


# Lists of nine references to the list before: 550 bytes, whose text would be longer than any memory.
ALIASES = "a: &a [x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    "text, licence",
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: dinov3-license\n---\n", "other: dinov3-license"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\ntags: [a]\n---\n", None),
        ("no head", None),
        ("---\nlicense: [\n---\n", None),
        ("---\n- a\n---\n", None),
        ("---\nlicense: [mit, apache-2.0]\n---\n", None),
        ('---\nlicense: "mit\\nauthor: other"\n---\n', None),
        (f"---\n{ALIASES}license: *i\n---\n", None),
    ],
)
def test_the_licence_is_that_of_the_card_s_head(text: str, licence: str | None, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text)
    assert hub.licence_of_card(tmp_path / "README.md") == licence
    assert hub.licence_of_card(tmp_path / "none.md") is None


def test_a_card_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "README.md")
    assert hub.licence_of_card(tmp_path / "README.md") is None


def test_the_snippet_that_the_error_of_a_pickle_shows_is_whole() -> None:
    lines = [line.strip() for line in FROM_PICKLE.format(name="a.pth", stem="a").splitlines() if line.startswith("  ")]
    for line in lines:
        ast.parse(line)
    assert len(lines) == 2
