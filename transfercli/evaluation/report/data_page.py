"""The files of `data check --report DIR`: index.html, one contact sheet for each class, and problems.csv.

File and class names are untrusted text. Jinja2 escapes them in HTML, file names contain only their ASCII letters and
digits, and a CSV cell that a spreadsheet would run as a formula starts with an apostrophe.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from transfercli.data.quality.check import CheckedImage, Report, sizes
from transfercli.data.quality.mislabelled import Suspect
from transfercli.evaluation.report.contact_sheets import contact_sheet, encode_jpeg, encode_png, evenly_spaced
from transfercli.evaluation.report.html import jinja_environment
from transfercli.evaluation.report.plots import clipped
from transfercli.evaluation.report.thumbnails import data_url, image_data_url
from transfercli.io.atomic import write_bytes, write_errors, write_text
from transfercli.redaction import hide_paths
from transfercli.reporting import Reporter
from transfercli.rows import Rows

PAGE, TABLE, SHEETS = "index.html", "problems.csv", "sheets"
EMBEDDED = 60  # classes whose contact sheet is in the page itself; the others are linked
ROWS, GROUPS, MEMBERS, SUSPECTS = 500, 24, 8, 60  # entries of each list on the page; the CSV has all
PICTURED = 40  # most labels in the picture of co-occurrence
OPEN = 20  # a longer list of files with the same problem is closed at first
NAME_LENGTH = 1000
FORMULA = ("=", "+", "-", "@")


def write_page(folder: Path, report: Report, images: Rows | None, title: str, reporter: Reporter) -> Path:
    """Write all files into `folder`, replacing those of an earlier check, and return the path of the page.

    Args:
        images: those of `report.images`, in the same order; None if no image could be read.
        title: the experiment's name.
    """
    with write_errors(folder):
        (folder / SHEETS).mkdir(parents=True, exist_ok=True)
        for old in (folder / SHEETS).glob("[0-9][0-9][0-9][0-9]*.png"):
            old.unlink()
    write_text(folder / TABLE, "".join(",".join(map(csv_cell, row)) + "\n" for row in _rows(report)))
    sheets = _write_sheets(folder, report, images, reporter) if images is not None else []
    page = (
        jinja_environment()
        .get_template("check.html.j2")
        .render(
            title=title,
            report=report,
            classes=report.classes(),
            splits=report.splits(),
            sizes=sizes(report.images),
            imbalance=report.imbalance(),
            refusals=list(zip(report.refusals, report.hints, strict=True)),
            problem_groups=report.problem_groups(),
            unusual=[report.images[row] for row in report.unusual[:ROWS]],
            galleries=_galleries(report, images) if images is not None else [],
            doubtful=_doubtful(report, images) if images is not None else [],
            sheets=sheets,
            table=TABLE,
            together=_together(report),
            unknown=report.pairs.unknown if report.pairs is not None else {},
            shown={"rows": ROWS, "open": OPEN, "groups": GROUPS, "suspects": SUSPECTS},
        )
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def csv_cell(value: object) -> str:
    """Return a CSV cell (RFC 4180) of one printable line that a spreadsheet does not run as a formula."""
    text = clipped(hide_paths(str(value)), NAME_LENGTH)
    text = f"'{text}" if text.lstrip().startswith(FORMULA) else text
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in '",') else text


def _rows(report: Report) -> Iterator[Sequence[object]]:
    yield "kind", "path", "other", "detail"
    for reason in report.refusals:
        yield "refused", "", "", reason
    for problem in report.problems:
        yield "problem", problem.path, "", f"{problem.problem} ({'used' if problem.used else 'left out'})"
    for kind, pairs in (("duplicate", report.duplicates), ("near duplicate", report.near)):
        for pair in pairs:
            yield kind, *(report.images[row].path for row in pair), _harm(report, pair)
    for suspect in report.mislabelled.suspects:
        image = report.images[suspect.row]
        given = f"{suspect.label} {suspect.given}" if suspect.label else f"labelled {image.label}"
        yield "likely mislabelled", image.path, suspect.suggested, f"{given}; {suspect.probability:.1%} sure"
    for row in report.unusual:
        image = report.images[row]
        yield "unusual size", image.path, "", f"{image.width}x{image.height}"
    for split, labels in report.missing.items():
        for label in labels:
            yield f"missing {report.nouns[0]}", "", label, f"no image in {split}"
    for split, labels in report.constant.items():
        for label in labels:
            yield "constant label", "", label, f"every image in {split}"
    for found in report.pairs.pairs if report.pairs is not None else ():
        detail = f"{found.kind}: {found.together} together, of {found.first_images} and {found.second_images}"
        yield "label pair", found.first, found.second, detail


def _harm(report: Report, group: Sequence[int]) -> str:
    """Return the harm that a group of duplicates does: other labels, across splits, or ""."""
    pairs = list(pairwise(group))
    labels = ["other labels"] if report.across_labels(pairs) else []
    return "; ".join([*labels, *(["across splits"] if report.across_splits(pairs) else [])])


def _together(report: Report) -> list[tuple[str, list[tuple[str, int, float]]]]:
    """Return the rows of the picture of co-occurrence: a label, and for each label its name, images and their share.

    The share is of the row's images. With more than `PICTURED` labels those of most images are shown.
    """
    if report.pairs is None:
        return []
    numbers = report.pairs.together
    frequent = np.sort(np.argsort(-numbers.diagonal(), kind="stable")[:PICTURED])
    return [
        (
            report.labels[row],
            [
                (
                    report.labels[column],
                    int(numbers[row, column]),
                    float(numbers[row, column] / max(numbers[row, row], 1)),
                )
                for column in frequent
            ],
        )
        for row in frequent
    ]


def _galleries(report: Report, images: Rows) -> list[dict[str, Any]]:
    """Return the galleries of exact and near duplicates, harmful groups first."""
    galleries = []
    for title, pairs in (("The same pixels", report.duplicates), ("Nearly the same", report.near)):
        groups = [(group, _harm(report, group)) for group in report.groups(pairs)]
        if groups:
            groups.sort(key=lambda found: not found[1])
            shown = [
                {
                    "images": [(report.images[row], _picture(images, row)) for row in group[:MEMBERS]],
                    "more": max(0, len(group) - MEMBERS),
                    "why": why,
                }
                for group, why in groups[:GROUPS]
            ]
            harmful = sum(bool(why) for _, why in groups)
            galleries.append({"title": title, "count": len(groups), "harmful": harmful, "groups": shown})
    return galleries


def _doubtful(report: Report, images: Rows) -> list[tuple[Suspect, CheckedImage, str]]:
    """Return the likely mislabelled images to show, each with its picture."""
    shown = report.mislabelled.suspects[:SUSPECTS]
    return [(suspect, report.images[suspect.row], _picture(images, suspect.row)) for suspect in shown]


def _picture(images: Rows, row: int) -> str:
    return image_data_url(images.read(np.array([row]))[0])


def _write_sheets(folder: Path, report: Report, images: Rows, reporter: Reporter) -> list[dict[str, Any]]:
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for row, image in enumerate(report.images):
        for label in image.labels:
            rows_of[label].append(row)
    sheets = []
    for number, label in enumerate(report.labels):
        if label not in rows_of:
            continue
        rows = np.array(rows_of[label])
        picked = evenly_spaced(rows)
        sheet = contact_sheet(images, picked, [PurePath(report.images[row].path).name for row in picked])
        name = sheet_name(number, label)
        write_bytes(folder / SHEETS / name, encode_png(sheet))
        embedded = data_url("image/jpeg", encode_jpeg(sheet)) if number < EMBEDDED else ""
        sheets.append(
            {"label": label, "file": f"{SHEETS}/{name}", "url": embedded, "shown": len(picked), "all": len(rows)}
        )
        reporter.progress("contact sheets", number + 1, len(report.labels), report.nouns[1])
    return sheets


def sheet_name(number: int, label: str) -> str:
    """Return a file name such as `0003-cat.png`: a unique number, and the ASCII letters and digits of the class."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")[:40]
    return f"{number:04d}{'-' * bool(safe)}{safe}.png"
