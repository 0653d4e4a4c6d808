"""`recommend` on real digits, with a run and weight files as bases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.listener import Listener
from tests.workflows.conftest import World
from transfercli.errors import ArtefactError, DataError, WeightsError
from transfercli.workflows.recommend.candidates import CandidateRequest
from transfercli.workflows.recommend.recommend import RecommendRequest, recommend_base
from transfercli.workflows.recommend.result import ComparisonStopped, Recommendation

IMAGES = 60


def compared(
    world: World, *bases: str, images: int = IMAGES, reporter: Listener | None = None, **more: Any
) -> Recommendation:
    """Return the recommendation for the digits 5 to 9."""
    data = {"image_size": 32} | more.pop("data", {})
    config = world.config("digits-target", "digits-target", data=data, model=more.pop("model", {}))
    request = RecommendRequest(
        config,
        world.runs,
        candidates=CandidateRequest(bases, more.pop("weights", ()), more.pop("sizes", ())),
        images=images,
        **more,
    )
    return recommend_base(request, reporter or Listener())


@pytest.fixture(scope="module")
def digits_source(source: tuple[World, dict[str, Any]]) -> World:
    """A world with a run on the digits 0 to 4, whose weights are also in a file."""
    return source[0]


@pytest.fixture(scope="module")
def weights(source: tuple[World, dict[str, Any]]) -> Path:
    return Path(source[1]["run"]) / "checkpoints" / "best" / "model.safetensors"


@pytest.mark.slow
def test_runs_and_files_are_compared_and_what_is_missing_has_a_reason(
    digits_source: World, weights: Path, tmp_path: Path
) -> None:
    listener, picture = Listener(), tmp_path / "bases.png"
    result = compared(
        digits_source,
        "digits-source",
        "vgg16",
        "nosuch@latest",
        "digits-source",
        weights=(f"small_cnn={weights}",),
        sizes=(16, 32),
        reporter=listener,
        picture=picture,
    )
    content = result.as_json()
    json.dumps(content, allow_nan=False)
    measured = [row for row in content["bases"] if row["accuracy"] is not None]
    assert len(content["bases"]) == 7  # two sizes, but for the run that is missing
    assert content["bases"][:2] == measured
    assert {row["image_size"] for row in measured} == {(32, 32)}
    run = f"digits-source/{weights.parents[2].name}"
    assert {row["weights"] for row in measured} == {weights.name, run}
    assert all(row["problem"] is None and row["ms_per_image"] > 0 for row in measured)
    losses = [row["log_loss"] for row in measured]
    assert losses == sorted(losses)
    assert content["recommended"] == next(row["base"] for row in measured if row["recommended"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)  # the run and the file of its weights
    assert measured[0]["bytes"] == 4 * measured[0]["parameters"]
    assert measured[0]["difference"]["log_loss"] == 0
    problems = [(row["base"], row["problem"]) for row in content["bases"][2:]]
    assert sum("too small for" in problem for _, problem in problems) == 3
    assert any("nor can they be downloaded" in problem for name, problem in problems if name == "vgg16")
    assert dict(problems)["nosuch@latest"] == f"no run 'nosuch@latest' under {digits_source.runs}"
    assert any("vgg16 is left out" in text for text in listener.warnings)
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"


def test_images_that_a_run_was_trained_on_count_for_no_base(digits_source: World, weights: Path) -> None:
    listener = Listener()
    data = {"train": str(digits_source.samples / "digits-source")}
    files = (f"small_cnn={weights}",)
    content = compared(
        digits_source, "digits-source", images=300, weights=files, data=data, reporter=listener
    ).as_json()
    warning = next(text for text in listener.warnings if "was trained on" in text)
    assert "do not count, for it and in comparisons with it" in warning
    file, run = sorted(content["bases"], key=lambda row: row["weights"] != weights.name)
    assert file["accuracy"] == pytest.approx(run["accuracy"])  # of the same images, though only the run is known


@pytest.mark.slow
def test_a_later_fine_tuning_computes_no_features_again(digits_source: World, tmp_path: Path) -> None:
    compute = {"cache_dir": str(tmp_path / "cache")}
    config = digits_source.config("later", "digits-target", compute=compute)
    bases = CandidateRequest(("digits-source",))
    result = recommend_base(RecommendRequest(config, digits_source.runs, candidates=bases, images=10**6), Listener())
    overrides = (*result.recommended.settings, "transfer.strategy=multilayer_probe")
    trained = digits_source.train("finetune", config, overrides=overrides)
    assert trained["cache"]["features"]["misses"] == 0
    assert trained["cache"]["features"]["hits"] == result.images


def test_a_stop_keeps_the_bases_that_were_measured(digits_source: World, weights: Path) -> None:
    listener = Listener(stop_at=lambda step: step[0].endswith(": building") and step[1] == 1)
    with pytest.raises(ComparisonStopped, match="1 of 2 bases are compared") as stopped:
        compared(
            digits_source, "digits-source", weights=(f"small_cnn={weights}",), sizes=(), reporter=listener, images=30
        )
    content = stopped.value.result.as_json()
    assert content["complete"] is False
    assert [row["problem"] is None for row in content["bases"]] == [True, False]
    assert "stopped" in content["bases"][1]["problem"]


@pytest.mark.parametrize(
    "bases, error, text",
    [
        (("vgg16", "resnet50"), WeightsError, "no base can be compared\n  vgg16: .*\n  resnet50: "),
        (("small_cnn",), WeightsError, "there are no published weights for small_cnn"),
        (("nosuch@champion",), ArtefactError, "no run 'nosuch@champion'"),
    ],
)
def test_if_no_base_can_be_compared_the_reasons_are_the_error(
    world: World, bases: tuple[str, ...], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        compared(world, *bases)


def test_keys_that_a_probe_does_not_have_are_named(world: World) -> None:
    listener = Listener()
    with pytest.raises(WeightsError):
        compared(world, "vgg16", reporter=listener, model={"head": {"hidden": [8], "pooling": "flatten"}})
    assert "image size: 32 pixels, as in the config" in listener.infos[0]
    assert any("model.head.hidden is not used here" in text for text in listener.infos)


def test_one_image_a_class_is_no_comparison(digits_source: World, tmp_path: Path, digits_folder: Path) -> None:
    for label in "56":
        (tmp_path / "one" / "train" / label).mkdir(parents=True)
        image = min((digits_folder / "digits-target" / "train" / label).iterdir())
        (tmp_path / "one" / "train" / label / image.name).write_bytes(image.read_bytes())
    with pytest.raises(DataError):
        compared(digits_source, "digits-source", data={"train": str(tmp_path / "one"), "test": None})
