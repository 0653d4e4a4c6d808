"""What `data check --report DIR` writes: index.html (one offline file), a contact sheet a class, and problems.csv.

File and class names are hostile text. Jinja2 escapes them for HTML; no file is named after them but for a few safe
letters; and a cell of the CSV that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.data.quality.check import Pair, Report, Seen, Suspect, sizes
from transfercli.evaluation.report.contact_sheets import chosen, contact_sheet, jpeg, png
from transfercli.evaluation.report.html import environment
from transfercli.evaluation.report.plots import clipped
from transfercli.evaluation.report.thumbnails import address, data_address
from transfercli.io.atomic import room_errors, write_bytes, write_text
from transfercli.redaction import hide_paths
from transfercli.reporting import Reporter
from transfercli.rows import Rows

PAGE, TABLE, SHEETS = "index.html", "problems.csv", "sheets"
EMBEDDED = 60  # classes whose sheet stands in the page itself; the others are linked
ROWS, PAIRS, SUSPECTS = 500, 24, 60  # shown of each list; the CSV has all
NAME_LENGTH = 1000
FORMULA = ("=", "+", "-", "@")


def write_page(folder: Path, report: Report, images: Rows | None, title: str, reporter: Reporter) -> Path:
    """Write everything into `folder`, over what an earlier check wrote there, and return the page's path.

    Args:
        images: of the rows of `report.seen`; None where nothing could be read.
        title: the experiment's name.
    """
    with room_errors(folder):
        (folder / SHEETS).mkdir(parents=True, exist_ok=True)
        for old in (folder / SHEETS).glob("[0-9][0-9][0-9][0-9]*.png"):
            old.unlink()
    write_text(folder / TABLE, "".join(",".join(map(cell, row)) + "\n" for row in _rows(report)))
    sheets = _write_sheets(folder, report, images, reporter) if images is not None else []
    page = (
        environment()
        .get_template("check.html.j2")
        .render(
            title=title,
            report=report,
            classes=report.classes(),
            splits=report.splits(),
            sizes=sizes(report.seen),
            imbalance=report.imbalance(),
            refusals=list(zip(report.refusals, report.hints, strict=True)),
            problems=report.problems[:ROWS],
            unusual=[report.seen[row] for row in report.unusual[:ROWS]],
            galleries=_galleries(report, images) if images is not None else [],
            doubtful=_doubtful(report, images) if images is not None else [],
            sheets=sheets,
            table=TABLE,
            shown={"rows": ROWS, "pairs": PAIRS, "suspects": SUSPECTS},
        )
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def cell(value: object) -> str:
    """RFC 4180 for a spreadsheet: one printable line, and never a formula."""
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
            yield kind, *(report.seen[row].path for row in pair), _differences(report, pair)
    for one in report.mislabelled.suspects:
        seen = report.seen[one.row]
        yield "likely mislabelled", seen.path, one.suggested, f"labelled {seen.label}; {one.confidence:.1%} sure"
    for row in report.unusual:
        seen = report.seen[row]
        yield "unusual size", seen.path, "", f"{seen.width}x{seen.height}"
    for side, labels in report.missing.items():
        for label in labels:
            yield "missing class", "", label, f"no image in {side}"


def _differences(report: Report, pair: Pair) -> str:
    """Why a pair matters: other labels, other sides, or nothing."""
    told = ["other labels"] if report.across_labels([pair]) else []
    return "; ".join([*told, *(["across splits"] if report.across_sides([pair]) else [])])


def _galleries(report: Report, images: Rows) -> list[dict[str, Any]]:
    """Pairs to look at side by side, the ones that do harm first; each pair once."""
    found = []
    for what, pairs in (("The same pixels", report.duplicates), ("Nearly the same", report.near)):
        harmful = [*report.across_labels(pairs), *report.across_sides(pairs)]
        ordered = list(dict.fromkeys([*harmful, *pairs]))
        if ordered:
            shown = [
                {
                    "images": [(report.seen[row], _picture(images, row)) for row in pair],
                    "why": _differences(report, pair),
                }
                for pair in ordered[:PAIRS]
            ]
            found.append({"title": what, "count": len(ordered), "harmful": len(set(harmful)), "pairs": shown})
    return found


def _doubtful(report: Report, images: Rows) -> list[tuple[Suspect, Seen, str]]:
    """The likely mislabelled with a picture each."""
    shown = report.mislabelled.suspects[:SUSPECTS]
    return [(one, report.seen[one.row], _picture(images, one.row)) for one in shown]


def _picture(images: Rows, row: int) -> str:
    return data_address(images.read(np.array([row]))[0])


def _write_sheets(folder: Path, report: Report, images: Rows, reporter: Reporter) -> list[dict[str, Any]]:
    labels = np.array([one.label for one in report.seen], dtype=object)
    sheets = []
    for number, label in enumerate(report.labels):
        rows = np.flatnonzero(labels == label)
        if not len(rows):
            continue
        picked = chosen(rows)
        sheet = contact_sheet(images, picked)
        name = sheet_name(number, label)
        write_bytes(folder / SHEETS / name, png(sheet))
        embedded = address("image/jpeg", jpeg(sheet)) if number < EMBEDDED else ""
        sheets.append(
            {"label": label, "file": f"{SHEETS}/{name}", "address": embedded, "shown": len(picked), "all": len(rows)}
        )
        reporter.progress("contact sheets", number + 1, len(report.labels), "classes")
    return sheets


def sheet_name(number: int, label: str) -> str:
    """`0003-cat.png`: a number that makes it unique, and what is harmless of the class's name."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")[:40]
    return f"{number:04d}{'-' * bool(safe)}{safe}.png"
