"""Pages of one evaluation, and its accuracy under corruptions."""

from __future__ import annotations

from typing import Any

from tests.evaluation.page_reading import Page
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.report import ReportContext, render_report
from transfercli.evaluation.result import evaluate
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
from transfercli.evaluation.robustness.score import corruption_summary, score_corruption

CONTEXT = ReportContext(
    experiment="digits",
    run_id="20260101-000000-abcdef",
    split="test",
    config_yaml="name: digits\ndata:\n  train: /home/zebulon/pictures\n",
    versions={"python": "3.11.9", "keras": "3.15.1"},
    history=[
        {"phase": "head", "epoch": epoch, "loss": 1 / epoch, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
        for epoch in range(1, 4)
    ],
    reproduce=("transfercli evaluate digits --data /home/zebulon/pictures",),
    data={"training images": 300},
    model={"parameters": "1,234"},
)


def corrupted(predictions: Predictions) -> dict[str, Any]:
    """Each severity takes 12 more images for the next class; JPEG twice as many."""
    rows = []
    for row in CORRUPTIONS.values():
        for severity in SEVERITIES:
            said = predictions.predicted.copy()
            said[: 12 * severity * (1 + (row.name == "jpeg"))] = 0
            rows.append(score_corruption(predictions, said, row, severity, (8, 8)))
    return corruption_summary(predictions, rows, 0)


def page_of(predictions: Predictions, context: ReportContext = CONTEXT, **options: Any) -> Page:
    return Page(render_report(evaluate(predictions, **options), predictions, context, b"png"))
