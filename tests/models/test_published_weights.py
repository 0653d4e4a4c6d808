"""Facts about published weights, held against Keras itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfercli.models.bases import BASES
from transfercli.models.published_weights import PUBLISHED_WEIGHTS, keras_home


class Asked(Exception):
    """Raised in place of a download."""


def file_asked_for(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of the file that Keras would download."""
    from keras.src.utils import file_utils

    def ask(file: str, *_: object, **__: object) -> None:
        raise Asked(file)

    monkeypatch.setattr(file_utils, "get_file", ask)
    with pytest.raises(Asked) as asked:
        BASES[name].build((size, size, 3), "imagenet")
    return str(asked.value)


@pytest.mark.parametrize("name, size", [("mobilenet", 128), ("mobilenetv2", 96), ("mobilenetv3small", 64)])
def test_the_file_is_the_one_that_keras_loads_at_this_size(name: str, size: int, monkeypatch) -> None:
    assert BASES[name].published
    assert BASES[name].published.file_for((size, size)) == file_asked_for(name, size, monkeypatch)
    assert BASES[name].build((size, size, 3)).count_params() == BASES[name].parameters


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_the_facts_of_every_base_are_those_of_keras(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    row = BASES[name]
    size = max(row.minimum, 96) if row.any_size_imagenet else row.size
    assert row.build((size, size, 3)).count_params() == row.parameters
    if row.published:
        assert row.published.file_for((size, size)) == file_asked_for(name, size, monkeypatch)
        assert 0.6 < row.published.top1 < 0.9
    keras.backend.clear_session()


def test_every_published_weight_belongs_to_a_base() -> None:
    assert {name for name, row in BASES.items() if row.published} == set(PUBLISHED_WEIGHTS)


def test_a_folder_that_cannot_be_written_is_replaced_as_keras_does(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert keras_home() == tmp_path
    monkeypatch.setattr("os.access", lambda *_: False)
    assert keras_home() == Path("/tmp/.keras")
