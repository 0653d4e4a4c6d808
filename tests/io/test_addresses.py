"""Addresses of remote data: secrets are found and removed, and a local copy has a place of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.io.addresses import address_of, as_given, is_remote, local_copy, problem_of, without_secrets

CACHE = Path("/cache")


@pytest.mark.parametrize(
    "address, public",
    [
        ("https://ann:pw@host/a.csv", "https://host/a.csv"),
        ("https://ann@host/a.csv#part", "https://host/a.csv"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("https://host/a.jpg?X-Amz-Credential=x&X-Amz-Signature=y&id=5", "https://host/a.jpg"),
        ("https://host/a.jpg?sv=2024&sig=abc", "https://host/a.jpg"),
        ("https://host/a.jpg?id=5&access_token=abc", "https://host/a.jpg?id=5"),
        ("https://host/a.jpg?API-KEY=abc", "https://host/a.jpg?API-KEY=abc"),
        ("https://host/a.jpg?api_key=abc&w=1&h=2", "https://host/a.jpg?w=1&h=2"),
        ("https://host/a.jpg?id=5", "https://host/a.jpg?id=5"),
        ("hf://datasets/ann/beans@main/a.jpg", "hf://datasets/ann/beans@main/a.jpg"),
        ("s3://bucket/a@b.jpg", "s3://bucket/a@b.jpg"),
        ("s3://bucket/what?.jpg", "s3://bucket/what?.jpg"),
    ],
)
def test_secrets_are_removed_and_nothing_else(address: str, public: str) -> None:
    assert without_secrets(address) == public
    assert bool(problem_of(address)) == (address.partition("#")[0] != public)


@pytest.mark.parametrize(
    "address",
    ["s3://bucket/a/b.png", "hf://datasets/ann/beans@main/a.jpg", "https://host:8443/a.jpg?id=5", "gs://bucket"],
)
def test_an_address_is_found_again_by_its_local_copy(address: str) -> None:
    copy = local_copy(address, CACHE)
    assert copy.is_relative_to("/cache/remote")
    assert address_of(copy, CACHE) == address


@pytest.mark.parametrize("key", ["../../etc/passwd", "a//b", "a/./b", "a/..", "a/" + "x" * 300, "a\0b"])
def test_a_key_that_is_no_path_has_no_local_copy(key: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        local_copy(f"s3://bucket/{key}", CACHE)


def test_a_port_that_cannot_be_is_no_address() -> None:
    assert "is not an address" in problem_of("http://127.0.0.1:99999/a.csv")


def test_http_is_for_this_machine_alone() -> None:
    assert problem_of("http://127.0.0.1:80/a.csv") == problem_of("http://localhost/a.csv") == ""
    for host in ("example.org", "127.0.0.1.example.org", "localhost.example.org", "169.254.169.254"):
        assert "https alone" in problem_of(f"http://{host}/a.csv")


@pytest.mark.parametrize("text", ["s3://bucket/a", "https://host/a.csv?x=1", "data/s3", "/data/images"])
def test_a_path_made_from_an_address_is_shown_as_it_was_given(text: str) -> None:
    assert as_given(Path(text)) == text
    assert is_remote(text) == ("://" in text)
