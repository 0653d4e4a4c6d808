"""Starter configs of `config init`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.digits import write_folders
from transfercli.config.loader import load
from transfercli.errors import DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.workflows.config.init import init_config


def images(root: Path, **counts: int) -> Path:
    from PIL import Image

    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(root / label / f"{number}.png")
    return root


def test_an_unknown_keras_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match="allowed are keras:cifar10") as caught:
        init_config(None, "keras:cifar11", None, Reporter())
    assert caught.value.hint == "did you mean keras:cifar10?"
    assert "keras:cifar10" in init_config(None, "keras:cifar10", None, Reporter()).text


@pytest.mark.parametrize("count, sides, needed", [(1, (), 3), (2, (), 3), (1, ("test",), 2)])
def test_a_class_that_training_would_refuse_gets_no_starter(tmp_path: Path, count: int, sides, needed: int) -> None:
    root = tmp_path / "photos"
    images(root / "train" if sides else root, cat=4, dog=count)
    for side in sides:
        images(root / side, cat=1, dog=1)
    output = tmp_path / "c.yaml"
    with pytest.raises(DataError, match=f"'dog' has {count} images; training needs at least {needed} per class"):
        init_config(None, str(root), output, Reporter())
    assert not output.exists()


def test_as_many_images_as_training_needs_are_enough(tmp_path: Path) -> None:
    assert "train: " in init_config(None, str(images(tmp_path / "photos", cat=3, dog=3)), None, Reporter()).text
    for side in ("train", "validation", "test"):
        images(tmp_path / "sorted" / side, cat=1, dog=1)
    assert "train: " in init_config(None, str(tmp_path / "sorted"), None, Reporter()).text


def draw(folder: Path, counts: dict[str, int], size: tuple[int, int] = (200, 300), mode: str = "RGB") -> Path:
    """Write real digits, enlarged: `counts[label]` images of (height, width) `size` in folder/label."""
    rows = {label: range(count) for label, count in counts.items()}
    return write_folders(folder, rows, size=(size[1], size[0]), mode=mode)


def test_the_path_is_written_relative_to_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "data" / "flowers", {"a": 3, "b": 3})
    monkeypatch.chdir(tmp_path)
    init_config(None, "data/flowers", Path("configs/mine.yaml"), Reporter())
    assert load(Path("configs/mine.yaml")).config.data.train == "../data/flowers"
    assert "# Launch: transfercli finetune configs/mine.yaml\n" in Path("configs/mine.yaml").read_text()
    assert "train: data/flowers" in init_config(None, "data/flowers", None, Reporter()).text


def test_nothing_is_overwritten_and_an_unknown_base_is_named(tmp_path: Path) -> None:
    kept = tmp_path / "kept.yaml"
    kept.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        init_config(None, None, kept, Reporter())
    assert kept.read_text() == "mine"
    with pytest.raises(UsageError) as caught:
        init_config("ResNet5", None, None, Reporter())
    assert "did you mean resnet50?" in (caught.value.hint or "")
