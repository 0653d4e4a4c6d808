"""Tables by task: every task has its row in each."""

from __future__ import annotations

from typing import get_args

import pytest

from transfercli.config.types import Task
from transfercli.evaluation.explain.attribution import LOG_ODDS
from transfercli.evaluation.metric_tables import METRIC_TABLES, MetricTable
from transfercli.models.tasks.outputs import OUTPUTS
from transfercli.training.objectives import OBJECTIVES
from transfercli.workflows.evaluate.tasks import PREDICTIONS


@pytest.mark.parametrize("table", [LOG_ODDS, METRIC_TABLES, OBJECTIVES, OUTPUTS, PREDICTIONS])
def test_every_task_has_a_row_in_each_table(table: dict[Task, object]) -> None:
    assert set(table) == set(get_args(Task))


@pytest.mark.parametrize("table", METRIC_TABLES.values(), ids=list(METRIC_TABLES))
def test_headline_and_shown_metrics_are_metrics_of_the_task(table: MetricTable) -> None:
    assert {table.headline, *table.shown} <= set(table.metrics)
