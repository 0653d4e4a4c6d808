"""Storages that sweeps share, and those that cannot be used."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from tests.workflows.sweep.conftest import SPACE, Formula, Sweeps
from transfercli.errors import ArtefactError, ConfigError, TransferError, UsageError
from transfercli.workflows.sweep.search.storage import open_storage

OTHER_SPACE = SPACE.replace("[16], [64]", "[32]")


@pytest.mark.parametrize("form", ["sqlite:///{}/trials.db", "journal:{}/trials.log"])
def test_a_shared_storage_keeps_the_trials(form: str, sweeps: Sweeps, formula: Formula) -> None:
    address = form.format(sweeps.folder)
    few = ["sweep.trials=4"]
    first = sweeps.run(storage=address, overrides=few)
    assert len(first.trials) == 4
    formula.trained.clear()
    assert sweeps.run(storage=address, overrides=few).winner == first.winner
    assert formula.trained == []
    assert not list(sweeps.folder.glob("runs/**/journal.log"))


def test_a_relative_storage_is_in_the_working_folder(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sweeps.folder)
    sweeps.run(storage="sqlite:///trials.db", overrides=["sweep.trials=2"])
    sweeps.run(storage="journal:trials.log", overrides=["sweep.trials=2"])
    assert Path("trials.db").is_file()
    assert Path("trials.log").is_file()


def test_a_storage_takes_no_second_space_of_one_experiment(sweeps: Sweeps) -> None:
    address = f"sqlite:///{sweeps.folder}/trials.db"
    first = sweeps.run(storage=address, overrides=["sweep.trials=2"])
    with pytest.raises(ConfigError) as caught:
        sweeps.run(OTHER_SPACE, storage=address)
    assert caught.value.message.startswith(f"{sweeps.folder}/flowers.yaml:7: sweep.space: the storage already holds")
    assert first.sweep in caught.value.message
    assert "its space is different" in caught.value.message
    with pytest.raises(ConfigError, match="its metric is different"):
        sweeps.run(storage=address, overrides=["sweep.metric=val_loss"])
    with pytest.raises(ConfigError, match="another key of its config is different"):
        sweeps.run(storage=address, overrides=["seed=3"])
    sweeps.run(OTHER_SPACE, storage=address, overrides=["name=other", "sweep.trials=2"])


def test_a_storage_says_that_it_holds_another_sweep_of_the_same_space(sweeps: Sweeps) -> None:
    address, few = f"journal:{sweeps.folder}/trials.log", "sweep.trials=3"
    first = sweeps.run(storage=address, overrides=[few])
    second = sweeps.run(storage=address, overrides=[few, "sweep.sampler=random"])
    assert second.sweep != first.sweep
    said = f"the storage also holds the sweep {first.sweep} of this experiment, with the same space"
    assert said in sweeps.reporter.lines


def test_an_id_is_not_used_for_another_space(sweeps: Sweeps) -> None:
    sweeps.run(sweep_id="mine", overrides=["sweep.trials=2"])
    with pytest.raises(ConfigError, match="its space is different"):
        sweeps.run(OTHER_SPACE, sweep_id="mine")


@pytest.mark.parametrize(
    "address, kind, said",
    [
        ("trials.db", UsageError, "is no address"),
        ("nosuch://host/name", UsageError, "cannot be used|not installed"),
        ("postgresql://ann:s3cret@localhost:1/trials", UsageError, "not installed"),
        ("sqlite:////nowhere/at/all/trials.db", UsageError, "unable to open database file"),
        ("journal:/nowhere/at/all/trials.log", UsageError, "No such file or directory"),
        ("sqlite:///{}/notes.txt", ArtefactError, "is damaged: file is not a database"),
        ("journal:{}/notes.txt", ArtefactError, "is damaged"),
        ("sqlite:///{}", UsageError, "unable to open database file"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_message(
    address: str, kind: type[TransferError], said: str, sweeps: Sweeps
) -> None:
    (sweeps.folder / "notes.txt").write_text("notes on many trials\n" * 100)
    with pytest.raises(kind, match=said) as caught:
        sweeps.run(storage=address.format(sweeps.folder))
    assert "s3cret" not in str(caught.value.message) + str(caught.value.hint)
    assert not (sweeps.folder / "runs").exists()


def test_another_sqlite_database_keeps_its_tables(sweeps: Sweeps) -> None:
    file = sweeps.folder / "other.db"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    sweeps.run(storage=f"sqlite:///{file}", overrides=["sweep.trials=2"])
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT count(*) FROM notes").fetchone() == (0,)


def test_without_optuna_the_message_says_how_to_install_it(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match="sweep needs Optuna") as caught:
        sweeps.run()
    assert "pip install 'transfercli[sweep]'" in str(caught.value.hint)
    assert not (sweeps.folder / "runs").exists()


def test_a_line_that_is_not_the_last_is_damage(tmp_path: Path) -> None:
    (tmp_path / "journal.log").write_text('{"op_code": 0\n{"op_code": 1}\n')
    with pytest.raises(ArtefactError, match="is damaged"):
        open_storage(None, tmp_path)
