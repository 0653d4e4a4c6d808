"""Groups of runs from before they were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.listener import Listener
from transfercli.config.schema import DataConfig
from transfercli.data.dataset import Record
from transfercli.workflows.recorded_groups import with_recorded_groups

RECORDS = [Record(f"ann_{n}.png", f"{n:064x}", "cat", "train", 8, 8) for n in range(3)]


@pytest.mark.parametrize(
    "group, content, expected",
    [
        ("person", "path,label,person\nann_0.png,cat,a\nann_1.png,cat,b\n", ["a", "b", ""]),
        ("^(.*)_", "path,label\nann_0.png,cat\n", ["ann", "ann", "ann"]),
        ("person", None, ["", "", ""]),
    ],
)
def test_groups_of_a_table_are_read_from_it_if_it_is_there(
    tmp_path: Path, group: str, content: str | None, expected: list[str]
) -> None:
    table = tmp_path / "table.csv"
    if content is not None:
        table.write_text(content)
    listener, data = Listener(), DataConfig(train=str(table), group=group)
    found = with_recorded_groups(RECORDS, data, "old/1", listener)
    assert [record.group for record in found] == expected
    assert [text for text in listener.warnings if "old/1 did not record the groups" in text] == listener.warnings
    assert len(listener.warnings) == (content is None)


def test_recorded_groups_stay(tmp_path: Path) -> None:
    records = [Record("a_1.png", "0" * 64, "cat", "train", 8, 8, "", "recorded")]
    data = DataConfig(train=str(tmp_path / "gone.csv"), group="person")
    assert with_recorded_groups(records, data, "new/1", Listener()) == records
