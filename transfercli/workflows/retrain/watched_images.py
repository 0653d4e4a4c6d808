"""Statistics on new images that the champion has answered: more errors than usual, and labels that contradict it.

An image is new if the champion's run did not have it, so the champion has not learnt from it. If an image may have
several labels, the presence of each label is an answer of its own, and the answers to one image are a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.evaluation.statistics.excess_errors import Outcomes, excess_p_value, expected_errors
from transfercli.evaluation.statistics.intervals import wilson
from transfercli.text import counted
from transfercli.workflows.retrain.alerts import Alert

MOST_BATCHES = 50  # that are tested; the largest ones
SMALL_BATCH = 5  # images; smaller batches are not tested, and fewer held-out images confirm nothing
MOST_LISTED = 1000  # images in an alert
EXAMPLES = 2  # paths in its message
CONFIRMED = 0.05  # level of the challenger's confirmation of what the champion contradicts


@dataclass(frozen=True, slots=True)
class AnsweredImage:
    """An answer to an image, and if models were wrong about it.

    Attributes:
        label: class of the image; if it may have several, a label that it has, or `not` and one that it has not.
        champion_wrong: True if the champion's answer is not the label.
        challenger_wrong: the same of the challenger; None without one, or if it learnt from the image.
        group: name of its group, or "".
        path: of its file, relative to the data.
        sha256: of its file.
        folder: of its file, relative to the data; "" for the data folder itself.
        source: its folder without the folders named as its class, or "".
        day: of the last change of its file, UTC, ISO 8601; "" if unknown.
        labels: text of all labels of the image, as in its record, if it may have several.
    """

    label: str
    champion_wrong: bool
    challenger_wrong: bool | None = None
    group: str = ""
    path: str = ""
    sha256: str = ""
    folder: str = ""
    source: str = ""
    day: str = ""
    labels: str | None = None


def count_images(answers: Sequence[AnsweredImage]) -> int:
    """Return the number of images, of which each may have several answers."""
    return len(answers) if all(one.labels is None for one in answers) else len({one.path for one in answers})


def _counted(answers: int, of: Sequence[AnsweredImage]) -> str:
    """Return a number of test images in words, or one of answers, if an image has several."""
    if all(one.labels is None for one in of):
        return counted(answers, "test image")
    return f"{counted(answers, 'answer')} to test images"


@dataclass(frozen=True)
class Window:
    """Test images of the champion, divided into new and earlier ones.

    Attributes:
        since: RUN_ID of the run whose images, and those of runs before it, are the earlier ones.
        level: significance level of this window's test.
    """

    since: str
    new: Sequence[AnsweredImage]
    earlier: Sequence[AnsweredImage]
    level: float

    @property
    def outcomes(self) -> tuple[Outcomes, Outcomes]:
        """Errors of the champion on new and earlier images."""
        return _outcomes(self.new, self.earlier, _champion_wrong)


def champion_fell(windows: Sequence[Window], champion: str) -> Alert | None:
    """Return the alert about the champion's errors on new test images, for the window that shows them most clearly.

    champion: EXPERIMENT/RUN_ID.
    """
    p_values = [excess_p_value(*window.outcomes) for window in windows]
    significant = [(p_value, window) for p_value, window in zip(p_values, windows, strict=True)]
    significant = [(p_value, window) for p_value, window in significant if p_value <= window.level]
    if not significant:
        return None
    p_value, window = min(significant, key=lambda pair: pair[0])
    expected, images = expected_errors(*window.outcomes)
    known = {image.label for image in window.earlier}
    right = images - sum(image.champion_wrong for image in window.new if image.label in known)
    before = sum(not image.champion_wrong for image in window.earlier)
    low, high = wilson(before, len(window.earlier)) or (0.0, 1.0)
    figures: dict[str, Any] = {
        "run": champion,
        "added_since": window.since,
        "images": images,
        "accuracy": right / images,
        "expected": 1 - expected / images,
        "earlier_images": len(window.earlier),
        "earlier_accuracy": before / len(window.earlier),
        "earlier_interval": [low, high],
        "p_value": p_value,
    }
    message = (
        f"the champion {champion} fell: its accuracy is {right / images:.4f} on"
        f" {_counted(images, window.new)} added since run {window.since}, {1 - expected / images:.4f} was expected"
        f" by its accuracy of {before / len(window.earlier):.4f} ({low:.4f} to {high:.4f}) on"
        f" {len(window.earlier)} earlier ones (p-value {p_value:.2g}): look at the new images and their labels"
    )
    return Alert("champion_fell", message, figures)


# -- labels


def labels_contradict(
    new: Sequence[AnsweredImage], earlier: Sequence[AnsweredImage], champion: str, level: float
) -> Alert | None:
    """Return the alert about new images, of any split, whose labels contradict the models more often than usual.

    The champion has learnt from none of the new images, and its usual rate is the one on earlier test images. All new
    images together are tested at half of `level`; batches by folder, by day, and by both share the other half. Images
    of another kind than before, with correct labels, contradict the champion only: so if the batch has images that the
    challenger did not learn from either, these must contradict both models.

    champion: EXPERIMENT/RUN_ID.
    """
    batches = list(_batches(new))
    tested: list[tuple[float, float, Sequence[AnsweredImage]]] = []
    significant = False
    for number, batch in enumerate(batches):
        sides = _outcomes(batch, earlier, _champion_wrong)
        p_value = excess_p_value(*sides)
        significant |= p_value <= (level if len(batches) == 1 else level / 2 / (len(batches) - 1 if number else 1))
        tested.append((p_value, expected_errors(*sides)[0] - float(sides[0].wrong.sum()), batch))
    if not significant:
        return None
    p_value, _, batch = min(tested, key=lambda row: row[:2])
    held_out, both = _held_out(batch), _held_out(earlier)
    if count_images(held_out) >= SMALL_BATCH and excess_p_value(*_outcomes(held_out, both, _both_wrong)) > CONFIRMED:
        return None
    return _contradiction(batch, earlier, champion, p_value)


def _contradiction(
    batch: Sequence[AnsweredImage], earlier: Sequence[AnsweredImage], champion: str, p_value: float
) -> Alert:
    known = {image.label for image in earlier}
    batch = [image for image in batch if image.label in known]
    expected, answers = expected_errors(*_outcomes(batch, earlier, _champion_wrong))
    images = count_images(batch)
    folders = sorted({image.folder for image in batch})
    shared = folders if len(folders) == 1 else sorted({image.source for image in batch})
    folder = shared[0] if len(shared) == 1 and (shared[0] or len(folders) == 1) else None
    days = sorted({image.day for image in batch if image.day})
    held_out = _held_out(batch)
    wrong = [image for image in batch if image.champion_wrong]
    by_image = {number if image.labels is None else image.path: image for number, image in enumerate(wrong)}
    listed = list(by_image.values())[:MOST_LISTED]
    figures: dict[str, Any] = {
        "run": champion,
        "folder": folder,
        "folders": len(folders),
        "days": [days[0], days[-1]] if days else None,
        "images": images,
        "contradictions": len(wrong),
        "usual": expected / answers,
        "p_value": p_value,
        "held_out": len(held_out),
        "held_out_contradictions": sum(map(_both_wrong, held_out)),
        "listed": [[image.path, image.labels or image.label] for image in listed],
        "files": [image.sha256 for image in listed],
    }
    place = f"in {counted(len(folders), 'folder')}"
    if folder:
        place = f"under {folder!r}" + (f" of {counted(len(folders), 'folder')}" if len(folders) > 1 else "")
    dates = "" if not days else f", of {days[0]}" + (f" to {days[-1]}" if days[-1] != days[0] else "")
    others = (
        f"; {figures['held_out_contradictions']} of the {len(held_out)} that no model learnt from contradict both"
        if held_out
        else ""
    )
    examples = ", ".join(repr(image.path) for image in listed[:EXAMPLES])
    every = len(wrong) if answers == images else count_images(wrong)
    rest = "" if every <= EXAMPLES else f", …; decisions.jsonl and --json list {_listed_text(listed, every)}"
    found = f"{len(wrong)} of" if answers == images else f"{len(wrong)} of {answers} answers to"
    message = (
        f"the labels of {found} {counted(images, 'new image')} {place}{dates} contradict the"
        f" champion (usual: {expected / answers:.1%}){others}: check these labels: {examples}{rest}"
    )
    return Alert("labels_contradict", message, figures)


def _listed_text(listed: Sequence[AnsweredImage], every: int) -> str:
    return "all" if len(listed) == every else f"the first {len(listed)}"


def _batches(images: Sequence[AnsweredImage]) -> Iterator[Sequence[AnsweredImage]]:
    """Yield all images, then the largest different parts of them by folder, by source, by day, and by both."""
    if not images:
        return
    yield images
    keys: tuple[Callable[[AnsweredImage], object], ...] = (
        lambda image: image.folder,
        lambda image: image.source,
        lambda image: image.day,
        lambda image: (image.folder, image.day),
        lambda image: (image.source, image.day),
    )
    parts: dict[frozenset[int], None] = {}
    for key in keys:
        rows: dict[object, list[int]] = {}
        for row, image in enumerate(images):
            rows.setdefault(key(image), []).append(row)
        parts |= dict.fromkeys(
            frozenset(part)
            for part in rows.values()
            if len(part) < len(images) and count_images([images[row] for row in part]) >= SMALL_BATCH
        )
    for part in sorted(parts, key=len, reverse=True)[:MOST_BATCHES]:
        yield [images[row] for row in sorted(part)]


def _held_out(images: Sequence[AnsweredImage]) -> list[AnsweredImage]:
    return [image for image in images if image.challenger_wrong is not None]


def _champion_wrong(image: AnsweredImage) -> bool:
    return image.champion_wrong


def _both_wrong(image: AnsweredImage) -> bool:
    return image.champion_wrong and bool(image.challenger_wrong)


def _outcomes(
    new: Sequence[AnsweredImage], earlier: Sequence[AnsweredImage], wrong: Callable[[AnsweredImage], bool]
) -> tuple[Outcomes, Outcomes]:
    """Return outcomes whose classes index the same labels."""
    index_of = {label: index for index, label in enumerate(sorted({image.label for image in (*new, *earlier)}))}
    first, second = (
        Outcomes(
            np.array([index_of[image.label] for image in side], dtype=np.int64),
            np.array([wrong(image) for image in side], dtype=bool),
            [image.group for image in side],
        )
        for side in (new, earlier)
    )
    return first, second
