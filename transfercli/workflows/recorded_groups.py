"""Groups of the images of a run from before dataset.csv recorded them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transfercli.config.schema import DataConfig
from transfercli.data.dataset import Record
from transfercli.data.sources.groups import with_groups
from transfercli.data.sources.table_columns import config_columns
from transfercli.data.sources.tables import is_table
from transfercli.errors import TransferError
from transfercli.reporting import Reporter


def with_recorded_groups(records: Sequence[Record], data: DataConfig, label: str, reporter: Reporter) -> list[Record]:
    """Return the records of a run with their groups: the recorded ones, or those that `data.group` gives today.

    Warns if the groups were a column of a table that cannot be read any more: the images have no groups then.

    label: name of the run.
    """
    if data.group is None or any(record.group for record in records):
        return list(records)
    if not is_table(Path(data.train)):
        return with_groups(records, data.group)
    try:
        columns = config_columns(data, [data.group])
    except TransferError:
        if Path(data.train).is_file():  # no such column: it is a regular expression
            return with_groups(records, data.group)
        columns = {}
    found = [replace(record, group=columns.get(record.path, {}).get(data.group, "")) for record in records]
    if not any(record.group for record in found):
        reporter.warning(
            f"{label} did not record the groups of its images, and {data.train} does not give them any more:"
            " they are taken as independent of each other"
        )
    return found
