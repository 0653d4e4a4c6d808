"""The lines that a model card gives for each format do what it says."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.export.any_network import ANY_NETWORK
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import NO_BACKGROUND, Geometry
from transfercli.export.formats.registry import FORMATS, PARITY
from transfercli.export.formats.snippets import RESIZING, reading


@pytest.mark.parametrize("name", ANY_NETWORK)
def test_an_artefact_answers_as_the_run_when_it_is_loaded_by_the_lines_of_the_card(
    name, exported, examples, reference, monkeypatch
):
    monkeypatch.chdir(exported.out)
    names: dict = {}
    exec(FORMATS[name].loads, names)
    answers = names["predict"](examples.images[:7])
    assert np.abs(answers - reference.probabilities[:7]).max() < PARITY
    assert np.array_equal(names["predict"](examples.images[:1]).argmax(axis=1), answers[:1].argmax(axis=1))


@pytest.mark.parametrize("background", [NO_BACKGROUND, "#12a0ff"])
def test_a_transparent_image_is_read_as_the_run_does_it(background: str, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)).save(file)
    names: dict = {"path": file}
    exec("from PIL import Image, ImageOps\nif path:\n" + reading(background), names)
    expected = decode_file(str(file), Geometry(24, 32, "stretch", background)).pixels
    assert np.array_equal(np.asarray(names["image"]), expected)


@pytest.mark.parametrize("resize", RESIZING)
def test_an_image_is_resized_as_the_run_does_it(resize: str, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 70, 3), np.uint8)).save(file)
    names: dict = {}
    exec("from PIL import Image, ImageOps", names)
    names |= {"size": (32, 24), "image": Image.open(file)}
    found = np.asarray(eval(RESIZING[resize], names)).astype(int)
    assert np.abs(found - decode_file(str(file), Geometry(24, 32, resize)).pixels).max() <= 1


@pytest.mark.parametrize("name", FORMATS)
def test_the_code_of_a_format_keeps_the_function_that_the_card_reads_images_with(name: str) -> None:
    assigned = {
        part.id
        for statement in ast.parse(FORMATS[name].loads).body
        if isinstance(statement, ast.Assign)
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }
    assert "pixels" not in assigned
