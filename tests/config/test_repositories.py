"""Names of repositories, revisions and files in a config: nothing that leads elsewhere is let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.config.loader import load
from transfercli.config.schema import HubWeights
from transfercli.errors import ConfigError

CONFIG = "name: t\ndata: {train: images}\nmodel:\n  base: resnet18\n  weights:\n    hub: owner/net\n"


def problem(write, lines: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(CONFIG.replace("    hub: owner/net\n", lines)))
    return caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        *("../net", "owner/../net", "/etc/passwd", "owner\\net", "a/b/c", "https://huggingface.co/a/b", "hf://a/b"),
        *("a/..", "-a/b", "a/b.", "a--b/c", "a/b?x", "a b/c", "a" * 97, "~/net"),
    ],
)
def test_a_name_that_leads_out_of_the_cache_is_refused_with_its_line(name: str, write) -> None:
    message = problem(write, f"    hub: '{name}'\n")
    assert ":6: model.weights.hub: is " in message
    assert "OWNER/NAME" in message


@pytest.mark.parametrize("name", ["timm/resnet18.a1_in1k", "facebook/dinov2-small", "gpt2", "a_b/C.d-e"])
def test_names_of_the_hub_are_accepted(name: str) -> None:
    assert HubWeights(hub=name).hub == name


@pytest.mark.parametrize("file", ["../a.safetensors", "/a.safetensors", "a/../b.safetensors", "a\\b.safetensors", "~"])
def test_a_file_outside_the_repository_is_refused(file: str, write) -> None:
    message = problem(write, f"    hub: a/b\n    file: '{file}'\n")
    assert ":7: model.weights.file: is not a file inside the repository" in message


@pytest.mark.parametrize("file", ["pytorch_model.bin", "a.pt", "x/a.PTH", "last.ckpt", "a.pkl"])
def test_a_pickle_is_refused_by_its_name(file: str, write) -> None:
    message = problem(write, f"    hub: a/b\n    file: {file}\n")
    assert "model.weights.file: is a pickle by its name" in message
    assert "model.safetensors" in message


def test_other_files_that_are_no_safetensors_are_named(write) -> None:
    assert "index of a checkpoint" in problem(write, "    hub: a/b\n    file: model.safetensors.index.json\n")
    assert "is not a safetensors file" in problem(write, "    hub: a/b\n    file: tf_model.h5\n")


@pytest.mark.parametrize("revision", ["../../main", "a..b/..", "a\\b", "/main", "-x"])
def test_a_revision_that_leads_elsewhere_is_refused(revision: str, write) -> None:
    assert "is not a commit, branch or tag" in problem(write, f"    hub: a/b\n    revision: '{revision}'\n")


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/1", "0123456789abcdef0123456789abcdef01234567"])
def test_revisions_are_accepted(revision: str) -> None:
    assert HubWeights(hub="a/b", revision=revision).revision == revision


def test_auto_needs_weights_that_say_the_base(write, tmp_path: Path) -> None:
    text = CONFIG.replace("resnet18", "auto")
    assert load(write(text)).config.model.base == "auto"
    for weights in ("imagenet", "none"):
        with pytest.raises(ConfigError, match=r"model\.base: 'auto' takes the base that model\.weights was trained"):
            load(write(text.partition("  weights")[0] + f"  weights: {weights}\n"))


def test_extend_with_a_file_is_refused_with_the_reason(write) -> None:
    head = "  head: {init: extend}\n"
    with pytest.raises(ConfigError, match="needs the head of an earlier run, which records the names of its classes"):
        load(write(CONFIG + head))
    assert load(write(CONFIG + head.replace("extend", "keep"))).config.model.head.init == "keep"
