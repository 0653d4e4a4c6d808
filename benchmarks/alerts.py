"""False alarms and power of the alerts of `retrain`, on simulated nights with a known truth.

Usage: python -m benchmarks.alerts OUT.json [--parts faults quiet] [--years 10] [--trials 300]

Prints Markdown tables, and writes their rows to OUT.json:

- years without a fault: first reports of an alert in a year (an alert that is repeated counts once), and the share of
  nights that report one. Every night brings 4 test images and 12 others. The champion is never replaced, or every 30
  nights, perhaps by one that was chosen for its accuracy on the test images; perhaps images are of subjects, ten each,
  whose errors correlate.
- faults in one night, after 30 nights without one: the share of trials with an alert that night.

The usual accuracy is 0.9, over five classes with 0.98 to 0.8. A challenger is wrong about 60% of the images that the
champion is wrong about, and about 4% of the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.workflows.retrain.alerts import Alert
from transfercli.workflows.retrain.watched_images import AnsweredImage, Window, champion_fell, labels_contradict

ACCURACIES = (0.98, 0.94, 0.9, 0.88, 0.8)  # of the classes
EARLIER, TESTS, OTHERS = 200, 4, 12  # test images of the champion; new images of a night
LEVEL, RUN = 0.001, "exp/a"
SHOTS, CONCENTRATION = 10, 0.25  # of a subject; of the beta distribution of its error rate: correlation 0.8


@dataclass
class World:
    """A source of images with models' answers.

    fall: points of accuracy that the champion loses; grouped: True if images come in subjects; adapted: True if the
    challenger is right about images that the champion fails on.
    """

    rng: np.random.Generator
    grouped: bool = False
    fall: float = 0.0
    adapted: bool = False
    subjects: int = 0

    def images(self, number: int, day: int, *, held_out: bool, labels: Sequence[int] = ()) -> list[AnsweredImage]:
        """Draw images; labels: their classes, else at random."""
        drawn: list[AnsweredImage] = []
        while len(drawn) < number:
            shots = min(SHOTS if self.grouped else 1, number - len(drawn))
            label = labels[len(drawn)] if labels else int(self.rng.integers(len(ACCURACIES)))
            rate = 1 - ACCURACIES[label] + self.fall
            if self.grouped:
                self.subjects += 1
                rate = float(self.rng.beta(rate * CONCENTRATION, (1 - rate) * CONCENTRATION))
            drawn += [self._image(label, rate, day, held_out) for _ in range(shots)]
        return drawn

    def _image(self, label: int, rate: float, day: int, held_out: bool) -> AnsweredImage:
        wrong = bool(self.rng.random() < rate)
        other = bool(self.rng.random() < (0.6 if wrong and not self.adapted else 0.04)) if held_out else None
        group = f"s{self.subjects}" if self.grouped else ""
        return AnsweredImage(str(label), wrong, other, group, folder=f"class{label}", day=f"day{day:04}")

    def mislabelled(self, images: Sequence[AnsweredImage], label: int | None = None) -> list[AnsweredImage]:
        """Return the images with random labels, or all with the same one; a model may answer the wrong label, too."""
        return [self._mislabelled(image, label) for image in images]

    def _mislabelled(self, image: AnsweredImage, label: int | None) -> AnsweredImage:
        classes = len(ACCURACIES)
        given = str(int(self.rng.integers(classes)) if label is None else label)
        if given == image.label:
            return image

        def contradicts(wrong: bool | None) -> bool | None:
            return None if wrong is None else not wrong or bool(self.rng.random() > 1 / (classes - 1))

        wrong = bool(contradicts(image.champion_wrong))
        return replace(image, label=given, champion_wrong=wrong, challenger_wrong=contradicts(image.challenger_wrong))


@dataclass
class Night:
    """Images of a champion: its own test images, new test images, those of tonight, and other new images."""

    earlier: list[AnsweredImage]
    tests: list[AnsweredImage]
    tonight: list[AnsweredImage]
    others: list[AnsweredImage]

    def alerts(self) -> list[Alert]:
        new = [*self.tests, *self.tonight]
        windows = [
            Window("a", new, self.earlier, LEVEL / 2),
            Window("b", self.tonight, [*self.earlier, *self.tests], LEVEL / 2),
        ]
        found = (
            champion_fell(windows if self.tests else [replace(windows[0], level=LEVEL)], RUN),
            labels_contradict([*new, *self.others], self.earlier, RUN, LEVEL),
        )
        return [alert for alert in found if alert]


def quiet_year(world: World, replaced: int, candidates: int, nights: int = 365) -> tuple[int, int]:
    """Return the number of first reports in a year without a fault, and of nights with a report.

    replaced: nights between champions; candidates: champions that are compared on the test images, for the best one.
    """
    size, first_reports, reports, reported = EARLIER, 0, 0, set[str]()
    night = Night([], [], [], [])
    for number in range(nights):
        if number % replaced == 0:
            size += len(night.tests)
            drawn = [world.images(size, 0, held_out=True) for _ in range(candidates)]
            best = min(drawn, key=lambda images: sum(image.champion_wrong for image in images))
            night, reported = Night(best, [], [], []), set()
        night.tonight = world.images(TESTS, number + 1, held_out=True)
        night.others += world.images(OTHERS, number + 1, held_out=False)
        kinds = {alert.kind for alert in night.alerts()}
        first_reports += len(kinds - reported)
        reports += bool(kinds)
        reported = kinds
        night.tests += night.tonight
    return first_reports, reports


def faulty_night(world: World, fault: World, images: int, labels: str, tested: float) -> list[Alert]:
    """Return the alerts of a night with `images` images of `fault`, after 30 nights without one.

    labels: "right", "random", or "swapped" for images of class 3 under the label 1. tested: the share of test images.
    """
    tests = [image for day in range(30) for image in world.images(TESTS, day, held_out=True)]
    others = [image for day in range(30) for image in world.images(OTHERS, day, held_out=False)]
    number = round(images * tested)
    classes = [3] * images if labels == "swapped" else []
    bad = [fault.images(count, 31, held_out=held_out, labels=classes) for count, held_out in
           ((number, True), (images - number, False))]  # fmt: skip
    if labels != "right":
        bad = [fault.mislabelled(part, 1 if labels == "swapped" else None) for part in bad]
    return Night(world.images(EARLIER, 0, held_out=True), tests, bad[0], [*others, *bad[1]]).alerts()


def quiet_rows(years: int) -> Iterator[dict[str, Any]]:
    for name, replaced, candidates, grouped in (
        ("never", 365, 1, False),
        ("every 30 nights", 30, 1, False),
        ("every 30 nights, the best of 3", 30, 3, False),
        ("every 30 nights; subjects of ten images", 30, 1, True),
    ):
        world = World(np.random.default_rng(0), grouped=grouped)
        counts = [quiet_year(world, replaced, candidates) for _ in range(years)]
        yield {
            "champion replaced": name,
            "first reports a year": float(np.mean([first for first, _ in counts])),
            "nights with a report": float(np.mean([nights for _, nights in counts])) / 365,
        }


def faulty_rows(trials: int) -> Iterator[dict[str, Any]]:
    faults = [(f"random labels in {number} images", number, "random", 0.3, 0.0, False) for number in (20, 60, 360)]
    faults += [(f"{number} images of a class under another", number, "swapped", 0.3, 0.0, False) for number in (20, 60)]
    faults += [
        (f"{points} points less on {number} test images", number, "right", 1.0, points / 100, False)
        for number in (50, 200)
        for points in (5, 10, 20)
    ]
    faults += [("20 points less on 200 images; the challenger adapts", 200, "right", 0.3, 0.2, True)]
    for name, images, labels, tested, fall, adapted in faults:
        rng = np.random.default_rng(1)
        alerts = [
            faulty_night(World(rng), World(rng, fall=fall, adapted=adapted), images, labels, tested)
            for _ in range(trials)
        ]
        kinds = [{alert.kind for alert in found} for found in alerts]
        named = [
            alert.figures["days"] == ["day0031"] * 2 for found in alerts for alert in found if "days" in alert.figures
        ]
        yield {
            "fault": name,
            "champion_fell": float(np.mean(["champion_fell" in found for found in kinds])),
            "labels_contradict": float(np.mean(["labels_contradict" in found for found in kinds])),
            "any": float(np.mean([bool(found) for found in kinds])),
            "day named": float(np.mean(named)) if named else None,
        }


def print_table(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print each row as soon as it is there, and return them all."""
    printed: list[dict[str, Any]] = []
    for row in rows:
        if not printed:
            print("\n| " + " | ".join(row) + " |\n| --- |" + " ---: |" * (len(row) - 1))
        cells = [value if isinstance(value, str) else "" if value is None else f"{value:.3f}" for value in row.values()]
        print("| " + " | ".join(cells) + " |", flush=True)
        printed.append(row)
    return printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--parts", nargs="+", choices=("faults", "quiet"), default=("faults", "quiet"))
    arguments = parser.parse_args()
    rows = {"faults": faulty_rows(arguments.trials), "quiet": quiet_rows(arguments.years)}
    results = {name: print_table(rows[name]) for name in arguments.parts}
    arguments.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
