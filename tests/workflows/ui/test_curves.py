"""Curves: the numbers of histories that are written while they are read, as JSON and as tables."""

from __future__ import annotations

import json
from pathlib import Path

from starlette.testclient import TestClient

from transfercli.workflows.ui.pages.run_history import Histories, parse


def line(epoch: int, **values: float) -> str:
    return json.dumps({"phase": 1, "epoch": epoch, **values}) + "\n"


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    file, histories = tmp_path / "metrics.jsonl", Histories()
    file.write_text(line(1, loss=2.0) + '{"epoch": 2, "los')
    assert histories.read(file).epochs == (1,)
    file.write_text(line(1, loss=2.0) + line(2, loss=1.0))
    assert histories.read(file).series == {"loss": (2.0, 1.0)}


def test_a_resumed_run_replaces_the_epochs_that_it_trains_again() -> None:
    found = parse((line(1, loss=3.0) + line(2, loss=2.0) + line(2, loss=1.5)).encode(), "s")
    assert (found.epochs, found.series["loss"]) == ((1, 2), (3.0, 1.5))


def test_a_curve_that_a_later_phase_begins_has_gaps_before() -> None:
    found = parse((line(1, loss=3.0) + line(2, loss=2.0, val_loss=1.0)).encode(), "s")
    assert found.series["val_loss"] == (None, 1.0)


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    file, histories = tmp_path / "metrics.jsonl", Histories()
    file.write_text(line(1, loss=1.0))
    assert histories.read(file) is histories.read(file)


def test_the_page_gets_only_what_is_new(client: TestClient, runs: Path, first: str) -> None:
    address = f"/curves/lines?run={first}&run=digits/second"
    answers = client.get(address).json()
    assert answers["format"] == 1
    assert [row["epochs"] for row in answers["runs"]] == [[1, 2], [1, 2]]
    known = "".join(f"&known={row['stamp']}" for row in answers["runs"])
    with (runs / "digits/second/metrics.jsonl").open("a") as file:
        file.write(line(3, loss=0.5))
    again = client.get(address + known).json()["runs"]
    assert again[0]["same"] is True
    assert again[1]["epochs"] == [1, 2, 3]


def test_tables_have_the_values_of_validation_images(client: TestClient, runs: Path, first: str) -> None:
    last = json.loads((runs / first / "metrics.jsonl").read_text().splitlines()[-1])
    text = client.get(f"/curves?run={first}&key=loss").text
    assert f"<td>{last['val_loss']:.5g}</td>" in text
    assert f"<td>{last['loss']:.5g}</td>" not in text


def test_runs_that_do_not_exist_are_named(client: TestClient, first: str) -> None:
    text = client.get(f"/curves?run={first}&run=digits/none&run=../etc").text
    assert "There is no such run: digits/none, ../etc" in text


def test_no_more_runs_are_drawn_than_can_be_told_apart(client: TestClient, first: str) -> None:
    query = "&".join(f"run=digits/{number}" for number in range(40))
    assert len(client.get(f"/curves/lines?{query}&run={first}").json()["runs"]) == 0
