"""Audit images: which test images never decide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.listener import Listener
from transfercli.data.dataset import Record
from transfercli.data.manifest import write_manifest
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.test_ledger import LedgerImage
from transfercli.workflows.retrain.audit import Audit, Number, audit_rows, divide_test_images
from transfercli.workflows.stored_run import StoredRun


def records_of(count: int, classes: int = 2, group: int = 0) -> list[Record]:
    names = [f"g{number // group}" if group else "" for number in range(count)]
    return [Record(f"{n}.png", f"f{n}", "abc"[n % classes], "test", group=names[n]) for n in range(count)]


def known(records: list[Record], **more: int) -> list[LedgerImage]:
    return [replace(LedgerImage(f"p-{one.path}", one.sha256), **more) for one in records]


def test_a_fifth_of_the_images_never_decides_and_they_stay_the_same_as_the_set_grows() -> None:
    many = records_of(4000)
    audit = audit_rows(many, known(many), 0.2)
    assert len(audit) == pytest.approx(800, rel=0.1)
    few = many[:200]
    assert audit_rows(few, known(few), 0.2) == {row for row in audit if row < 200}
    assert audit < audit_rows(many, known(many), 0.4)
    assert audit_rows(many, known(many), 0.0) == set()


def test_few_images_all_decide() -> None:
    assert audit_rows(records_of(49), known(records_of(49)), 0.5) == set()
    assert audit_rows(records_of(50), known(records_of(50)), 0.5)


def test_groups_are_divided_as_a_whole() -> None:
    records = records_of(400, group=4)
    audit = audit_rows(records, known(records), 0.3)
    assert audit
    assert {row // 4 * 4 + place for row in audit for place in range(4)} == audit


def test_a_class_always_has_deciding_images() -> None:
    records = records_of(60)
    rare = [*records, Record("rare.png", "fr", "c", "test")]
    audit = audit_rows(rare, known(rare), 0.99)
    assert {rare[row].label for row in range(len(rare)) if row not in audit} == {"a", "b", "c"}


def test_an_image_that_has_decided_never_becomes_an_audit_image() -> None:
    records = records_of(100)
    decided = known(records[:60], asked=1)
    audit = audit_rows(records, decided + known(records[60:]), 0.4)
    assert audit
    assert min(audit) >= 60


def test_the_champion_of_the_result_is_the_champion_after_the_decision() -> None:
    old, new = Number(0.8, (0.7, 0.9), 0.85), Number(0.9, (0.8, 0.95), 0.91)
    kept = Audit(40, "accuracy", old, new).as_json(promoted=False)
    assert kept == {
        "images": 40,
        "metric": "accuracy",
        "champion": 0.8,
        "interval": [0.7, 0.9],
        "challenger": 0.9,
        "deciding": 0.85,
    }
    assert Audit(40, "accuracy", old, new).as_json(promoted=True)["champion"] == 0.9
    assert Audit(40, "accuracy", None, new).as_json(promoted=False)["champion"] is None


def test_images_of_earlier_comparisons_without_a_ledger_are_no_audit_images_and_a_warning_says_so_once(
    tmp_path: Path,
) -> None:
    old, new = records_of(160)[:60], records_of(160)[60:]
    for run, records in (("a", old), ("b", [*old, *new])):
        folder = RunFolder(tmp_path / run)
        folder.path.mkdir()
        folder.labels.write_text('["a", "b"]')
        write_manifest(folder.dataset, records)
    run: Any = StoredRun(RunFolder(tmp_path / "b"))
    vars(run)["loaded"] = SimpleNamespace(config=SimpleNamespace(task="classify", retrain=SimpleNamespace(audit=0.4)))
    log = [Decision("kept", "", "a", "a", facts={"comparison": {"metric": "accuracy"}})]
    listener = Listener()
    divided = divide_test_images(run, [*old, *new], log, listener)
    assert min(divided.audit) >= 60
    [warning] = listener.warnings
    assert warning.startswith("60 of 160 test images took part in 1 earlier comparison: they go on deciding")
    divided.ledger.write(tmp_path)
    again = divide_test_images(run, [*old, *new], log, listener)
    assert (again.audit, len(listener.warnings)) == (divided.audit, 1)
