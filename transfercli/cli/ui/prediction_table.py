"""Table of predictions for a person at a terminal, written row by row while the predictions are computed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from transfercli.text import counted, first_of, printable, shortened

if TYPE_CHECKING:
    from transfercli.workflows.predict.predict import Prediction

GAP = "  "
STRANGE = "strange: "
UNSURE = "unsure: "
LABEL_WIDTHS = (10, 24)  # smallest and largest width of the first column, in characters
OTHERS_WIDTHS = (10, 40)
NUMBER_WIDTH = 6  # of a probability with four digits
PROBABILITY = "probability"
NO_LABEL = "(none)"
UNSURE_LABELS = "unsure of"  # header
ALL_LABELS = "all labels"
PATH_WIDTH = 36  # room that stays for paths; a longer path is never cut, since users copy it
MOST_CLASSES = 5  # in the summary


def write_table(
    answers: Iterable[Prediction],
    labels: Sequence[str],
    top: int,
    out: TextIO,
    *,
    sets: bool = False,
    several: bool = False,
    abstain: bool = False,
) -> None:
    """Write a row for each image, and a summary below the last row.

    A label is marked as `strange` if the image is unlike the training images, else as `unsure` if the model abstains.
    Of several labels, those that the model abstains from have a column of their own instead.

    Widths are chosen before the first prediction is known: columns get narrower on a narrow terminal, and the path,
    which may be of any length, is last.

    Args:
        labels: all classes that a prediction may have.
        top: number of classes per image; those after the first share a column.
        sets: True if that column has the conformal set instead.
        several: True if an image may have several labels, which then share the first column.
        abstain: True if predictions of several labels have the labels that the model abstains from.
    """
    longest = max(len(printable(label)) for label in labels)
    first = _within(OTHERS_WIDTHS, 3 * (longest + 2)) if several else _within(LABEL_WIDTHS, longest + len(STRANGE))
    widths = [first, len(PROBABILITY)]
    doubts = [_within(OTHERS_WIDTHS, 2 * (longest + 2))] * (several and abstain)
    further = max(top if several else top - 1, 2 * sets)
    if further:
        room = shutil.get_terminal_size().columns - sum(widths + doubts) - PATH_WIDTH - (3 + len(doubts)) * len(GAP)
        needed = further * (longest + 1 + NUMBER_WIDTH + len(", "))
        widths.append(_within(OTHERS_WIDTHS, min(room, needed)))
    more = ["set" if sets else "then"] * (len(widths) - 2) + [UNSURE_LABELS] * len(doubts)
    header = ("labels" if several else "label", PROBABILITY, *more, "image")
    widths += doubts
    out.write(_row(header, widths) + "\n" + _row(["-" * width for width in (*widths, len("image"))], widths) + "\n")
    out.flush()
    counts: Counter[str] = Counter()
    images = failed = strange = 0
    try:
        for answer in answers:
            out.write(_row(_cells(answer, widths, len(labels)), widths) + "\n")
            out.flush()
            images += 1
            counts.update(_labels_of(answer))
            failed += bool(answer.error)
            strange += bool(answer.strange)
    finally:  # also if the last prediction is followed by an error
        _write_summary(counts, images, failed, strange, out)


def _within(bounds: tuple[int, int], width: int) -> int:
    low, high = bounds
    return min(max(low, width), high)


def _labels_of(answer: Prediction) -> list[str]:
    """Return the labels that an image is given: `NO_LABEL` for none of several, nothing if it was not read."""
    if answer.error:
        return []
    if answer.answered is None:
        return [str(answer.best[0])]
    return [label for label, _ in answer.answered] or [NO_LABEL]


def _cells(answer: Prediction, widths: Sequence[int], count: int) -> list[str]:
    """Return the cells of a row; count: number of labels of the model."""
    path = printable(answer.path).replace("\n", "\\n")
    if answer.error:
        return [*["-"] * len(widths), f"{path} (not read: {printable(answer.error)})"]
    labels, (_, probability) = _labels_of(answer), answer.best
    others = [pair for pair in answer.top if pair[0] not in labels]
    mark = STRANGE if answer.strange else UNSURE if answer.abstained and answer.unsure is None else ""
    doubts = [] if answer.unsure is None else [_doubts(answer.unsure, widths[-1], count)]
    if answer.labels is None:
        more = [_fitting(others, width) for width in widths[2 : len(widths) - len(doubts)]]
    else:
        more = [printable(", ".join(answer.labels))]
    shown = "-" if answer.answered == () else f"{probability:.4f}"  # no label in the first column has this probability
    return [mark + ", ".join(map(printable, labels)), shown, *more, *doubts, path]


def _doubts(unsure: Sequence[str], width: int, count: int) -> str:
    """Return the labels of which the model is unsure: as many names as fit, then the number of the others."""
    if len(unsure) == count > 1:
        return ALL_LABELS
    names = [printable(label) for label in unsure]
    for shown in range(len(names), 0, -1):
        text = first_of(names, shown)
        if len(text) <= width:
            return text
    return counted(len(names), "label") if len(names) > 1 else "".join(names)


def _fitting(others: Sequence[tuple[str, float]], width: int) -> str:
    """Return as many of the further classes as fit, the first one shortened if need be."""
    pairs = [f"{printable(label)} {value:.4f}" for label, value in others]
    while len(pairs) > 1 and len(", ".join(pairs)) > width:
        pairs.pop()
    if pairs and len(pairs[0]) > width:
        label, _, value = pairs[0].rpartition(" ")
        pairs[0] = f"{shortened(label, width - len(value) - 1)} {value}"
    return ", ".join(pairs)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    fixed = [f"{shortened(cell, width):<{width}}" for cell, width in zip(cells, widths, strict=False)]
    return GAP.join((*fixed, *cells[len(widths) :]))


def _write_summary(counts: Counter[str], images: int, failed: int, strange: int, out: TextIO) -> None:
    if images < 2:
        return
    classes = [f"{printable(label)} ({count})" for label, count in counts.most_common()]
    parts = [first_of(classes, MOST_CLASSES)] * bool(classes) + [f"not read ({failed})"] * bool(failed)
    alarm = f"; {strange} strange, unlike the training images" if strange else ""
    out.write(f"\n{counted(images, 'image')}: {', '.join(parts)}{alarm}\n")
    out.write("next: add --format csv > predictions.csv to keep them in a file\n")
