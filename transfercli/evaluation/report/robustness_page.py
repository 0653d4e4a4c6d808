"""The report's section on corruptions: a chart for each, and one image under each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from transfercli.evaluation.examples import Case, Reader
from transfercli.evaluation.multilabel.examples import LabelCase
from transfercli.evaluation.report.charts import corruption_chart
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS

SAMPLE_SEVERITY = 3


@dataclass(frozen=True, slots=True)
class Panel:
    """One corruption.

    doc: its description with the range of its parameter; rows: results of `score_corruption`; picture: a `data:` URL,
    or "" without an image
    """

    name: str
    doc: str
    error: float
    rows: Sequence[Mapping[str, Any]]
    chart: Markup
    picture: str = ""


@dataclass(frozen=True, slots=True)
class RobustnessPage:
    """The section.

    plain: `data:` URL of the unchanged image, or ""; severity: that of the pictures
    """

    panels: Sequence[Panel]
    plain: str = ""
    severity: int = SAMPLE_SEVERITY


def robustness_page(summary: Mapping[str, Any], read: Reader | None, sample: int) -> RobustnessPage:
    """Return the section for a result of `corruption_summary`.

    sample: index of the image to show; its corruptions are the same as in the evaluation
    """
    image = None if read is None else read(np.array([sample]))[0]
    panels = [
        Panel(
            name,
            _description(name, rows := [row for row in summary["corruptions"] if row["corruption"] == name]),
            error,
            rows,
            corruption_chart(rows, 1 - summary["clean_error"]),
            "" if image is None else image_data_url(CORRUPTIONS[name](image, SAMPLE_SEVERITY, summary["seed"], sample)),
        )
        for name, error in summary["errors"].items()
    ]
    return RobustnessPage(panels, "" if image is None else image_data_url(image))


def _description(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    low, high = (f"{rows[end]['parameter']:.3g}" for end in (0, -1))
    return f"{CORRUPTIONS[name].doc}: {CORRUPTIONS[name].unit}, {low} to {high}"


def sample_index(cases: Sequence[Case | LabelCase]) -> int:
    """Return the index of the image to show: the first of `cases`, or 0 if there is none."""
    return cases[0].index if cases else 0
