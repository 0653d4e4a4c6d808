"""The subject of a night, and nights that came to no end."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, fails_with, write_config
from transfercli.config.loader import load, resolve
from transfercli.errors import Interrupted
from transfercli.reporting import Reporter
from transfercli.runs import decisions
from transfercli.runs.folder import RunFolder
from transfercli.workflows.retrain.subject import config_hash
from transfercli.workflows.stored_run import StoredRun


def test_keys_that_are_new_since_leave_the_hash_of_a_config_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "h.yaml"
    path.write_text(
        "name: h\ndata: {train: images}\nmodel: {base: small_cnn, weights: none}\n"
        "training: {early_stopping: {patience: 4}}\n"
    )
    overrides = ((), ("data.background=white",), ("data.background=black",), ("training.early_stopping.min_delta=1",))
    hashes = [config_hash(resolve(load(path, keys).config, "finetune")) for keys in overrides]
    # computed by the first version, for this file
    assert hashes[0] == hashes[1] == "dacb372a7c6631a0ff3f4b04d920914e5ab0903d90b8c6ea9789c0ffdeb42b9c"
    assert len({*hashes}) == 3


def test_a_key_of_a_phase_that_is_new_since_leaves_the_hash_as_it_was(tmp_path: Path) -> None:
    path, hashes = tmp_path / "h.yaml", []
    for decay in ("", ", decay: 1.0", ", decay: 0.75"):
        path.write_text(
            "name: h\ndata: {train: images}\nmodel: {base: small_cnn, weights: none}\n"
            f"transfer: {{phases: [{{unfreeze: conv3, epochs: 2{decay}}}]}}\n"
        )
        hashes.append(config_hash(resolve(load(path).config, "finetune")))
    # computed before the key decay
    assert hashes[0] == hashes[1] == "c419fa9a3f341846424aebea09c408f956f29e90e5e64a258c4128efc51d1201"
    assert hashes[2] != hashes[0]


def test_alerts_are_no_part_of_the_hash_of_a_config(tmp_path: Path) -> None:
    path = tmp_path / "h.yaml"
    path.write_text("name: h\ndata: {train: images}\nmodel: {base: small_cnn, weights: none}\n")
    overrides = ((), ("retrain.alert.exit=5", "retrain.alert.accepted_until=2026-11-28"))
    first, second = (config_hash(resolve(load(path, keys).config, "finetune")) for keys in overrides)
    assert first == second


@pytest.mark.slow
def test_a_challenger_reads_images_as_the_champion_it_starts_from(nights: Nights) -> None:
    champion = RunFolder(Path(nights.night()["champion"]))
    lines = champion.config.read_text().splitlines(keepends=True)
    champion.config.write_text("".join(line for line in lines if not line.startswith(("  background:", "  profiles:"))))
    assert nights.night()["decision"] == "unchanged"
    nights.add("5", 40, 45)
    challenger = StoredRun(RunFolder(Path(nights.night()["challenger"])))
    assert (challenger.config.data.background, challenger.config.data.profiles) == ("none", "ignore")
    assert not any("data.background" in text for text in nights.reporter.warnings)


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


def test_a_stop_anywhere_says_how_to_go_on_and_decides_nothing(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.workflows.retrain import retrain as module

    monkeypatch.setattr(module, "load_dataset", fails_with(Interrupted(signal.SIGTERM)))
    with pytest.raises(Interrupted) as stop:
        nights.night()
    assert (stop.value.signum, stop.value.hint) == (signal.SIGTERM, "start the same command again")
    assert nights.words == []


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
