"""The leaderboard and the page of an experiment: what stands in them follows from the address alone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.workflows.ui.conftest import client_of, edit
from transfercli.runs import decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.test_ledger import LedgerImage, TestLedger
from transfercli.workflows.ui.pages.experiment import reigns
from transfercli.workflows.ui.run_index import RunIndex


def listed(client: TestClient, address: str = "/") -> list[str]:
    """Return the runs in the table of a page, in their order."""
    return re.findall(r'name="run" value="digits/([^"]+)"', client.get(address).text)


def id_of(label: str) -> str:
    return label.split("/")[1]


def test_the_newest_run_comes_first_unasked(client: TestClient, first: str) -> None:
    assert listed(client) == [id_of(first), "second"]


@pytest.mark.parametrize(
    "query, expected",
    [
        ("sort=val_accuracy", ["first", "second"]),
        ("sort=val_accuracy&reverse=1", ["second", "first"]),
        ("filter=val_accuracy%3C0.3", ["second"]),
        ("filter=seed%3D7&filter=status%3Dcompleted", ["second"]),
        ("filter=val_accuracy%3C0.3&filter=seed%3D0", []),
        ("status=failed", []),
        ("status=nonsense", ["first", "second"]),
        ("experiment=other", []),
        ("page=99", ["first", "second"]),
        ("page=-1", ["first", "second"]),
    ],
)
def test_the_address_filters_and_sorts(client: TestClient, first: str, query: str, expected: list[str]) -> None:
    assert [{id_of(first): "first"}.get(each, each) for each in listed(client, f"/?{query}")] == expected


def test_chosen_columns_have_the_values_of_the_config_and_the_metrics(client: TestClient) -> None:
    text = client.get("/?column=seed&column=val_accuracy&column=model.base&sort=seed").text
    rows = re.findall(r"<td[^>]*>(0|7)</td>\s*<td>([\d.]+)</td>\s*<td class=\"text\">small_cnn</td>", text)
    assert [seed for seed, _ in rows] == ["0", "7"]
    assert rows[1][1] == "0.2500"


def test_the_best_run_and_the_champion_are_marked(client: TestClient) -> None:
    row = re.search(r'<tr class="best">.*?</tr>', client.get("/").text, re.DOTALL)
    assert row is not None
    assert "champion" in row[0]
    assert "latest" in row[0]


def test_a_condition_that_means_nothing_is_named_and_all_runs_are_shown(client: TestClient) -> None:
    found = client.get("/?filter=learning_rat%3D1")
    assert found.status_code == 400
    assert "did you mean" in found.text
    assert len(listed(client, "/?filter=learning_rat%3D1")) == 2


def test_headings_keep_the_conditions_of_the_address(client: TestClient) -> None:
    text = client.get("/?filter=seed%3D7&sort=val_accuracy&page=2").text
    assert 'href="/?filter=seed%3D7&amp;sort=val_accuracy&amp;reverse=1"' in text
    assert 'href="/?filter=seed%3D7&amp;sort=created"' in text


def test_a_table_of_many_runs_has_pages(runs: Path, first: str) -> None:
    for number in range(120):
        folder = runs / "many" / f"run-{number:03}"
        folder.mkdir(parents=True)
        shutil.copy(runs / first / "run.json", folder)
    text = client_of(runs).get("/?experiment=many").text
    assert text.count('name="run"') == 100
    assert 'rel="next" href="/?experiment=many&amp;page=2"' in text
    assert client_of(runs).get("/?experiment=many&page=2").text.count('name="run"') == 20


def test_the_index_reads_a_run_again_only_if_a_file_of_it_has_changed(runs: Path, first: str) -> None:
    index = RunIndex(runs)
    before = index.listing().by_label
    edit(runs / "digits/second/run.json", command="changed")
    after = index.listing().by_label
    assert after[first] is before[first]
    assert after["digits/second"] is not before["digits/second"]
    shutil.rmtree(runs / "digits/second")
    assert list(index.listing().by_label) == [first]


def test_a_run_that_is_killed_is_interrupted_though_no_file_changed(runs: Path) -> None:
    from transfercli.runs.lock import experiment_lock

    index = RunIndex(runs)
    with experiment_lock(runs / "digits"):
        edit(runs / "digits/second/run.json", status="running")
        assert index.listing().by_label["digits/second"].row.status == "running"
    assert index.listing().by_label["digits/second"].row.status == "interrupted"


def test_an_experiment_shows_its_champions_and_decisions(client: TestClient, runs: Path, first: str) -> None:
    decisions.append(runs / "digits", Decision("kept", "no <b> gain", id_of(first), "second"))
    text = client.get("/experiments/digits").text
    assert "no &lt;b&gt; gain" in text
    assert text.count(f'href="/runs/{first}"') >= 3
    assert "2 decisions" in text


def test_reigns_end_when_the_next_champion_is_made() -> None:
    log = [
        Decision("first", "", "a", time="1"),
        Decision("kept", "", "a", "b", time="2"),
        Decision("promoted", "", "c", "c", time="3"),
    ]
    assert [(each.run_id, each.since, each.until) for each in reigns(log)] == [("c", "3", ""), ("a", "1", "3")]
    assert reigns([]) == []


def test_an_experiment_shows_what_its_test_images_have_spent(client: TestClient, runs: Path) -> None:
    TestLedger([LedgerImage("a" * 64, "b" * 64, 3, 0.2, "second", 0.3)]).write(runs / "digits")
    assert "50.0% of their budget" in client.get("/experiments/digits").text


def test_an_experiment_that_does_not_exist_is_not_found(client: TestClient) -> None:
    assert client.get("/experiments/none").status_code == 404


def test_a_run_shows_all_its_parts(client: TestClient, runs: Path, first: str) -> None:
    export = runs / first / "exports/onnx"
    export.mkdir(parents=True)
    facts = {"bytes": 2048, "max_abs_diff": 1e-6, "label_agreement": 1.0, "latency_ms": {"batch_1": 0.25}}
    (export / "export.json").write_text(json.dumps(facts))
    RunFolder(runs / first).log.write_text("the last line of the log\n")
    text = client.get(f"/runs/{first}").text
    for words in ("Report of this evaluation", "2.0 kB", "0.25", "the last line of the log", "random weights"):
        assert words in text
    assert re.search(r"training\.epochs</code></th><td[^>]*>2</td><td[^>]*>20</td>", text)
    assert "This part cannot be shown" not in text
    assert client.get(f"/runs/{first}/evaluation/test/report").text.startswith("<!doctype html>")
    assert client.get(f"/runs/{first}/pictures/history").content.startswith(b"\x89PNG")


@pytest.mark.parametrize("value, shown", [(0.8333333333333334, "0.8333"), (None, "no value"), (1, "1")])
def test_the_value_of_a_gate_is_rounded_as_in_the_report(
    client: TestClient, runs: Path, first: str, value: float | None, shown: str
) -> None:
    gate = {"metric": "accuracy", "op": ">=", "bound": 0.9, "value": value, "passed": False}
    edit(runs / first / "evaluation/test/metrics.json", gates=[gate])
    text = client.get(f"/runs/{first}").text
    assert re.search(rf"Gate not met: accuracy &gt;= 0\.9, received {shown}<", text)


def test_a_run_shows_what_differs_from_its_parent(client: TestClient, runs: Path, first: str) -> None:
    edit(runs / "digits/second/run.json", parent=first)
    text = client.get("/runs/digits/second").text
    assert re.search(r"<code>seed</code></th><td[^>]*>7</td><td[^>]*>0</td>", text)


def test_a_running_run_asks_for_its_state_again(client: TestClient, runs: Path) -> None:
    from transfercli.runs.lock import experiment_lock

    assert "data-live" not in client.get("/runs/digits/second").text
    with experiment_lock(runs / "digits"):
        edit(runs / "digits/second/run.json", status="running")
        assert 'id="state" data-live' in client.get("/runs/digits/second").text
        assert 'id="board" data-live' in client.get("/").text


def test_configs_are_read_before_somebody_asks(runs: Path, first: str) -> None:
    index = RunIndex(runs)
    index.warm(lambda: True)
    assert "config" not in vars(index.listing().by_label[first])
    index.warm(lambda: False)
    assert vars(index.listing().by_label[first])["config"]["seed"] == 0
