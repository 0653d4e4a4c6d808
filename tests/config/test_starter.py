"""`config init` looks at images and writes a config that loads and says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from transfercli.config.loader import load
from transfercli.config.schema import ExperimentConfig
from transfercli.config.starter import UNKNOWN, Survey, starter
from transfercli.errors import DataError, TransferError, UsageError
from transfercli.workflows.config.init import init_config
from transfercli.workflows.config.survey import survey

Write = Callable[..., Path]


def draw(folder: Path, counts: dict[str, int], size: tuple[int, int] = (200, 300), mode: str = "RGB") -> Path:
    """Real digits, enlarged: `counts[label]` images of (height, width) `size` in folder/label."""
    digits = load_digits()
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = (digits.images[number] * 15.9).astype(np.uint8)
            image = Image.fromarray(pixels).resize((size[1], size[0])).convert(mode)
            image.save(folder / label / f"{number}.png")
    return folder


def read(text: str, write: Write) -> ExperimentConfig:
    return load(write(text, "starter.yaml")).config


def test_a_look_finds_classes_counts_and_the_typical_size(tmp_path: Path) -> None:
    found = survey(str(draw(tmp_path / "flowers", {"rose": 3, "no": 5})), tmp_path)
    assert found == Survey(str(tmp_path / "flowers"), {"no": 5, "rose": 3}, (200, 300))
    assert (found.images, found.per_class) == (8, 4)


def test_a_look_finds_the_sides_inside_and_counts_only_training_images(tmp_path: Path) -> None:
    draw(tmp_path / "d" / "train", {"a": 4, "b": 4}, mode="L")
    draw(tmp_path / "d" / "test", {"a": 1, "b": 1}, mode="L")
    found = survey(str(tmp_path / "d"), tmp_path)
    assert (found.counts, found.splits, found.grey) == ({"a": 4, "b": 4}, ("test",), True)


def test_the_path_is_written_relative_to_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "data" / "flowers", {"a": 3, "b": 3})
    monkeypatch.chdir(tmp_path)
    init_config(None, "data/flowers", Path("configs/mine.yaml"))
    assert load(Path("configs/mine.yaml")).config.data.train == "../data/flowers"
    assert "# Launch: transfercli finetune configs/mine.yaml\n" in Path("configs/mine.yaml").read_text()
    assert "train: data/flowers" in init_config(None, "data/flowers", None).text


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


def test_a_base_without_published_weights_trains_from_scratch(write: Write) -> None:
    config = read(starter(Survey("d", {"a": 10, "b": 10}, (28, 28), grey=True)), write)
    assert (config.model.base, config.model.weights, config.transfer.strategy) == ("small_cnn", "none", "scratch")
    assert (config.data.image_size, config.data.channels) == (32, 1)


def test_published_weights_keep_colour(write: Write) -> None:
    assert read(starter(Survey("d", {"a": 60, "b": 60}, (300, 300), grey=True)), write).data.channels == 3


@pytest.mark.parametrize(
    "size, base, expected",
    [((300, 400), "resnet50", 224), ((60, 100), "resnet50", 96), ((60, 60), "inceptionv3", 75), (None, "vgg16", 224)],
)
def test_small_images_are_not_blown_up(size: tuple[int, int] | None, base: str, expected: int, write: Write) -> None:
    assert read(starter(Survey("d", {"a": 100, "b": 100}, size), base), write).data.image_size == expected


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
    text = starter(UNKNOWN, base)
    assert read(text, write).data.train == "path/to/images"
    assert yaml.safe_load(text)["model"]["base"] == (base or "resnet50")
    assert text.count("# ") >= 8


def test_sides_inside_are_left_to_the_folder(write: Write) -> None:
    text = starter(Survey("d", {"a": 50, "b": 50}, (300, 300), ("validation", "test")))
    assert "test" not in yaml.safe_load(text)["data"]
    assert "validation" not in yaml.safe_load(text)["data"]
    assert "the images of the folder test/ inside are used" in text


def test_a_file_and_a_keras_set_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n")
    assert survey(str(tmp_path / "list.csv"), tmp_path) == Survey(str(tmp_path / "list.csv"), {})
    assert survey("keras:cifar10", tmp_path).data == "keras:cifar10"


def test_what_is_no_data_set_gets_no_starter_but_hears_what_is_one(tmp_path: Path) -> None:
    draw(tmp_path / "all" / "flowers", {"rose": 2, "tulip": 2})
    draw(tmp_path / "all" / "birds", {"owl": 2})
    for data, said in (
        (tmp_path / "all" / "birds" / "owl" / "0.png", "is neither a folder nor a .csv or .jsonl table"),
        (tmp_path / "all", r"none of its sub-folders \(birds, flowers\) has images itself"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            survey(str(data), tmp_path)
        assert "folder" in str(caught.value.hint)
    (tmp_path / "all" / "birds" / "odd.png").write_bytes((tmp_path / "all" / "birds" / "owl" / "0.png").read_bytes())
    assert survey(str(tmp_path / "all"), tmp_path).counts == {"birds": 3, "flowers": 4}


def test_broken_images_are_counted_and_not_measured(tmp_path: Path) -> None:
    draw(tmp_path / "d", {"a": 2, "b": 2})
    (tmp_path / "d" / "a" / "broken.png").write_bytes(b"not an image")
    assert survey(str(tmp_path / "d"), tmp_path) == Survey(str(tmp_path / "d"), {"a": 3, "b": 2}, (200, 300))


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        survey(str(tmp_path / "nowhere"), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TransferError, match="no class sub-folders"):
        survey(str(tmp_path / "empty"), tmp_path)
    (tmp_path / "notes" / "a").mkdir(parents=True)
    (tmp_path / "notes" / "a" / "x.txt").write_text("x")
    with pytest.raises(DataError, match="no images"):
        survey(str(tmp_path / "notes"), tmp_path)
    with pytest.raises(DataError, match="one class, 'a'"):
        survey(str(draw(tmp_path / "single", {"a": 2})), tmp_path)


def test_nothing_is_overwritten_and_an_unknown_base_is_named(tmp_path: Path) -> None:
    kept = tmp_path / "kept.yaml"
    kept.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        init_config(None, None, kept)
    assert kept.read_text() == "mine"
    with pytest.raises(UsageError) as caught:
        init_config("ResNet5", None, None)
    assert "did you mean resnet50?" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "file, name", [("work/mine.yaml", "mine"), ("my file.yaml", "d-small_cnn"), (None, "d-small_cnn")]
)
def test_the_experiment_is_named_after_the_file_where_that_can_name_one(file, name, write) -> None:
    assert read(starter(Survey("d", {"a": 60, "b": 60}, (28, 28)), file=file), write).name == name
