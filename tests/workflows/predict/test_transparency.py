"""One picture drawn in the opacity alone, in every kind of file: all that reads it sees it on the background."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.decoding.test_transparency import encoded, png
from tests.workflows.predict.predicted import said
from transfercli.config.schema import ComputeConfig
from transfercli.data.image import NO_BACKGROUND, Geometry
from transfercli.data.ingest import Reading
from transfercli.data.unlabelled_images import list_unlabelled, load_unlabelled
from transfercli.reporting import Reporter
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

HALF = 128  # opacity of the grey pixels in the kinds that have more than two


def drawing(digit: Image.Image) -> np.ndarray:
    """Black ink of opacity 255, 128 or 0, uint8 [h, w, 4]."""
    levels = np.asarray(digit.convert("L"))
    ink = np.zeros((*levels.shape, 4), np.uint8)
    ink[..., 3] = np.select([levels < 80, levels < 160], [255, HALF], 0)
    return ink


def files(folder: Path, ink: np.ndarray) -> tuple[list[Path], list[Path]]:
    """Write the drawing in each kind of file; return the files with half-transparent pixels, and those without."""
    opacity, hard = ink[..., 3], ink[..., 3] > 0
    palette = Image.fromarray(np.select([opacity == 255, opacity == HALF], [0, 1], 2).astype(np.uint8), "P")
    palette.putpalette([0] * 9)
    two_colours = Image.fromarray(np.where(hard, 0, 1).astype(np.uint8), "P")
    two_colours.putpalette([0, 0, 0, 9, 9, 9])
    keyed = np.where(hard[..., None], 0, 7).astype(np.uint16).repeat(3, axis=2)
    contents = {
        "rgba.png": encoded(Image.fromarray(ink), "PNG"),
        "grey.png": encoded(Image.fromarray(ink[..., [0, 3]]), "PNG"),
        "palette.png": encoded(palette, "PNG", transparency=bytes([255, HALF, 0])),
        "deep.png": png(ink.astype(np.uint16) * 257, 16, 6),
        "lossless.webp": encoded(Image.fromarray(ink), "WEBP", lossless=True),
        "colour-key.png": png(keyed, 8, 2, b"\0\7\0\7\0\7"),
        "deep-colour-key.png": png(keyed * 257, 16, 2, b"\7\7\7\7\7\7"),
        "palette.gif": encoded(two_colours, "GIF", transparency=1),
    }
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    paths = [folder / name for name in contents]
    return paths[:5], paths[5:]


@pytest.fixture
def pictures(run: Any, tmp_path: Path) -> tuple[list[Path], list[Path]]:
    _, _, images = run
    with Image.open(images[3]) as digit:
        return files(tmp_path / "pictures", drawing(digit))


def ingested(paths: list[Path], geometry: Geometry) -> np.ndarray:
    reading = Reading(geometry, 0.0, ComputeConfig(cache="off"), Reporter())
    items = [item for item in list_unlabelled(paths[0].parent, reading) if Path(item.file) in paths]
    return load_unlabelled(items, reading).images.read(np.arange(len(paths)))


@pytest.mark.slow
def test_ingest_predictions_and_artefacts_see_the_same_pixels(run: Any, exported: Any, pictures: Any) -> None:
    import tensorflow as tf

    from transfercli.export.spec import ExportSpec
    from transfercli.export.tf_graph.decode_images import decode_batch

    world, folder, _ = run
    out, _ = exported
    stored = StoredRun.find(str(folder), world.runs, Reporter())
    geometry = geometry_of(stored.config)
    assert geometry.background == "#ffffff"
    spec = ExportSpec((), (geometry.height, geometry.width), background=geometry.background)
    serve = tf.saved_model.load(str(out / "saved_model" / "1")).signatures["serve_bytes"]  # noqa: TID251 - own export
    paths = [*pictures[0], *pictures[1]]
    pixels = np.concatenate([ingested(group, geometry) for group in pictures])
    first = np.repeat([0, len(pictures[0])], [len(group) for group in pictures])  # of the same opacities
    assert np.array_equal(pixels, pixels[first])
    assert pixels.min() < 80 < 250 < pixels.max()
    files = tf.constant([path.read_bytes() for path in paths])
    assert np.array_equal(tf.function(lambda encoded: decode_batch(encoded, spec))(files).numpy(), pixels)

    probabilities = stored.calibrate(np.asarray(stored.classifier.model.predict_on_batch(pixels)))
    assert np.abs(serve(files)["probabilities"].numpy() - probabilities).max() < 1e-4
    for model in (folder, out / "onnx"):
        answers = said(world, model, [str(path) for path in paths], top=5)
        found = [[dict(answer.top)[label] for label in stored.labels] for answer in answers]
        assert np.abs(np.array(found) - probabilities).max() < 1e-4, model


def test_a_run_from_before_backgrounds_reads_images_as_it_was_trained(run: Any, pictures: Any, tmp_path: Path) -> None:
    world, folder, _ = run
    old = tmp_path / "runs" / "old" / Path(folder).name
    shutil.copytree(folder, old)
    config = old / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("  background:")))
    assert len(config.read_text().splitlines()) == len(lines) - 1
    geometry = geometry_of(StoredRun.find(str(old), world.runs, Reporter()).config)
    assert geometry.background == NO_BACKGROUND
    assert ingested(pictures[0], geometry).max() == 0
