"""Label decisions applied to a data set: by path and content, the last one wins, and slips are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.digits import Digits
from tests.listener import Listener
from transfercli.config.types import MULTILABEL
from transfercli.data.corrections.log import Decision, append_decisions
from transfercli.data.dataset import Dataset
from transfercli.errors import DataError

Load = Callable[..., Dataset]
TWO = {"cat": 12, "dog": 12}


class World:
    """A folder of two classes, its images as a run would record them, and a log of decisions beside it."""

    def __init__(self, folder: Path, load: Load, reporter: Listener) -> None:
        self.images, self.log, self.read, self.reporter = folder / "images", folder / "corrections.csv", load, reporter
        self.before = load(folder)
        self.sha256 = {record.path: record.sha256 for record in self.before.records}

    def decide(self, path: str, new: str, old: str | None = None, sha256: str | None = None) -> None:
        old = path.split("/")[0] if old is None else old
        append_decisions(self.log, [Decision(path, sha256 or self.sha256[path], old, new)])

    def load(self, **options: Any) -> Dataset:
        return self.read(self.images.parent, corrections=str(self.log), **options)

    def labels(self, **options: Any) -> dict[str, str]:
        return {record.path: record.label for record in self.load(**options).records}

    @property
    def paths(self) -> list[str]:
        return sorted(self.sha256)


@pytest.fixture
def world(tmp_path: Path, grow: Any, load: Load, reporter: Listener) -> World:
    grow(tmp_path / "images", TWO)
    return World(tmp_path, load, reporter)


def test_a_decision_changes_the_label_and_nothing_else(world: World) -> None:
    path = world.paths[0]
    world.decide(path, "dog")
    files = {file: file.stat() for file in world.images.rglob("*.png")}
    after = world.load(assignments=world.before.assignments)
    assert {record.path for record in after.records if record.label != record.path.split("/")[0]} == {path}
    assert [(r.path, r.sha256, r.split) for r in after.records] == [
        (r.path, r.sha256, r.split) for r in world.before.records
    ]
    split = next(split for split in after.splits.values() if path in split.paths)
    assert split.labels[split.targets[split.paths.index(path)]] == "dog"
    assert (after.cache.misses, after.cache.hits) == (0, len(world.paths))
    assert {file: file.stat() for file in files} == files


def test_the_last_decision_counts_and_one_without_a_label_takes_them_back(world: World) -> None:
    first, second, third = world.paths[:3]
    for path, new in ((first, "dog"), (second, "dog"), (third, "cat")):
        world.decide(path, new)
    world.decide(first, "cat", old="dog")
    world.decide(second, "", old="dog")
    applied = world.load().corrections
    assert applied is not None
    assert (applied.changed, applied.kept, dict(applied.unused)) == (0, 2, {})
    facts = applied.as_json()  # five rows are on three images, one of which has no decision in the end
    assert (facts["decisions"], facts["images"]) == (5, 2)
    assert world.labels()[second] == "cat"


def test_another_image_under_the_same_path_is_not_corrected(world: World) -> None:
    path, other = world.paths[0], world.paths[1]
    world.decide(path, "dog")
    shutil.copyfile(world.images / other, world.images / path)
    assert world.labels()[path] == "cat"
    assert any(f"1 image changed since: '{path}'" in text for text in world.reporter.warnings)


def test_an_image_that_was_renamed_is_known_by_its_content(world: World) -> None:
    path = world.paths[0]
    world.decide(path, "dog")
    (world.images / path).rename(world.images / "cat" / "renamed.png")
    assert world.labels()["cat/renamed.png"] == "dog"


def test_a_copy_elsewhere_keeps_its_label_until_it_is_decided_on(world: World) -> None:
    path = world.paths[0]
    world.decide(path, "dog")
    shutil.copyfile(world.images / path, world.images / "cat" / "copy.png")
    labels = world.labels()
    assert (labels[path], labels["cat/copy.png"]) == ("dog", "cat")


def test_a_label_that_was_changed_in_the_data_since_wins(world: World) -> None:
    world.decide(path := world.paths[0], "dog", old="bird")
    assert world.labels()[path] == "cat"
    assert any("1 image labelled otherwise since" in text for text in world.reporter.warnings)


def test_a_decision_that_the_data_has_caught_up_with_does_nothing(world: World) -> None:
    path = world.paths[0]
    world.decide(path, "dog")
    table = world.images.parent / "list.csv"
    rows = [f"images/{name},{'dog' if name == path else name.split('/')[0]}\n" for name in world.paths]
    table.write_text("path,label\n" + "".join(rows))
    content = world.log.read_text().replace("cat/", "images/cat/")
    world.log.write_text(content)
    applied = world.read(table.parent, "list.csv", corrections=str(world.log)).corrections
    assert applied is not None
    assert (applied.changed, applied.kept) == (0, 1)


def test_a_slip_in_a_label_is_refused_with_the_nearest_name(world: World) -> None:
    world.decide(world.paths[0], "dgo")
    with pytest.raises(DataError, match=r"corrections\.csv: 'dgo' is no class of the data") as caught:
        world.load()
    assert caught.value.hint is not None
    assert "did you mean 'dog'?" in caught.value.hint


def test_a_new_class_is_one_that_the_config_expects(world: World) -> None:
    for path in world.paths[:6]:
        world.decide(path, "bird")
    assert world.load(expect={"classes": ["bird"]}).labels == ("bird", "cat", "dog")


def test_classes_are_checked_as_the_decisions_leave_them(world: World) -> None:
    for path in world.paths[:12]:
        world.decide(path, "dog")
    with pytest.raises(DataError, match=r"one class \('dog'\)"):
        world.load()


def test_a_file_that_does_not_exist_yet_corrects_nothing_with_a_warning(world: World) -> None:
    assert world.load().records == world.before.records
    assert any("does not exist yet" in text for text in world.reporter.warnings)


def test_a_folder_that_does_not_exist_is_an_error(world: World) -> None:
    world.log = world.log.parent / "lost" / "corrections.csv"
    with pytest.raises(DataError, match="there is no folder for this file"):
        world.load()


def test_a_row_cut_short_is_left_out_with_a_warning(world: World) -> None:
    world.decide(path := world.paths[0], "dog")
    with world.log.open("ab") as file:
        file.write(b"cat/another.png,ab")
    assert world.labels()[path] == "dog"
    assert any("cut short" in text for text in world.reporter.warnings)


def test_sets_of_labels_are_written_as_in_dataset_csv(tmp_path: Path, grow: Any, load: Load) -> None:
    grow(tmp_path / "images", {"x": 20})
    names = sorted(path.name for path in (tmp_path / "images" / "x").iterdir())
    rows = [f"images/x/{name},{['dog;cat', 'dog', 'cat', ''][n % 4]}\n" for n, name in enumerate(names)]
    (tmp_path / "list.csv").write_text("path,labels\n" + "".join(rows))
    options = {"task": MULTILABEL, "label_separator": ";", "validation": 0.2, "test": None}
    before = load(tmp_path, "list.csv", **options).records[0]
    assert before.label == '["cat", "dog"]'
    log = tmp_path / "corrections.csv"
    append_decisions(log, [Decision(before.path, before.sha256, '["dog","cat"]', "[]")])  # by hand
    assert load(tmp_path, "list.csv", corrections=str(log), **options).records[0].label == "[]"
    append_decisions(log, [Decision(before.path, before.sha256, "[]", "cat")])
    with pytest.raises(DataError, match="'cat' is no list of labels"):
        load(tmp_path, "list.csv", corrections=str(log), **options)


def test_images_of_keras_are_named_by_split_and_number(
    digits: Digits, tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    halves = (digits.images[:300], digits.labels[:300]), (digits.images[300:400], digits.labels[300:400])
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: halves)
    before = next(record for record in load(tmp_path, "keras:mnist").records if record.path == "test/00007")
    log, other = tmp_path / "corrections.csv", "1" if before.label != "1" else "2"
    append_decisions(log, [Decision(before.path, before.sha256, before.label, other)])
    after = load(tmp_path, "keras:mnist", corrections=str(log))
    changed = {record.path: record.label for record in after.records if record.path == before.path}
    assert changed == {"test/00007": other}
    tested = after.splits["test"]
    assert after.labels[tested.targets[tested.paths.index("test/00007")]] == other
