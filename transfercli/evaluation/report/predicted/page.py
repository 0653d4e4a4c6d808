"""The HTML page of `predict --report`: what was predicted, the doubtful first, then the pictures of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from markupsafe import Markup

from transfercli.evaluation.report.charts import Axis, svg_chart, svg_line, svg_text, tick_label
from transfercli.evaluation.report.html import jinja_environment, load_script
from transfercli.evaluation.report.predicted.chosen import BINS, ChosenImages, Group, Prediction

SIDE = 128  # pixels of a picture
BAR, HEIGHT = 6, 28  # drawing units of a small histogram
STRIP_WIDTH, STRIP_HEIGHT, STRIP_BINS = 640, 120, 40


@dataclass(frozen=True, slots=True)
class PageFacts:
    """Facts of the page beside the images.

    run: its name. command: the command line. table: name of the table beside the page. shard: `2/4`, or "" for all.
    quantity: the name of the number; "" if images have classes or labels.
    """

    run: str
    command: str
    table: str
    shard: str = ""
    quantity: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """Group on the page: its title, the images with a picture, and its counts."""

    title: str
    images: Sequence[Prediction]
    group: Group

    @property
    def left_out(self) -> int:
        """Number of images that are not shown."""
        return self.group.count - len(self.images)


def shown_groups(chosen: ChosenImages) -> tuple[list[Shown], list[Shown]]:
    """Return the groups of doubt and the classes, without empty groups."""
    doubts = [
        ("The model abstains", chosen.doubtful),
        ("Unlike the training images", chosen.strange),
        ("No label", chosen.unlabelled),
    ]
    limits = chosen.limits()
    return (
        [Shown(title, group.shown(group.count), group) for title, group in doubts if group.count],
        [Shown(label, group.shown(limits[label]), group) for label, group in chosen.by_class],
    )


def images_shown(chosen: ChosenImages) -> list[Prediction]:
    """Return every image that the page has a picture of, each once."""
    groups = [group for part in shown_groups(chosen) for group in part]
    every = [*(image for group in groups for image in group.images), *chosen.strip()]
    return list({id(image): image for image in every}.values())


def render_page(chosen: ChosenImages, pictures: Mapping[int, str], facts: PageFacts) -> str:
    """Return the page. pictures: `id` of a prediction -> `data:` URL, for those of `images_shown`; "" for none."""
    doubts, classes = shown_groups(chosen)
    strip = chosen.strip()
    script, policy = load_script("report.js")
    template = jinja_environment().get_template("predicted.html.j2")
    text: str = template.render(
        facts=facts,
        chosen=chosen,
        doubts=doubts,
        classes=classes,
        strip=strip,
        numbers=_summary(chosen) if strip else None,
        picture_of=lambda image: pictures.get(id(image), ""),
        histogram=histogram,
        sizes=sorted(chosen.set_sizes.items()),
        script=script,
        policy=policy,
    )
    return text


def histogram(group: Group) -> Markup:
    """Return the histogram of the probabilities of a group's answers, from 0 to 1."""
    highest = max(group.histogram)
    bars = [
        f'<rect class="bar" x="{number * BAR}" y="{HEIGHT - height:.1f}" width="{BAR - 1}" height="{height:.1f}"/>'
        for number, count in enumerate(group.histogram)
        if (height := max(count / highest * HEIGHT, 1.5 * bool(count)))
    ]
    base = svg_line("axis", 0, HEIGHT, BINS * BAR, HEIGHT)
    return svg_chart([*bars, base], f"probabilities around {group.mean:.0%}", HEIGHT + 1, BINS * BAR, "bars")


def _summary(chosen: ChosenImages) -> dict[str, Any]:
    """Return the statistics of the numbers, and their histogram, which is of the sample."""
    values = [float(entry.value or 0) for entry in chosen.numbers.entries]
    low, high = chosen.lowest.entries()[0].value or 0.0, chosen.highest.entries()[0].value or 0.0
    return {
        "low": low,
        "high": high,
        "mean": chosen.total / chosen.readable,
        "median": median(values),
        "sampled": len(values) if len(values) < chosen.readable else 0,
        "chart": _strip_chart(values, low, high),
    }


def _strip_chart(values: Sequence[float], low: float, high: float) -> Markup:
    counts = [0] * STRIP_BINS
    for value in values:
        counts[min(int((value - low) / (high - low) * STRIP_BINS), STRIP_BINS - 1) if high > low else 0] += 1
    across = Axis(0, STRIP_BINS, 8, STRIP_WIDTH - 8)
    floor, most = STRIP_HEIGHT - 22, max(counts)
    bars = [
        f'<rect class="bar" x="{across(number):.1f}" y="{floor - height:.1f}" width="{across(1) - across(0) - 1:.1f}"'
        f' height="{height:.1f}"/>'
        for number, count in enumerate(counts)
        if (height := count / most * (floor - 6))
    ]
    labels = [
        svg_text("tick", across(0), STRIP_HEIGHT - 5, tick_label(low)),
        svg_text("tick end", across(STRIP_BINS), STRIP_HEIGHT - 5, tick_label(high)),
    ]
    base = svg_line("axis", across(0), floor, across(STRIP_BINS), floor)
    label = f"predicted numbers from {tick_label(low)} to {tick_label(high)}"
    return svg_chart([*bars, base, *labels], label, STRIP_HEIGHT, STRIP_WIDTH)
