"""Nights of one experiment, on real digits: a linear probe on the base that was pretrained on the digits 0 to 4."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, fails_with, write_config, write_table
from transfercli.data.manifest import read_manifest
from transfercli.errors import ArtefactError, BusyError, DataError, DiskError, Interrupted, UsageError, WeightsError
from transfercli.reporting import Reporter
from transfercli.runs import decisions
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock
from transfercli.runs.lookup import find_run
from transfercli.workflows.stored_run import StoredRun


def test_the_first_night_makes_a_champion_and_the_next_finds_nothing_to_do(nights: Nights) -> None:
    first = nights.night()
    assert first["decision"] == "first"
    assert first["champion"] == first["challenger"]
    assert find_run("nightly@champion", nights.runs).run_id == Path(first["champion"]).name
    second = nights.night()
    assert (second["decision"], second["champion"], second["challenger"]) == ("unchanged", first["champion"], None)
    assert nights.words == ["first", "unchanged"]
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
        result = evaluate_run(EvaluateRequest(run, nights.runs, data=lost.parent), Reporter())
        return float(result.evaluation.metrics["accuracy"])

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


def test_an_export_that_is_not_equal_rejects_before_the_champion_is_switched(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.retrain import retrain

    monkeypatch.setattr(retrain, "export_failure", lambda *_: "saved_model lost 3 points of accuracy")
    result = nights.night()
    assert (result["decision"], result["champion"]) == ("rejected", None)
    assert "saved_model" in result["reason"]


@pytest.mark.parametrize(
    "error",
    [
        ArtefactError("onnx: \x1b[1mno such operation\x1b[0m"),
        RuntimeError("\x1b[31mno\x1b[0m /home/ann/x"),
        KeyError("k"),
    ],
    ids=str,
)
def test_whatever_an_export_raises_rejects_the_challenger_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from transfercli.workflows.export import export
    from transfercli.workflows.retrain import retrain as module

    monkeypatch.setattr(export, "export_run", fails_with(error))
    state = SimpleNamespace(request=SimpleNamespace(runs=tmp_path))
    reason = module.export_failure(RunFolder(tmp_path), state, Reporter())  # type: ignore[arg-type]
    assert reason.startswith("the export failed: ")
    assert "\x1b" not in reason
    assert "/home" not in reason


@pytest.mark.parametrize("error", [MemoryError(), DiskError("full"), Interrupted(15)], ids=repr)
def test_a_lack_of_space_and_a_stop_say_nothing_about_the_challenger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from transfercli.workflows.export import export
    from transfercli.workflows.retrain import retrain as module

    monkeypatch.setattr(export, "export_run", fails_with(error))
    state = SimpleNamespace(request=SimpleNamespace(runs=tmp_path))
    with pytest.raises(type(error)):
        module.export_failure(RunFolder(tmp_path), state, Reporter())  # type: ignore[arg-type]


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


@pytest.mark.slow
def test_an_experiment_that_is_a_link_gives_its_run_and_its_lineage(nights: Nights, source: Any) -> None:
    world, earlier = source
    nights.runs.mkdir()
    (nights.runs / "linked").symlink_to(world.runs / "digits-source", target_is_directory=True)
    weights = {"run": f"linked/{Path(earlier['run']).name}"}
    write_config(nights, earlier["run"], model={"base": "small_cnn", "weights": weights})
    first = nights.night()
    assert first["decision"] == "first"
    assert not any("does not exist any more" in text for text in nights.reporter.warnings)
    from transfercli.workflows.lineage import learnt_from

    base = {one.sha256 for one in read_manifest(Path(earlier["run"]) / "dataset.csv") if one.split == "train"}
    assert base <= learnt_from(StoredRun(find_run(first["champion"], nights.runs)), reporter=nights.reporter).files
    nights.add("5", 40, 60)
    assert nights.night()["decision"] in ("promoted", "kept")
    assert not any("does not exist any more" in text for text in nights.reporter.warnings)


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
