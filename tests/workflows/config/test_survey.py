"""The survey of a data set for `config init`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.digits import write_folders
from tests.listener import Listener
from transfercli.config.starter import Survey
from transfercli.errors import DataError, TransferError
from transfercli.reporting import Reporter
from transfercli.workflows.config.survey import survey


def draw(folder: Path, counts: dict[str, int], size: tuple[int, int] = (200, 300), mode: str = "RGB") -> Path:
    """Write real digits, enlarged: `counts[label]` images of (height, width) `size` in folder/label."""
    rows = {label: range(count) for label, count in counts.items()}
    return write_folders(folder, rows, size=(size[1], size[0]), mode=mode)


def test_a_look_finds_classes_counts_and_the_typical_size(tmp_path: Path) -> None:
    found = survey(str(draw(tmp_path / "flowers", {"rose": 3, "no": 5})), tmp_path, Reporter())
    assert found == Survey(str(tmp_path / "flowers"), {"no": 5, "rose": 3}, (200, 300))
    assert (found.images, found.per_class) == (8, 4)


def test_a_look_finds_the_sides_inside_and_counts_only_training_images(tmp_path: Path) -> None:
    draw(tmp_path / "d" / "train", {"a": 4, "b": 4}, mode="L")
    draw(tmp_path / "d" / "test", {"a": 1, "b": 1}, mode="L")
    found = survey(str(tmp_path / "d"), tmp_path, Reporter())
    assert (found.counts, found.splits, found.grey) == ({"a": 4, "b": 4}, ("test",), True)


def test_a_file_and_a_keras_set_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n")
    assert survey(str(tmp_path / "list.csv"), tmp_path, Reporter()) == Survey(str(tmp_path / "list.csv"), {})
    assert survey("keras:cifar10", tmp_path, Reporter()).data == "keras:cifar10"


def test_what_is_no_data_set_gets_no_starter_but_hears_what_is_one(tmp_path: Path) -> None:
    draw(tmp_path / "all" / "flowers", {"rose": 2, "tulip": 2})
    draw(tmp_path / "all" / "more", {"rose": 2, "tulip": 2})
    for data, said in (
        (tmp_path / "all" / "more" / "rose" / "0000.png", "is neither a folder nor a .csv or .jsonl table"),
        (tmp_path / "all", r"'flowers', 'more' in .* hold no images themselves"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            survey(str(data), tmp_path, Reporter())
        assert "folder" in str(caught.value.hint)


def test_images_below_the_classes_are_counted_for_them_with_a_warning(tmp_path: Path) -> None:
    draw(tmp_path / "all" / "flowers", {"rose": 2, "tulip": 2})
    draw(tmp_path / "all" / "birds", {"owl": 2})
    reporter = Listener()
    assert survey(str(tmp_path / "all"), tmp_path, reporter).counts == {"birds": 2, "flowers": 4}
    assert "6 images in sub-folders of 2 class folders" in reporter.warnings[0]
    assert "'flowers' (rose, tulip)" in reporter.warnings[0]


def test_broken_images_are_counted_and_not_measured(tmp_path: Path) -> None:
    draw(tmp_path / "d", {"a": 2, "b": 2})
    (tmp_path / "d" / "a" / "broken.png").write_bytes(b"not an image")
    assert survey(str(tmp_path / "d"), tmp_path, Reporter()) == Survey(
        str(tmp_path / "d"), {"a": 3, "b": 2}, (200, 300)
    )


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        survey(str(tmp_path / "nowhere"), tmp_path, Reporter())
    (tmp_path / "empty").mkdir()
    with pytest.raises(TransferError, match="no class sub-folders"):
        survey(str(tmp_path / "empty"), tmp_path, Reporter())
    (tmp_path / "notes" / "a").mkdir(parents=True)
    (tmp_path / "notes" / "a" / "x.txt").write_text("x")
    with pytest.raises(DataError, match="no images"):
        survey(str(tmp_path / "notes"), tmp_path, Reporter())
    with pytest.raises(DataError, match="one class, 'a'"):
        survey(str(draw(tmp_path / "single", {"a": 2})), tmp_path, Reporter())
