"""`similar`: the nearest images in a folder, a file of embeddings, or the training images of a run."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.listener import Listener
from tests.workflows.predict.predicted import said
from transfercli.cli.commands.similar import _show
from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.workflows.embed.embed import EmbedRequest, embed
from transfercli.workflows.embed.similar import SimilarRequest, SimilarResult, find_similar
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Path:
    """Digits 3 and 1; the first 3 also as a copy of its bytes, and of its pixels in another format."""
    folder = tmp_path_factory.mktemp("images <ü>")
    for label in "31":
        for file in sorted((digits_folder / "digits-source" / "test" / label).glob("*.png"))[:5]:
            shutil.copy(file, folder / f"{label}-{file.name}")
    first = min(folder.glob("3-*"))
    shutil.copy(first, folder / "copy.png")
    Image.open(first).save(folder / "pixels.bmp")
    return folder


@pytest.fixture
def request_of(source: Any, folder: Path) -> SimilarRequest:
    image = str(min(folder.glob("3-*")))
    return SimilarRequest(source[1]["run"], source[0].runs, (image,), str(folder), top=4)


def paths_of(result: SimilarResult, number: int = 0) -> list[str]:
    return [Path(match.path).name for match in result.images[number].neighbours]


def test_the_image_itself_is_left_out_and_its_copies_come_first(request_of: SimilarRequest, folder: Path) -> None:
    result = find_similar(request_of, Reporter())
    (image,) = result.images
    assert (result.searched, image.itself, image.label, image.split) == (12, True, "3", "test")
    assert paths_of(result)[:2] == ["copy.png", "pixels.bmp"]
    assert [match.copy for match in image.neighbours] == ["file", "pixels", None, None]
    assert [match.similarity for match in image.neighbours][:2] == [1.0, 1.0]
    assert [match.label for match in image.neighbours] == ["3", None, "3", "3"]  # by the hash of the file
    assert all(match.predicted is not None for match in image.neighbours)
    assert Path(image.path).name not in paths_of(result)


def test_a_file_of_embeddings_gives_the_same_neighbours(request_of: SimilarRequest, tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    embed(EmbedRequest(request_of.network, request_of.runs, (str(request_of.within),), file), Reporter())
    from_folder, from_file = (
        find_similar(replace(request_of, within=w), Reporter()) for w in (request_of.within, str(file))
    )
    for one, other in zip(from_folder.images[0].neighbours, from_file.images[0].neighbours, strict=True):
        assert (one.path, one.similarity, one.label, one.predicted) == (
            other.path,
            other.similarity,
            other.label,
            other.predicted,
        )
    assert from_file.images[0].itself


def test_a_file_of_another_network_or_with_other_layers_is_refused(request_of: SimilarRequest, tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    embed(EmbedRequest(request_of.network, request_of.runs, (str(request_of.within),), file), Reporter())
    request = replace(request_of, within=str(file))
    with pytest.raises(UsageError, match="--normalise root, but the vectors"):
        find_similar(replace(request, normalise="root"), Reporter())
    with np.load(file, allow_pickle=False) as content:
        arrays = dict(content)
    arrays["metadata"] = np.array(re.sub('"network": "[^"]+"', '"network": "other"', str(arrays["metadata"])))
    np.savez(file, **arrays)
    with pytest.raises(ArtefactError, match="of another network"):
        find_similar(request, Reporter())


def test_without_a_folder_the_training_images_of_the_run_are_searched(request_of: SimilarRequest, source: Any) -> None:
    training = min((source[0].samples / "digits-source" / "train" / "2").glob("*.png"))
    result = find_similar(replace(request_of, within=None, images=(request_of.images[0], str(training))), Reporter())
    assert {match.split for image in result.images for match in image.neighbours} == {"train"}
    assert all(match.label for match in result.images[0].neighbours)
    assert result.images[1].itself == (result.images[1].split == "train")
    assert not result.images[0].itself


def test_an_image_alone_has_no_neighbour(request_of: SimilarRequest, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "copy.png", tmp_path / "only.png")
    request = replace(request_of, images=(str(tmp_path / "only.png"),), within=str(tmp_path))
    assert find_similar(request, Reporter()).images[0].neighbours == ()


def test_the_page_shows_the_images_and_names_no_folder_of_the_machine(
    request_of: SimilarRequest, folder: Path, tmp_path: Path
) -> None:
    result = find_similar(replace(request_of, report=tmp_path / "new" / "page"), Reporter())
    assert result.page == tmp_path / "new" / "page" / "index.html"
    text = result.page.read_text()
    assert text.count("<img") == 5  # the image and its four neighbours
    assert "the same pixels" in text
    assert "<ü>" not in text
    assert str(folder) not in text
    assert "://" not in text


def test_a_picture_whose_file_is_gone_is_missed_and_not_the_neighbour(
    request_of: SimilarRequest, folder: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    file = tmp_path / "x.safetensors"
    embed(EmbedRequest(request_of.network, request_of.runs, (str(moved),), file), Reporter())
    (moved / "copy.png").unlink()
    (moved / "pixels.bmp").write_bytes(b"something else")
    result = find_similar(replace(request_of, within=str(file), report=tmp_path / "page"), Reporter())
    found = {Path(match.path).name: match for match in result.images[0].neighbours}
    assert found["copy.png"].label == "3"
    assert (found["copy.png"].predicted, found["pixels.bmp"].picture) == (None, "")
    assert result.page is not None
    assert result.page.read_text().count("No picture") == 2


def test_errors_name_the_option(request_of: SimilarRequest, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("text")
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"images": ("gone.png",)}, DataError, "'gone.png'"),
        ({"within": "gone"}, DataError, "--in: 'gone' does not exist"),
        ({"within": str(tmp_path / "empty")}, DataError, "no image in this folder"),
        ({"within": str(tmp_path / "x.txt")}, UsageError, "--in"),
        ({"network": "nobody"}, ArtefactError, "no run 'nobody'"),
        ({"report": folder / "copy.png"}, UsageError, "--report"),
    ]
    for changed, kind, message in cases:
        with pytest.raises(kind, match=message):
            find_similar(replace(request_of, **changed), Reporter())


def test_an_unreadable_image_of_the_folder_is_left_out_with_a_warning(
    request_of: SimilarRequest, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "some")
    (tmp_path / "some" / "broken.png").write_bytes(b"")
    listener = Listener()
    result = find_similar(replace(request_of, within=str(tmp_path / "some")), listener)
    assert [Path(path).name for path, _ in result.unreadable] == ["broken.png"]
    assert any("1 of 13 images cannot be read" in text for text in listener.warnings)
    assert result.searched == 12


def test_labels_of_a_run_with_several_are_sets_in_json_and_words_on_the_page(
    scenes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, run = scenes
    image = next(file for file in sorted((world.folder / "scenes").glob("*.png")))
    request = SimilarRequest(str(run), world.runs, (str(image),), top=3, report=tmp_path / "page")
    result = find_similar(request, Reporter())
    stored = StoredRun.find(str(run), world.runs, Reporter())
    labels = {record.path: record.label for record in stored.images}
    answers = dict(zip(labels, said(world, run, [str(world.folder / "scenes" / path) for path in labels]), strict=True))
    (asked,) = result.as_json()["images"]
    for match in (asked, *asked["neighbours"]):
        name = Path(match["path"]).name
        assert match["label"] == labels[name]
        assert json.loads(match["predicted"]) == sorted(label for label, _ in answers[name].answered or ())
        assert match["probability"] == pytest.approx(answers[name].top[0][1], abs=1e-6)
        assert "several" not in match
    counts = Counter(label for match in asked["neighbours"] for label in json.loads(match["label"]))
    assert result.images[0].classes() == counts.most_common()
    page = (tmp_path / "page" / "index.html").read_text()
    shown = ", ".join(json.loads(asked["label"]))
    assert f"Labelled <b>{shown}</b>" in page
    assert "[&#34;" not in page
    _show(result)
    assert re.search(rf"label +{shown}\n", capsys.readouterr().out)
