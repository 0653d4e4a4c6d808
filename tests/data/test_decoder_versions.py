from __future__ import annotations

import PIL
import pytest
from PIL import features

from transfercli.data import decoder_versions
from transfercli.data.image import Geometry


def test_the_cache_key_of_pixels_changes_with_every_library_that_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    names, versions = set(), decoder_versions.decoder_versions()
    assert versions["pillow"] == PIL.__version__
    assert versions["libjpeg_turbo"] == features.version("libjpeg_turbo")
    assert {"libtiff", "webp", "avif", "littlecms2"} <= set(versions)
    for library in (*versions, "pillow-heif"):
        other = versions | {library: "0.0.1"}
        monkeypatch.setattr(decoder_versions, "decoder_versions", lambda other=other: other)
        geometry = Geometry(8, 8)
        names.add((geometry.name, geometry.space))
    monkeypatch.undo()
    assert len(names) == len({*versions, "pillow-heif"})
    assert Geometry(8, 8).name not in {name for name, _ in names}


def test_every_part_of_the_recipe_is_in_the_key() -> None:
    recipes = [
        Geometry(8, 9),
        Geometry(9, 8),
        Geometry(8, 9, "pad"),
        Geometry(8, 9, background="#ffffff"),
        Geometry(8, 9, levels="stretch"),
        Geometry(8, 9, profiles="ignore"),
        Geometry(8, 9, max_megapixels=60),
    ]
    assert len({recipe.space for recipe in recipes}) == len(recipes)
