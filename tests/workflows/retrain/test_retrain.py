"""Nights of one experiment, on real digits: a linear probe on the base that was pretrained on the digits 0 to 4."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.heard import Heard
from transfercli.data.manifest import read_manifest
from transfercli.errors import BusyError, DataError, DiskError, Interrupted, UsageError, WeightsError
from transfercli.reporting import Reporter
from transfercli.runs import decisions
from transfercli.runs.lock import experiment_lock
from transfercli.runs.lookup import find_run
from transfercli.workflows.stored_run import StoredRun


@dataclass
class Nights:
    """A folder of images that changes from night to night, and the config of `retrain`."""

    images: Path
    samples: Path
    config: Path
    runs: Path
    reporter: Heard = field(default_factory=lambda: Heard())

    def add(self, label: str, first: int, last: int, source: str = "") -> None:
        """Digits number `first` to `last` of a class, as they are sorted."""
        place = self.images / label
        place.mkdir(parents=True, exist_ok=True)
        for image in sorted((self.samples / "digits-target" / "train" / (source or label)).iterdir())[first:last]:
            shutil.copy(image, place / image.name)

    def night(self, **more: Any) -> dict[str, Any]:
        from transfercli.workflows.retrain.retrain import Rejected, RetrainRequest, retrain

        try:
            return retrain(RetrainRequest(self.config, self.runs, **more), self.reporter).as_json()
        except Rejected as rejected:
            return rejected.result.as_json()

    @property
    def experiment(self) -> Path:
        return self.runs / "nightly"

    @property
    def words(self) -> list[str]:
        return [one.decision for one in decisions.read(self.experiment)]


@pytest.fixture
def nights(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """Exports, which take a process each, have a test of their own."""
    from transfercli.workflows.retrain import retrain

    monkeypatch.setattr(retrain, "export_failure", lambda *_: "")
    world, earlier = source
    found = Nights(tmp_path / "images", world.samples, tmp_path / "nightly.yaml", tmp_path / "runs")
    for label in "567":
        found.add(label, 0, 40)
    write_config(found, earlier["run"])
    return found


def write_config(nights: Nights, base: str, **more: Any) -> None:
    import yaml

    config = {
        "name": "nightly",
        "data": {"train": "images", "validation": 0.2, "test": 0.3, "image_size": 32},
        "model": {"base": "small_cnn", "weights": {"run": str(Path(base).resolve())}},
        "transfer": {"strategy": "linear_probe"},
        "compute": {"cache_dir": "cache"},
        **more,
    }
    nights.config.write_text(yaml.safe_dump(config))


def test_the_first_night_makes_a_champion_and_the_next_finds_nothing_to_do(nights: Nights) -> None:
    first = nights.night()
    assert first["decision"] == "first"
    assert first["champion"] == first["challenger"]
    assert find_run("nightly@champion", nights.runs).run_id == Path(first["champion"]).name
    second = nights.night()
    assert (second["decision"], second["champion"], second["challenger"]) == ("unchanged", first["champion"], None)
    assert nights.words == ["first", "unchanged"]
    assert nights.night()["decision"] == "unchanged"


def test_a_broken_image_is_warned_of_once_and_so_is_the_next_one(nights: Nights, source: Any) -> None:
    data = {"train": "images", "validation": 0.2, "test": 0.3, "image_size": 32, "max_bad_fraction": 0.1}
    write_config(nights, source[1]["run"], data=data)
    for name in ("broken.png", "another.png"):
        (nights.images / "5" / name).write_bytes(b"no image")
        nights.night()
        assert any(name in text for text in nights.reporter.warnings)
        nights.reporter.warnings.clear()
        assert nights.night()["decision"] == "unchanged"
        assert nights.reporter.warnings == []
    assert nights.words == ["first", "unchanged", "unchanged", "unchanged"]


def test_more_images_train_a_challenger_that_is_compared_on_the_same_images(nights: Nights) -> None:
    first = nights.night()
    nights.add("5", 40, 60)
    result = nights.night()
    assert result["decision"] in ("promoted", "kept")
    assert result["challenger"] != first["champion"]
    assert result["changes"]["added"] == 20
    comparison = result["comparison"]
    assert comparison["metric"] == "accuracy"
    assert comparison["images"] == result["test"]["images"]
    low, high = comparison["interval"]
    assert low <= comparison["gain"] <= high
    assert nights.night()["decision"] == "unchanged"


@pytest.mark.slow
def test_no_test_image_was_ever_trained_on(nights: Nights) -> None:
    nights.night()
    for last in (50, 60):
        nights.add("6", 40, last)
        nights.night()
    seen: dict[str, set[str]] = {"train": set(), "test": set()}
    for folder in nights.experiment.iterdir():
        if not folder.is_symlink() and (folder / "dataset.csv").exists():
            for one in read_manifest(folder / "dataset.csv"):
                seen.setdefault(one.split, set()).add(one.sha256)
    assert seen["test"]
    assert not seen["test"] & seen["train"]


def test_a_night_of_wrong_labels_is_rejected_and_the_champion_stays(nights: Nights) -> None:
    first = nights.night()
    for old, new in (("5", "6"), ("6", "7"), ("7", "5")):  # each class becomes another, but the test images keep theirs
        records = read_manifest(Path(first["champion"]) / "dataset.csv")
        for one in records:
            if one.split == "train" and one.label == old:
                (nights.images / new / f"wrong-{Path(one.path).name}").write_bytes(
                    (nights.images / one.path).read_bytes()
                )
                (nights.images / one.path).unlink()
    result = nights.night()
    assert result["decision"] == "rejected"
    assert result["champion"] == first["champion"]
    assert "worse" in result["reason"]
    assert find_run("nightly@champion", nights.runs).run_id == Path(first["champion"]).name
    assert nights.night()["decision"] == "unchanged"


def test_a_gate_that_is_not_met_rejects_the_first_challenger(nights: Nights, source: Any) -> None:
    write_config(nights, source[1]["run"], evaluation={"gates": {"log_loss": 1e-9}})
    result = nights.night()
    assert (result["decision"], result["champion"]) == ("rejected", None)
    assert [gate["passed"] for gate in result["gates"]] == [False]
    assert not (nights.experiment / "champion").exists()
    nights.night(), nights.night()
    assert nights.words == ["rejected", "unchanged", "unchanged"]


@pytest.mark.slow
def test_a_class_below_its_floor_rejects(nights: Nights, source: Any) -> None:
    write_config(nights, source[1]["run"], retrain={"promote": {"per_class_floor": 1.0}})
    nights.add("6", 40, 80, source="5")  # fives that are called sixes
    result = nights.night()
    assert result["decision"] == "rejected"
    assert "recall[" in result["reason"]


@pytest.mark.slow
def test_a_new_class_extends_the_head_and_the_champion_is_wrong_about_it(nights: Nights) -> None:
    nights.night()
    nights.add("8", 0, 40)
    result = nights.night()
    assert result["changes"]["new_classes"] == ["8"]
    assert json.loads((Path(result["challenger"]) / "labels.json").read_text()) == ["5", "6", "7", "8"]
    recalls = {row["label"]: row for row in result["comparison"]["per_class"]}
    assert recalls["8"]["champion"] == 0


@pytest.mark.slow
def test_a_lost_class_is_reported_and_kept_night_after_night(nights: Nights) -> None:
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
    from transfercli.workflows.retrain.promote import PromoteRequest, promote

    def recall(run: str) -> float:
        """Of the images that were lost."""
        found, _ = evaluate_run(EvaluateRequest(run, nights.runs, data=lost.parent), Reporter())
        return float(found["metrics"]["accuracy"])

    nights.night()
    lost = nights.images.parent / "lost" / "7"
    lost.parent.mkdir()
    shutil.move(nights.images / "7", lost)
    for count in (50, 60):
        nights.add("5", 40, count)
        result = nights.night()
        assert result["changes"]["lost_classes"] == ["7"]
        assert result["changes"]["new_classes"] == []
        assert json.loads((Path(result["challenger"]) / "labels.json").read_text()) == ["5", "6", "7"]
        assert recall(result["challenger"]) > 0.25  # the first champion's is 0.95; nothing could be checked since
        promote(PromoteRequest(result["challenger"], None, nights.runs), Reporter())
    shutil.move(lost, nights.images / "7")
    assert nights.night()["changes"]["new_classes"] == []  # it is back


def test_a_night_that_is_stopped_is_gone_on_with_by_the_next(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.workflows.retrain import retrain as module

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "compare_on_test_images", dies)
        with pytest.raises(KeyboardInterrupt):
            nights.night()
    (begun,) = [
        path.name for path in nights.experiment.iterdir() if (path / "run.json").exists() and not path.is_symlink()
    ]
    assert nights.words == []
    result = nights.night()
    assert result["decision"] == "first"
    assert Path(result["champion"]).name == begun


@pytest.mark.slow
def test_what_a_kill_left_is_not_gone_on_with_from_another_champion(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.retrain import retrain as module
    from transfercli.workflows.retrain.promote import PromoteRequest, promote

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    nights.night()
    nights.add("5", 40, 50)
    second = nights.night()
    promote(PromoteRequest(second["challenger"], None, nights.runs), Reporter())
    nights.add("5", 50, 60)
    with monkeypatch.context() as patched:
        patched.setattr(module, "compare_on_test_images", dies)
        with pytest.raises(KeyboardInterrupt):
            nights.night()
    promote(PromoteRequest(None, "nightly", nights.runs), Reporter())
    assert nights.night()["decision"] in ("kept", "promoted")


def test_without_test_images_nothing_is_trained(nights: Nights, source: Any) -> None:
    write_config(nights, source[1]["run"], data={"train": "images", "test": None, "image_size": 32})
    with pytest.raises(DataError, match="on test images"):
        nights.night()
    assert nights.words == ["failed"]


def test_images_that_cannot_be_used_fail_the_night_and_leave_a_line(nights: Nights) -> None:
    first = nights.night()
    for image in (nights.images / "5").iterdir():
        image.write_bytes(b"\x89PNG\r\n\x1a\n damaged on the way")
    with pytest.raises(DataError):
        nights.night()
    assert nights.words == ["first", "failed"]
    assert find_run("nightly@champion", nights.runs).run_id == Path(first["champion"]).name


@pytest.mark.parametrize("error", [MemoryError("too large"), KeyError("a bug")])
def test_what_nobody_expected_leaves_a_line_too(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from transfercli.workflows.retrain import retrain as module

    monkeypatch.setattr(module, "load_dataset", fails_with(error))
    with pytest.raises(type(error)):
        nights.night()
    (failed,) = decisions.read(nights.experiment)
    assert failed.decision == "failed"
    assert failed.reason.startswith("room: " if isinstance(error, MemoryError) else "bug: ")


def fails_with(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_a_stop_anywhere_says_how_to_go_on_and_decides_nothing(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.workflows.retrain import retrain as module

    monkeypatch.setattr(module, "load_dataset", fails_with(Interrupted(signal.SIGTERM)))
    with pytest.raises(Interrupted) as stop:
        nights.night()
    assert (stop.value.signum, stop.value.hint) == (signal.SIGTERM, "start the same command again")
    assert nights.words == []


def test_weights_that_are_not_there_fail_the_night_as_they_fail_a_training(nights: Nights, source: Any) -> None:
    write_config(nights, source[1]["run"], model={"base": "small_cnn", "weights": {"path": "gone.safetensors"}})
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        nights.night()
    assert nights.words == ["failed"]


def test_formats_that_cannot_be_written_here_are_known_before_anything_is_trained(
    nights: Nights, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.export.formats import registry

    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    write_config(nights, source[1]["run"], export={"formats": ["onnx"]})
    with pytest.raises(UsageError, match="onnx"):
        nights.night()
    assert list(nights.experiment.glob("*/run.json")) == []


def test_the_backend_is_set_up_before_keras_is_asked_for_a_data_set(
    nights: Nights, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.retrain import retrain as module

    done: list[str] = []
    monkeypatch.setattr(module, "prepare_backend", lambda _: done.append("prepared"))
    monkeypatch.setattr(module, "load_dataset", fails_with(DataError("it is read")))
    write_config(nights, source[1]["run"], data={"train": "keras:mnist", "image_size": 32})
    with pytest.raises(DataError, match="it is read"):
        nights.night()
    assert done == ["prepared"]


def test_two_nights_at_once_are_one(nights: Nights) -> None:
    with experiment_lock(nights.experiment), pytest.raises(BusyError):
        nights.night()


@pytest.mark.slow
def test_always_trains_again_on_the_same_images(nights: Nights, source: Any) -> None:
    write_config(nights, source[1]["run"], retrain={"when": "always", "start": "base"})
    first = nights.night()
    second = nights.night()
    assert second["decision"] == "kept"
    assert second["challenger"] != first["challenger"]
    assert second["comparison"]["gain"] == 0
    assert "of the two models differs in no resample" in second["reason"]


@pytest.mark.slow
def test_a_challenger_that_is_too_slow_is_rejected(
    nights: Nights, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.retrain import comparison

    write_config(nights, source[1]["run"], retrain={"when": "always", "promote": {"max_latency_ratio": 1.5}})
    nights.night()
    monkeypatch.setattr(comparison, "latencies", lambda *_: [10.0, 16.0])
    result = nights.night()
    assert result["decision"] == "rejected"
    assert "max_latency_ratio" in result["reason"]
    assert result["latency"] == {"champion_ms": 10.0, "challenger_ms": 16.0, "ratio": 1.6}
    monkeypatch.undo()
    assert all(milliseconds > 0 for milliseconds in comparison.latencies(*[load(nights, "nightly")] * 2))


def load(nights: Nights, run: str) -> Any:
    from transfercli.workflows.stored_run import StoredRun

    return StoredRun(find_run(run, nights.runs))


def test_an_export_that_is_not_equal_rejects_before_the_champion_is_switched(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.retrain import retrain

    monkeypatch.setattr(retrain, "export_failure", lambda *_: "saved_model lost 3 points of accuracy")
    result = nights.night()
    assert (result["decision"], result["champion"]) == ("rejected", None)
    assert "saved_model" in result["reason"]


def test_what_a_parent_in_another_experiment_learnt_from_is_no_test_image(nights: Nights, source: Any) -> None:
    records = [one for one in read_manifest(Path(source[1]["run"]) / "dataset.csv") if one.split == "train"]
    root = nights.samples / "digits-source"
    for one in records[:120]:  # the base was trained on these: digits 0 to 4
        place = nights.images / one.label
        place.mkdir(exist_ok=True)
        found = next(root.rglob(Path(one.path).name))
        shutil.copy(found, place / found.name)
    result = nights.night()
    tested = [one for one in read_manifest(Path(result["challenger"]) / "dataset.csv") if one.split == "test"]
    known = {one.sha256 for one in records}
    assert result["test"]["left_out"] == sum(one.sha256 in known for one in tested) > 0
    assert result["test"]["images"] == len(tested) - result["test"]["left_out"]


@pytest.mark.slow
def test_where_only_drift_counts_images_like_those_before_change_nothing_and_no_path_is_logged(
    nights: Nights, source: Any
) -> None:
    write_config(nights, source[1]["run"], retrain={"when": "drifted"})
    later = {file: file.read_bytes() for file in sorted(nights.images.glob("*/*"))[1::2]}  # writers alternate with it
    for file in later:
        file.unlink()
    nights.night()
    for file, content in later.items():
        file.write_bytes(content)
    result = nights.night()
    assert (result["decision"], result["challenger"]) == ("unchanged", None)
    assert result["drift"]["images"] == 60
    assert str(nights.runs) not in (nights.experiment / "decisions.jsonl").read_text()


@pytest.mark.slow
def test_a_champion_whose_run_is_gone_is_followed_by_a_first_one(nights: Nights) -> None:
    gone = nights.night()["champion"]
    shutil.rmtree(gone)
    result = nights.night()
    assert result["decision"] == "first"
    assert result["champion"] != gone


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_export_loses_neither_champion_nor_challenger(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.retrain import retrain as module

    with monkeypatch.context() as patched:
        patched.setattr(module, "export_failure", fails_with(DiskError("no space left")))
        with pytest.raises(DiskError):
            nights.night()
    (trained,) = [path.parent.name for path in nights.experiment.glob("2*/run.json")]
    assert not (nights.experiment / "champion").exists()
    assert Path(nights.night()["champion"]).name == trained
    assert nights.words == ["failed", "first"]


@pytest.mark.parametrize(
    "gates, outcome",
    [({}, ("promoted", "kept")), pytest.param({"log_loss": 1e-9}, ("rejected",), marks=pytest.mark.slow)],
)
def test_the_drift_that_started_a_training_stays_in_its_result_and_in_the_log(
    nights: Nights, source: Any, monkeypatch: pytest.MonkeyPatch, gates: dict[str, float], outcome: tuple[str, ...]
) -> None:
    from transfercli.workflows.data import drift

    nights.night()
    write_config(nights, source[1]["run"], retrain={"when": "drifted"}, evaluation={"gates": gates})
    nights.add("5", 40, 60)
    found = {"drifted": True, "score": 0.5, "tests": {}}
    measured = SimpleNamespace(as_json=lambda: {"run": str(nights.runs), **found})
    monkeypatch.setattr(drift, "measure_drift", lambda *_, **__: measured)
    result = nights.night()
    assert result["decision"] in outcome
    assert result["drift"] == found
    assert decisions.read(nights.experiment)[-1].facts["drift"] == found


def test_a_learnt_image_that_is_saved_anew_is_no_test_image_and_is_told(nights: Nights, source: Any) -> None:
    from PIL import Image

    from transfercli.workflows.lineage import learnt_from

    held = nights.images.parent / "held"
    for label in "567":
        files = sorted((nights.images / label).iterdir())
        (held / label).mkdir(parents=True)
        for file in files[30:]:
            file.rename(held / label / file.name)
    write_config(nights, source[1]["run"], data={"train": "images", "test": "held", "image_size": 32})
    assert nights.night()["test"] == {"images": 30, "left_out": 0}
    (champion,) = [path.parent for path in nights.experiment.glob("2*/dataset.csv")]
    learnt = [one for one in read_manifest(champion / "dataset.csv") if one.split == "train" and one.label == "5"][:4]
    for one in learnt:
        Image.open(nights.images / one.path).save(held / "5" / f"anew-{Path(one.path).name}", compress_level=1)
    result = nights.night()
    assert result["test"] == {"images": 30, "left_out": 8}  # four copies, and what they are copies of
    assert any("(4 in another file with the same pixels)" in text for text in nights.reporter.warnings)
    tested = Path(result["challenger"]) / "evaluation" / "test" / "predictions.csv"
    assert "anew-" not in tested.read_text()

    runs = [StoredRun(find_run(run, nights.runs)) for run in (str(champion), result["challenger"])]
    copy = next(one for one in runs[1].images if "anew-" in one.path).sha256
    runs[0].folder.pixels.unlink()  # as before there was such a list: what the challenger knows of the pixels is enough
    assert [learnt_from(*some, reporter=Reporter()).has(copy) for some in (runs, runs[:1])] == [True, False]
    assert learnt_from(*runs[:1], reporter=Reporter()).has(learnt[0].sha256)


@pytest.mark.parametrize(
    "damaged",
    ["dataset.csv", *(pytest.param(f, marks=pytest.mark.slow) for f in ("checkpoints/last/state.json", "config.yaml"))],
)
def test_what_a_kill_left_damaged_is_set_aside_and_the_night_goes_on(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    from transfercli.workflows.retrain import retrain as module

    with monkeypatch.context() as patched:
        patched.setattr(module, "compare_on_test_images", fails_with(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            nights.night()
    (begun,) = [path.parent for path in nights.experiment.glob("2*/run.json")]
    for file in [begun / damaged, begun / "checkpoints" / "best" / "model.safetensors"]:
        file.write_bytes(file.read_bytes()[:-40])
    result = nights.night()
    assert result["decision"] == "first"
    assert Path(result["champion"]).name != begun.name
    aside, first = decisions.read(nights.experiment)
    assert (aside.decision, aside.challenger, aside.champion) == ("failed", begun.name, None)
    assert aside.reason.startswith("set aside: ")
    assert first.decision == "first"
    assert any("set aside" in text for text in nights.reporter.warnings)
    assert nights.night()["decision"] == "unchanged"


def test_a_challenger_never_takes_the_folder_of_one_that_was_set_aside_in_the_same_second(tmp_path: Path) -> None:
    from transfercli.workflows.retrain.subject import unused_run_id

    now = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    ids = []
    for _ in range(3):
        ids.append(unused_run_id(tmp_path, "abcdef", now))
        (tmp_path / ids[-1]).mkdir()
    assert ids == ["20260131-235959-abcdef", "20260201-000000-abcdef", "20260201-000001-abcdef"]


def test_an_experiment_that_is_a_link_gives_its_run_and_its_lineage(nights: Nights, source: Any) -> None:
    world, earlier = source
    nights.runs.mkdir()
    (nights.runs / "linked").symlink_to(world.runs / "digits-source", target_is_directory=True)
    weights = {"run": f"linked/{Path(earlier['run']).name}"}
    write_config(nights, earlier["run"], model={"base": "small_cnn", "weights": weights})
    first = nights.night()
    assert first["decision"] == "first"
    assert not any("is gone" in text for text in nights.reporter.warnings)
    from transfercli.workflows.lineage import learnt_from

    base = {one.sha256 for one in read_manifest(Path(earlier["run"]) / "dataset.csv") if one.split == "train"}
    assert base <= learnt_from(StoredRun(find_run(first["champion"], nights.runs)), reporter=nights.reporter).files
    nights.add("5", 40, 60)
    assert nights.night()["decision"] in ("promoted", "kept")
    assert not any("is gone" in text for text in nights.reporter.warnings)


KINDS: dict[str, dict[str, Any]] = {
    "groups of a table": {
        "data": {"train": "images/table.csv", "group": "writer", "validation": 0.2},
        "transfer": {"strategy": "linear_probe"},
    },
    "folds": {"data": {"train": "images", "folds": 4, "fold": 2}, "transfer": {"strategy": "linear_probe"}},
    "auto": {"transfer": {"strategy": "auto", "budget": 20}},
    "partial": {"transfer": {"strategy": "partial", "unfreeze": "conv3"}, "training": {"epochs": 3}},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_and_training_starts_from_the_champion_and_stays_honest(
    nights: Nights, source: Any, kind: str
) -> None:
    more = {**KINDS[kind], "data": {"train": "images", "test": 0.25, "image_size": 32, **KINDS[kind].get("data", {})}}
    write_config(nights, source[1]["run"], **more)
    write_table(nights)
    first = nights.night()
    assert first["decision"] == "first"
    assert nights.night()["decision"] == "unchanged"
    for label in "567":
        nights.add(label, 40, 60)
    writers = write_table(nights)
    second = nights.night()
    assert second["decision"] in ("promoted", "kept")
    assert second["changes"]["added"] == 60
    run = find_run(second["challenger"], nights.runs)
    assert json.loads(run.record.read_text())["parent"] == find_run(first["champion"], nights.runs).label
    before, after = (read_manifest(Path(one["challenger"]) / "dataset.csv") for one in (first, second))
    learnt = {one.sha256 for one in before if one.split in ("train", "validation")}
    assert not learnt & {one.sha256 for one in after if one.split == "test"}
    if "group" in more["data"]:
        sides = {(writers[Path(one.path).name], one.split) for one in after}
        assert len(sides) == len({writer for writer, _ in sides})  # a writer is on one side


def write_table(nights: Nights) -> dict[str, str]:
    """A table beside the images, and who is said to have written each: a file's name -> one of 15."""
    files = sorted(nights.images.glob("*/*.png"))
    writers = {file.name: f"w{sum(file.name.encode()) % 15}" for file in files}
    rows = [f"{file.parent.name}/{file.name},{file.parent.name},{writers[file.name]}" for file in files]
    (nights.images / "table.csv").write_text("\n".join(["path,label,writer", *rows]) + "\n")
    return writers
