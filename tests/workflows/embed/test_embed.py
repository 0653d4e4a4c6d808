"""`embed`: the vectors in the file are the features that the run's head reads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.listener import Listener
from tests.workflows.data.changes import passes_counted
from transfercli.errors import ArtefactError, DataError, DiskError, UsageError, WeightsError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.embed.embed import EmbedRequest, EmbedResult, embed
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Path:
    """Eight digits in a folder, one of them twice, and a file that is no image."""
    folder = tmp_path_factory.mktemp("bilder ü")
    for file in sorted((digits_folder / "digits-source" / "test" / "3").glob("*.png"))[:7]:
        shutil.copy(file, folder)
    shutil.copy(min(folder.iterdir()), folder / "again ñ.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def request_of(source: Any, images: Path, tmp_path: Path) -> EmbedRequest:
    return EmbedRequest(source[1]["run"], source[0].runs, (str(images),), tmp_path / "x.npz")


def content(result: EmbedResult) -> dict[str, np.ndarray]:
    with np.load(result.file, allow_pickle=False) as file:
        return dict(file)


def test_the_vectors_are_the_features_at_unit_length_and_a_second_call_computes_nothing(
    request_of: EmbedRequest, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    result = embed(request_of, listener)
    stored = content(result)
    assert stored["paths"].tolist() == sorted(str(file) for file in images.glob("*.png") if "broken" not in file.name)
    extractor = ImageFeatures(StoredRun(RunFolder(Path(request_of.network))))
    from transfercli.workflows.embed.images import read_inputs

    expected = extractor.features(read_inputs(request_of.paths, extractor.run.reading).split)
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(stored["embeddings"], expected / lengths, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(stored["embeddings"], axis=1), 1, rtol=1e-6)
    assert [path for path, _ in result.unreadable] == [str(images / "broken.png")]
    assert any("1 of 9 images cannot be read" in text for text in listener.warnings)
    first, computed = request_of.file.read_bytes(), passes_counted(monkeypatch)
    again = embed(request_of, Reporter())
    assert (computed, again.cached) == ([], {"hits": 8, "misses": 0})
    assert request_of.file.read_bytes() == first


def test_the_same_image_twice_has_two_rows(request_of: EmbedRequest, images: Path) -> None:
    file = str(images / "again ñ.png")
    stored = content(embed(replace(request_of, paths=(file, str(images), file)), Reporter()))
    assert stored["paths"].tolist().count(file) == 3
    assert stored["paths"].tolist()[0] == file
    np.testing.assert_array_equal(stored["embeddings"][0], stored["embeddings"][-1])
    assert stored["sha256"].tolist().count(stored["sha256"][0]) == 4  # and the file that it is a copy of


@pytest.mark.parametrize("normalise", ["none", "root"])
def test_the_normalisation_is_that_of_the_head(request_of: EmbedRequest, normalise: Any) -> None:
    from transfercli.models.normalised import normalised

    raw = content(embed(replace(request_of, normalise="none"), Reporter()))["embeddings"]
    vectors = content(embed(replace(request_of, normalise=normalise), Reporter()))["embeddings"]
    np.testing.assert_allclose(vectors, normalised(raw, [raw.shape[1]], normalise), rtol=1e-6)


def test_grey_transparent_cmyk_and_deep_images_have_the_vector_of_the_same_picture(
    request_of: EmbedRequest, images: Path, tmp_path: Path
) -> None:
    picture = Image.open(min(images.glob("0*.png"))).convert("L")
    forms = {
        "a grey.png": picture,
        "b rgb.png": picture.convert("RGB"),
        "c alpha.png": picture.convert("RGBA"),
        "d deep.png": Image.fromarray(np.asarray(picture).astype("uint16") * 257),
        "e cmyk.tif": picture.convert("CMYK"),
    }
    folder = tmp_path / "forms"
    folder.mkdir()
    for name, form in forms.items():
        form.save(folder / name)
    vectors = content(embed(replace(request_of, paths=(str(folder),)), Reporter()))["embeddings"]
    assert len(vectors) == 5
    np.testing.assert_allclose(vectors @ vectors[0], 1, atol=1e-3)


def test_a_file_of_the_name_is_replaced_at_once_or_not_at_all(
    request_of: EmbedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_of.file.write_bytes(b"earlier")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("transfercli.transfer.embeddings.files.np.lib.format.write_array", full)
        with pytest.raises(DiskError, match="No space left"):
            embed(request_of, Reporter())
    assert request_of.file.read_bytes() == b"earlier"
    assert [*request_of.file.parent.glob(".x*")] == []
    embed(request_of, Reporter())
    assert len(content(embed(request_of, Reporter()))["paths"]) == 8


def test_errors_come_before_the_work(request_of: EmbedRequest, images: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"file": tmp_path / "x.csv", "network": "nobody"}, UsageError, "allowed: .npz"),
        ({"file": tmp_path / "none" / "x.npz"}, UsageError, "does not exist"),
        ({"network": "nobody"}, ArtefactError, "no run 'nobody'"),
        ({"network": "nobody", "weights": "imagenet"}, UsageError, "names none"),
        ({"network": "small_cnn"}, WeightsError, "no ImageNet weights for small_cnn"),
        ({"paths": ("gone.png",)}, DataError, "does not exist"),
        ({"paths": (str(images / "broken.png"),)}, DataError, "not an image"),
        ({"strict": True}, DataError, "1 of 9 images"),
    ]
    for changed, kind, message in cases:
        with pytest.raises(kind, match=message):
            embed(replace(request_of, **changed), Reporter())
    assert not request_of.file.exists()


def test_a_base_with_weights_of_a_file_reads_all_its_stages(request_of: EmbedRequest) -> None:
    weights = str(Path(request_of.network) / "checkpoints" / "best" / "model.safetensors")
    request = replace(request_of, network="Small-CNN", weights=weights, layers="all")
    result = embed(request, Reporter())
    vectors = content(result)["embeddings"]
    assert (result.run, result.base, result.origin.layers[-1]) == (None, "small_cnn", "last")
    assert len(result.origin.layers) > 1
    assert vectors.shape == (8, sum(result.origin.widths))
    for part in np.split(vectors, np.cumsum(result.origin.widths)[:-1], axis=1):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, rtol=1e-5)
    last = content(embed(replace(request, layers="last"), Reporter()))["embeddings"]
    np.testing.assert_allclose(last, vectors[:, -result.origin.widths[-1] :], atol=1e-6)


def test_the_result_is_json(request_of: EmbedRequest) -> None:
    result = json.loads(json.dumps(embed(request_of, Reporter()).as_json()))
    assert result["images"] == 8
    assert result["width"] == 64
    assert result["layers"] == ["last"]
    assert [*result["unreadable"][0]] == ["path", "error"]
    assert result["cache"]["features"]["hits"] == 8


def test_the_weight_file_that_is_read_is_not_replaced(request_of: EmbedRequest, tmp_path: Path) -> None:
    weights = tmp_path / "base.safetensors"
    weights.write_bytes(b"weights")
    with pytest.raises(UsageError, match="is the file of --weights"):
        embed(replace(request_of, network="small_cnn", weights=str(weights), file=weights), Reporter())
    assert weights.read_bytes() == b"weights"
