"""`config init` looks at images and writes a config that loads and says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from transfercli.config.loader import load
from transfercli.config.schema import ExperimentConfig, HubWeights
from transfercli.config.starter import UNKNOWN, ChosenBase, Survey, starter
from transfercli.models.bases import BASES
from transfercli.models.published_weights import PublishedRepository

Write = Callable[..., Path]


def read(text: str, write: Write) -> ExperimentConfig:
    return load(write(text, "starter.yaml")).config


@pytest.mark.parametrize(
    "counts, strategy",
    [
        ({"a": 10, "b": 12}, "feature_extraction"),
        ({"a": 100, "b": 120}, "partial"),
        ({"a": 5000, "b": 6000}, "full"),
    ],
)
def test_more_images_train_more_of_the_base(counts: dict[str, int], strategy: str, write: Write) -> None:
    text = starter(Survey("d", counts, (300, 300)))
    config = read(text, write)
    assert (config.model.base, config.model.weights, config.transfer.strategy) == ("resnet50", "imagenet", strategy)
    assert "  # " in text.split("transfer:")[1].split("training:")[0]


def test_the_spread_of_the_classes_is_said_if_there_is_one() -> None:
    assert "\n# 20 images per class\n" in starter(Survey("d", {"a": 20, "b": 20}, (28, 28)))
    assert "\n# 10 ('a') to 20 images per class\n" in starter(Survey("d", {"a": 10, "b": 20}, (28, 28)))


def test_a_base_without_published_weights_trains_from_scratch(write: Write) -> None:
    config = read(starter(Survey("d", {"a": 10, "b": 10}, (28, 28), grey=True)), write)
    assert (config.model.base, config.model.weights, config.transfer.strategy) == ("small_cnn", "none", "scratch")
    assert (config.data.image_size, config.data.channels) == (32, 1)


def test_published_weights_keep_colour(write: Write) -> None:
    assert read(starter(Survey("d", {"a": 60, "b": 60}, (300, 300), grey=True)), write).data.channels == 3


@pytest.mark.parametrize(
    "size, base, expected",
    [
        ((300, 400), "resnet50", 224),
        ((600, 400), "small_cnn", 128),
        ((60, 64), "small_cnn", 64),
        ((60, 100), "resnet50", 96),
        ((60, 60), "inceptionv3", 75),
        ((60, 60), "vit_small_patch16", 96),  # at least 6 patches of 16 pixels a side
        ((28, 28), "dinov2_small", 84),
        ((28, 28), "clip_base_patch32", 192),
        ((130, 100), "vit_small_patch16", 128),
        ((200, 200), "dinov2_small", 196),  # 14 patches of 14 pixels
        (None, "vgg16", 224),
    ],
)
def test_small_images_are_not_blown_up(size: tuple[int, int] | None, base: str, expected: int, write: Write) -> None:
    assert read(starter(Survey("d", {"a": 100, "b": 100}, size), ChosenBase(base)), write).data.image_size == expected


def test_few_images_make_small_batches_and_uneven_classes_get_weights(write: Write) -> None:
    few = read(starter(Survey("d", {"a": 20, "b": 90}, (300, 300))), write)
    assert (few.data.batch_size, few.training.class_weights) == (16, "balanced")
    many = read(starter(Survey("d", {"a": 20000, "b": 20000}, (300, 300))), write)
    assert (many.data.batch_size, many.training.class_weights) == (64, None)


@pytest.mark.parametrize("data", ["no", "1e-4", "a: b", "#x", "my images/été 😀", "'q'", "keras:cifar10", "x" * 200])
@pytest.mark.parametrize("label", ["no", "a: b #c", "line\nbreak", "\x1b[31m", "x" * 300])
def test_strange_names_still_give_a_config(data: str, label: str, write: Write) -> None:
    config = read(starter(Survey(data, {label: 5, "b": 5}, (300, 300))), write)
    assert config.data.train == data


@pytest.mark.parametrize("base", [None, "vgg16", "resnet18", "efficientnetb0", "convnexttiny"])
def test_a_template_without_data_is_a_valid_config(base: str | None, write: Write) -> None:
    text = starter(UNKNOWN, base and ChosenBase(base))
    assert read(text, write).data.train == "path/to/images"
    assert yaml.safe_load(text)["model"]["base"] == (base or "resnet50")
    assert text.count("# ") >= 8


def test_sides_inside_are_left_to_the_folder(write: Write) -> None:
    text = starter(Survey("d", {"a": 50, "b": 50}, (300, 300), ("validation", "test")))
    assert "test" not in yaml.safe_load(text)["data"]
    assert "validation" not in yaml.safe_load(text)["data"]
    assert "the images of the folder test/ inside are used" in text


@pytest.mark.parametrize(
    "file, name", [("work/mine.yaml", "mine"), ("my file.yaml", "d-small_cnn"), (None, "d-small_cnn")]
)
def test_the_experiment_is_named_after_the_file_where_that_can_name_one(file, name, write) -> None:
    assert read(starter(Survey("d", {"a": 60, "b": 60}, (28, 28)), file=file), write).name == name


def test_a_starter_s_launch_line_can_be_pasted() -> None:
    from transfercli.config.starter import starter

    assert "# Launch: transfercli finetune 'my configs/a.yaml'\n" in starter(file="my configs/a.yaml")


@pytest.mark.parametrize(
    "images, size, grey, preset",
    [(50, 300, False, "medium"), (500, 300, True, "light"), (5000, 300, False, "none"), (50, 28, True, "none")],
)
def test_a_network_from_scratch_gets_augmentation_by_the_number_of_images(
    images: int, size: int, grey: bool, preset: str, write: Write
) -> None:
    survey = Survey("d", {"a": images, "b": images}, (size, size), grey=grey)
    assert read(starter(survey, ChosenBase("small_cnn")), write).augmentation.preset == preset


@pytest.mark.parametrize("base", ["small_cnn", "resnet18", "vit_small_patch16"])
def test_digits_are_not_mirrored_with_any_base(base: str, write: Write) -> None:
    survey = Survey("d", {"a": 60, "b": 60}, (28, 28), grey=True)
    assert read(starter(survey, ChosenBase(base)), write).augmentation.preset == "none"


def test_a_small_image_is_said_to_be_enlarged_to_patches() -> None:
    text = starter(Survey("d", {"a": 60, "b": 60}, (32, 32)), ChosenBase("vit_tiny_patch16"))
    assert "image_size: 96  # pixels; images of about 32x32 are enlarged to 6x6 patches of 16; 224, the size" in text


def test_a_template_without_data_says_that_it_guesses() -> None:
    assert "guesses for photographs; with --data" in starter(UNKNOWN)
    assert "guess" not in starter(Survey("d", {"a": 60, "b": 60}, (300, 300)))


@pytest.mark.parametrize("base", BASES)
def test_the_starter_of_every_base_is_valid_and_pools_as_published(base: str, write: Write) -> None:
    for survey in (UNKNOWN, Survey("d", {"a": 60, "b": 60}, (40, 40), grey=True)):
        config = read(starter(survey, ChosenBase(base)), write)
        assert (config.model.base, config.model.head.pooling) == (base, BASES[base].pooling)
        assert config.model.weights == ("imagenet" if BASES[base].has_imagenet else "none")


def test_the_starter_names_the_licence_and_a_pinned_repository(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    assert "weights: imagenet  # ImageNet weights of He et al. (MIT); or {run: RUN}" in starter()
    weights = PublishedRepository("timm/resnet34.a1_in1k", 0.779, "a table", "Apache-2.0")
    row = replace(BASES["resnet34"], repository=weights, crop=0.875, interpolation="bilinear")
    monkeypatch.setitem(BASES, "resnet34", row)
    text = starter(UNKNOWN, ChosenBase("resnet34"))
    assert "weights: imagenet  # weights of timm/resnet34.a1_in1k (Apache-2.0); or" in text
    assert "# resize: crop  # the published network is given the central 0.875 of the shorter side (bilinear)" in text
    pinned = text.replace("  weights: imagenet", "  # weights").replace("  # weights: {hub", "  weights: {hub")
    config = read(pinned, write)
    assert isinstance(config.model.weights, HubWeights)
    assert (config.model.weights.hub, config.model.weights.revision) == ("timm/resnet34.a1_in1k", "COMMIT")


def test_a_base_named_by_another_repository_starts_from_that_one(write: Write) -> None:
    config = read(starter(UNKNOWN, ChosenBase("resnet50_torch", weights={"hub": "timm/resnet50.tv2_in1k"})), write)
    assert isinstance(config.model.weights, HubWeights)
    assert (config.model.base, config.model.weights.hub) == ("resnet50_torch", "timm/resnet50.tv2_in1k")
    assert config.transfer.strategy == "partial"
