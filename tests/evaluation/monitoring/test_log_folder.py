"""Answer logs on disk: read whole, merged, kept small, and refused if a file is hostile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.evaluation.monitoring.log_makers import FACTS, LABELS, WIDTH, log_file, written
from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.monitoring import compaction, log_folder
from transfercli.evaluation.monitoring.compaction import DAYS, compact, new_name
from transfercli.evaluation.monitoring.log_files import LogFile, read_log_file, write_log_file
from transfercli.evaluation.monitoring.log_folder import log_files, models_in, open_model_folder, read_sketches
from transfercli.evaluation.monitoring.model_facts import ModelFacts
from transfercli.evaluation.monitoring.reservoir import Sample
from transfercli.evaluation.monitoring.sketch import Sketch, merged

TODAY = date(2026, 11, 29)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return open_model_folder(tmp_path / "log", FACTS)


def days_ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def same(one: Sketch, other: Sketch) -> bool:
    counts = [{day: counts.as_json() for day, counts in sketch.days.items()} for sketch in (one, other)]
    return counts[0] == counts[1] and all(
        np.array_equal(getattr(one.sample, name), getattr(other.sample, name))
        for name in ("keys", "times", "features", "probabilities")
    )


def test_a_file_is_read_as_it_was_written_and_equal_answers_give_equal_bytes(tmp_path: Path) -> None:
    file = log_file(TODAY, 40, 1, rows=16)
    write_log_file(tmp_path / "a", file)
    write_log_file(tmp_path / "b", log_file(TODAY, 40, 1, rows=16))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    found = read_log_file(tmp_path / "a", FACTS.key, len(LABELS))
    assert found.days[TODAY].as_json() == file.days[TODAY].as_json()
    assert found.sample.limit == file.sample.limit < 2**64 - 1
    np.testing.assert_array_equal(found.sample.features, file.sample.features)


def test_a_sketch_has_the_images_of_all_processes_in_a_range_of_days(folder: Path) -> None:
    for seed, (days, images) in enumerate([(3, 10), (3, 20), (1, 30), (0, 5)]):
        written(folder, days_ago(days), images, seed)
    whole = read_sketches(folder.parent)
    assert {day: counts.images for day, counts in whole.days.items()} == {
        days_ago(3): 30,
        days_ago(1): 30,
        TODAY: 5,
    }
    assert (whole.images, len(whole.sample), whole.sample.different) == (65, 65, 65)
    assert whole.weights.sum() == pytest.approx(65)
    assert whole.features is not None
    assert whole.features.shape == (65, WIDTH)
    recent = read_sketches(folder.parent, since=days_ago(1))
    assert (recent.images, len(recent.sample)) == (35, 35)
    middle = read_sketches(folder.parent, until=days_ago(1), since=days_ago(2))
    assert (middle.images, len(middle.sample)) == (30, 30)
    nothing = read_sketches(folder.parent, since=TODAY + timedelta(days=1))
    assert (nothing.images, len(nothing.sample), nothing.mean_confidence) == (0, 0, None)


def test_files_without_features_leave_a_sample_of_probabilities(folder: Path) -> None:
    written(folder, TODAY, 10, 1)
    written(folder, TODAY, 10, 2, width=0)
    sketch = read_sketches(folder.parent)
    assert sketch.features is None
    assert sketch.probabilities.shape == (20, len(LABELS))


def test_answers_of_several_models_are_never_added_up(folder: Path) -> None:
    written(folder, TODAY, 10, 1)
    other = ModelFacts("pets/night-2", "onnx", LABELS, "one label", {"height": 4, "width": 4}, "cd" * 32)
    second = open_model_folder(folder.parent, other)
    write_log_file(second / new_name("2026-11-29"), LogFile(other.key, {}, Sample.none(0, 3)))
    with pytest.raises(UsageError, match="answers of 2 models, which are not added up"):
        read_sketches(folder.parent)
    assert read_sketches(folder.parent, model="pets/night-1").images == 10
    assert read_sketches(folder.parent, model=other.key).images == 0
    with pytest.raises(ArtefactError, match="no answers of pets/night-3"):
        read_sketches(folder.parent, model="pets/night-3")
    assert [facts.title for facts in models_in(folder.parent).values()] == ["pets/night-1", "pets/night-2 as onnx"]
    (folder / "2026-11-29.0123456789abcdef.safetensors").write_bytes(next(iter(log_files(second))).read_bytes())
    with pytest.raises(ArtefactError, match="its folder of"):
        read_sketches(folder.parent, model="pets/night-1")


def test_a_log_is_not_opened_among_files_of_something_else(tmp_path: Path) -> None:
    images = tmp_path / "digits"
    (images / "train").mkdir(parents=True)
    with pytest.raises(UsageError, match="'train', and no answers"):
        open_model_folder(images, FACTS)
    assert [path.name for path in images.iterdir()] == ["train"]
    (images / "train").rmdir()
    (images / ".hidden").touch()
    folder = open_model_folder(images, FACTS)
    (images / "README").touch()
    assert open_model_folder(images, FACTS) == folder  # a person's note beside earlier answers


def test_a_folder_without_answers_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        read_sketches(tmp_path / "none")
    with pytest.raises(ArtefactError, match="has no answers of a model"):
        read_sketches(tmp_path)


# -- hostile files


def with_facts(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        facts = json.loads(tensors["facts"].tobytes()) | changes
        tensors["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)

    return change


def with_tensor(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        tensors[name] = value(tensors[name])

    return change


@pytest.mark.parametrize(
    "change",
    [
        with_facts(format=2),
        with_facts(format=None),
        with_facts(limit="-1"),
        with_facts(limit="0"),
        with_facts(limit="f" * 40),
        with_facts(days={"yesterday": {}}),
        with_facts(days={"2026-11-29": {}}),
        with_facts(days=[]),
        with_facts(days={}),
        with_tensor("keys", lambda keys: keys[::-1].copy()),
        with_tensor("keys", lambda keys: keys.astype(np.int64)),
        with_tensor("times", lambda times: times * 0),
        with_tensor("times", lambda times: times * 10**6),
        with_tensor("features", lambda rows: rows[1:]),
        with_tensor("features", lambda rows: rows * np.float32(np.nan)),
        with_tensor("features", lambda rows: rows.astype(np.float64)),
        with_tensor("probabilities", lambda rows: rows[:, :2].copy()),
        with_tensor("facts", lambda facts: facts[:-5].copy()),
        with_tensor("facts", lambda _: np.frombuffer(b"[" * 100_000, np.uint8)),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = written(folder, TODAY, 10, 1)
    tensors = dict(safetensors.numpy.load(path.read_bytes()))
    change(tensors)
    path.write_bytes(safetensors.numpy.save(tensors))
    with pytest.raises(ArtefactError, match=r"is damaged"):
        read_sketches(folder.parent)


def test_a_cut_or_overgrown_file_a_link_and_a_pipe_are_refused(folder: Path, tmp_path: Path) -> None:
    path = written(folder, TODAY, 10, 1)
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    with pytest.raises(ArtefactError, match="not a whole safetensors file"):
        read_sketches(folder.parent)
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ArtefactError, match="at most 67108864 are read"):
        read_sketches(folder.parent)
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(content)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactError, match="not a regular file"):
        read_sketches(folder.parent)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ArtefactError, match="not a regular file"):
        read_sketches(folder.parent)


@pytest.mark.parametrize(
    "model",
    [None, [], {"labels": ["cat"]}, {"labels": "cat", "extra": 1}, {"labels": [1], "answers": "one label"}],
)
def test_damaged_facts_of_a_model_are_refused(folder: Path, model: Any) -> None:
    (folder / "model.json").write_text(json.dumps({"format": 1, "model": model}))
    with pytest.raises(ArtefactError, match="is damaged"):
        read_sketches(folder.parent)
    with pytest.raises(ArtefactError, match="is damaged"):
        open_model_folder(folder.parent, FACTS)


def test_facts_that_were_changed_do_not_fit_their_folder(folder: Path) -> None:
    values = json.loads((folder / "model.json").read_text())
    values["model"]["labels"].reverse()
    (folder / "model.json").write_text(json.dumps(values))
    with pytest.raises(ArtefactError, match="of another model"):
        read_sketches(folder.parent)


# -- compaction


def fill_a_year(folder: Path) -> None:
    for days in range(0, 360, 3):
        for process in range(2):
            written(folder, days_ago(days), 20, 1000 * process + days)


def test_a_year_of_nights_stays_in_few_files_with_the_counts_of_each_day(folder: Path) -> None:
    fill_a_year(folder)
    before = read_sketches(folder.parent)
    compact(folder, FACTS, TODAY)
    after = read_sketches(folder.parent)
    assert same(before, after)
    names = [path.name for path in log_files(folder)]
    assert len(names) < 10 + 22 + 2  # months, days of which every third has files, and the two of today
    assert sum(name.startswith("2026-06.") for name in names) == 1
    compact(folder, FACTS, TODAY)
    assert [path.name for path in log_files(folder)] == names
    old = days_ago(DAYS)
    assert same(read_sketches(folder.parent, since=old), recent_part(before, old))


def recent_part(whole: Sketch, since: date) -> Sketch:
    """Return the sketch of recent days, whose files were not merged over months."""
    kept = {day: counts for day, counts in whole.days.items() if day >= since}
    seeds = [(process, days) for days in range(0, 360, 3) for process in range(2) if days_ago(days) >= since]
    files = [log_file(days_ago(days), 20, 1000 * process + days) for process, days in seeds]
    return Sketch(FACTS, kept, merged(files, len(LABELS))[1])


def test_a_file_is_not_counted_twice_if_its_merger_was_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_a_year(folder)
    before, sources = read_sketches(folder.parent), {path.name: path.read_bytes() for path in log_files(folder)}

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        compact(folder, FACTS, TODAY)
    monkeypatch.undo()
    assert len(log_files(folder)) == len(sources) + 1
    assert same(read_sketches(folder.parent), before)
    compact(folder, FACTS, TODAY)
    assert same(read_sketches(folder.parent), before)
    for name, content in sources.items():  # a suspended process writes its file of a past day once more
        if not (folder / name).exists():
            (folder / name).write_bytes(content)
    assert same(read_sketches(folder.parent), before)
    compact(folder, FACTS, TODAY)
    assert same(read_sketches(folder.parent), before)


def test_reading_goes_on_while_files_are_merged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_a_year(folder)
    before, calls = read_sketches(folder.parent), []

    def merged_meanwhile(path: Path, model: str, labels: int) -> LogFile:
        calls.append(path)
        if len(calls) == 50:
            compact(folder, FACTS, TODAY)
        return read_log_file(path, model, labels)

    monkeypatch.setattr(log_folder, "read_log_file", merged_meanwhile)
    assert same(read_sketches(folder.parent), before)


def test_a_second_process_leaves_the_merging_to_the_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_a_year(folder)
    count = len(log_files(folder))
    with compaction._only_process(folder) as alone:
        assert alone
        compact(folder, FACTS, TODAY)
    assert len(log_files(folder)) == count


def test_a_file_named_after_a_day_that_does_not_exist_is_left_alone(folder: Path) -> None:
    path = folder / "2026-02-31.0123456789abcdef.safetensors"
    path.write_bytes(b"")
    fill_a_year(folder)
    compact(folder, FACTS, TODAY)
    assert path.exists()


def test_a_process_that_begins_reads_only_the_files_that_it_merges(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_a_year(folder)
    compact(folder, FACTS, TODAY)
    monkeypatch.setattr(compaction, "read_log_file", pytest.fail)
    compact(folder, FACTS, TODAY)


def test_temporary_files_of_killed_processes_are_removed_but_not_those_of_running_ones(folder: Path) -> None:
    old, new = folder / ".2026-11-28.0.safetensors.17.tmp", folder / ".2026-11-29.0.safetensors.18.tmp"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, 0))
    compact(folder, FACTS, TODAY)
    assert (old.exists(), new.exists()) == (False, True)
