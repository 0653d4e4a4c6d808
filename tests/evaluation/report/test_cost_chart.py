"""Picture of accuracy by time of one image."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

from transfercli.evaluation.report.cost_chart import Point, cost_chart_png, label_points, render_cost_chart


def point(name: str, milliseconds: float, accuracy: float, **marks: bool) -> Point:
    interval = (max(0.0, accuracy - 0.05), min(1.0, accuracy + 0.05))
    return Point(name, milliseconds, accuracy, interval, marks.get("pareto", False), marks.get("recommended", False))


NEAR = [point(f"efficientnet_lite{number}", 20 * 1.02**number, 0.8 + 0.003 * number) for number in range(6)]


@pytest.mark.parametrize("points", [NEAR, [point("one", 5.0, 1.0, pareto=True, recommended=True)], NEAR[:2]])
def test_names_of_bases_that_are_alike_do_not_cover_each_other(points: list[Point]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=120)
    axes = figure.add_subplot()
    axes.set_xlim(5, 60)
    axes.set_ylim(0.7, 1.05)
    boxes = label_points(axes, points, FigureCanvasAgg(figure).get_renderer())
    assert len(boxes) == len(points)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)


def test_the_picture_is_written_into_a_new_folder(tmp_path: Path) -> None:
    cost_chart_png(tmp_path / "new" / "bases.png", NEAR, "bases")
    with Image.open(tmp_path / "new" / "bases.png") as picture:
        assert picture.size == (960, 600)


def test_the_same_numbers_give_the_same_picture() -> None:
    first = render_cost_chart(NEAR, "bases")
    assert first == render_cost_chart(NEAR, "bases")
    assert len(Image.open(io.BytesIO(first)).getcolors(10**6)) > 10
