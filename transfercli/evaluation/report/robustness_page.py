"""What the report shows of corruptions: a chart each, and one image as the model saw it under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from transfercli.evaluation.examples import Case, Reader
from transfercli.evaluation.report.charts import corruption_chart
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS

SAMPLE_SEVERITY = 3


@dataclass(frozen=True, slots=True)
class Panel:
    """One corruption.

    doc: what it does, and how far; rows: of `robustness.measured`; picture: a `data:` address, "" without an image
    """

    name: str
    doc: str
    error: float
    rows: Sequence[Mapping[str, Any]]
    chart: Markup
    picture: str = ""


@dataclass(frozen=True, slots=True)
class RobustnessPage:
    """plain: the sample as it is, or ""; severity: that of the pictures."""

    panels: Sequence[Panel]
    plain: str = ""
    severity: int = SAMPLE_SEVERITY


def robustness_page(found: Mapping[str, Any], read: Reader | None, sample: int) -> RobustnessPage:
    """found: of `robustness.robustness`; sample: the index of the image that is shown, corrupted as it was."""
    image = None if read is None else read(np.array([sample]))[0]
    panels = [
        Panel(
            name,
            _told(name, rows := [row for row in found["corruptions"] if row["corruption"] == name]),
            error,
            rows,
            corruption_chart(rows, 1 - found["clean_error"]),
            "" if image is None else image_data_url(CORRUPTIONS[name](image, SAMPLE_SEVERITY, found["seed"], sample)),
        )
        for name, error in found["errors"].items()
    ]
    return RobustnessPage(panels, "" if image is None else image_data_url(image))


def _told(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    low, high = (f"{rows[end]['parameter']:.3g}" for end in (0, -1))
    return f"{CORRUPTIONS[name].doc}: {CORRUPTIONS[name].unit}, {low} to {high}"


def sample_of(cases: Sequence[Case]) -> int:
    """The image to show: the first of the typically right ones, or the split's first."""
    return cases[0].index if cases else 0
