from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.evaluation.report.rows import Rows
from transfercli.data.label_sets import LabelSet
from transfercli.data.quality.check import CheckedImage, Problem, Report
from transfercli.data.quality.label_pairs import LabelPair, co_occurrence
from transfercli.data.quality.mislabelled import LabelSearch, Mislabelled, Suspect
from transfercli.errors import UsageError
from transfercli.evaluation.report.data_page import csv_cell, sheet_name, write_page
from transfercli.reporting import Reporter

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "=HYPERLINK(1)",
    "../../escape",
    "[red]\x1b[2J\u202e\udce9",
    "a\nb,\"c'",
    "x" * 500,
)


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def report_of(labels: Sequence[str], **more: object) -> Report:
    seen = [CheckedImage(f"{label}/{n}", label, "train", str(n), 8, 8) for n, label in enumerate(labels)]
    names = sorted(set(labels))
    counts = {label: {"train": list(labels).count(label)} for label in names}
    parts = {"problems": (), "duplicates": (), "near": ()} | more
    return Report(seen, labels=names, counts=counts, **parts)  # type: ignore[arg-type]


def written(folder: Path, report: Report) -> tuple[Page, list[list[str]]]:
    write_page(folder, report, Rows(len(report.images)), "digits", Reporter())
    with (folder / "problems.csv").open(encoding="utf-8", newline="") as file:
        return Page((folder / "index.html").read_text("utf-8")), list(csv.reader(file))


def test_the_page_is_one_offline_file_with_every_section_and_a_sheet_a_class(tmp_path: Path) -> None:
    report = report_of(
        ["cat"] * 3 + ["dog"] * 2, duplicates=[(0, 3)], near=[(1, 2)], problems=[Problem("cat/x", "zero bytes", False)]
    )
    page, rows = written(tmp_path, report)
    assert {attrs.get("id") for tag, attrs in page.tags if tag == "section"} == {
        "verdict", "classes", "problems", "copies", "labels", "sizes", "sheets",
    }  # fmt: skip
    links = [attrs[key] or "" for _, attrs in page.tags for key in ("src", "href") if key in attrs]
    files = {link for link in links if not link.startswith(("data:", "#"))}
    assert files == {"problems.csv", "sheets/0000-cat.png", "sheets/0001-dog.png"}
    assert all((tmp_path / name).is_file() for name in files)
    assert "Training would accept this data" in page.text
    assert "1 with other labels or across splits" in page.text
    assert ["duplicate", "cat/0", "dog/3", "other labels"] in rows
    assert ["near duplicate", "cat/1", "cat/2", ""] in rows
    assert ["problem", "cat/x", "", "zero bytes (left out)"] in rows


def test_the_likely_mislabelled_are_shown_with_both_names_and_listed_uncut(tmp_path: Path) -> None:
    suspects = [Suspect(n, "dog", 0.85, 0.9) for n in range(70)]
    report = report_of(
        ["cat"] * 80 + ["dog"] * 5, mislabelled=Mislabelled(suspects, "digits/1", search=LabelSearch(85, 0.6, 0.62, 12))
    )
    page, rows = written(tmp_path, report)
    assert "70 images of 85" in page.text
    assert "digits/1" in page.text
    assert "the model agrees with 60% of the labels: too weak to judge most of them" in page.text
    assert "about 7.0 of 70 are expected to be false alarms" in page.text
    assert "beyond the limit: 12 images; --mislabelled-share 1 lists all" in page.text
    assert page.text.count("→ dog") == 60
    assert "The first 60 are shown" in page.text
    assert ["likely mislabelled", "cat/69", "dog", "labelled cat; 90.0% sure"] in rows


def test_labels_in_the_same_image_are_a_picture_and_their_doubts_are_listed(tmp_path: Path) -> None:
    sets = [LabelSet(("cat", "dog")), LabelSet(("cat",), ("dog",)), LabelSet(), LabelSet(("cat", HOSTILE[0]))] * 2
    seen = [
        CheckedImage(f"{n}", one.text, "train", str(n), 8, 8, label_set=one.of(one.has, one.unknown))
        for n, one in enumerate(sets)
    ]
    names = sorted({"cat", "dog", HOSTILE[0]})
    pairs = replace(co_occurrence(sets, names), pairs=[LabelPair("cat", "dog", "never together", 0, 5, 7)])
    report = Report(
        seen,
        (),
        [(0, 2)],
        [(0, 1)],
        names,
        counts={name: {"train": 1} for name in names},
        constant={"test": ["cat"]},
        mislabelled=Mislabelled([Suspect(0, "absent", 0.9, 0.9, "dog")], "digits/1"),
        pairs=pairs,
    )
    page, rows = written(tmp_path, report)
    assert "Labels and splits" in page.text
    assert "Every test image has 1 label: cat" in page.text
    assert "1 pair of labels that chance does not explain" in page.text
    titles = [attrs["title"] for tag, attrs in page.tags if tag == "td" and "title" in attrs]
    assert "cat and dog: 33.3%" in titles
    assert "dog present → absent" in " ".join(page.text.split())
    assert "cat, dog, train" in page.text  # the caption of a copy
    assert ["label pair", "cat", "dog", "never together: 0 together, of 5 and 7"] in rows
    assert ["constant label", "", "cat", "every image in test"] in rows
    assert ["likely mislabelled", "0", "absent", "dog present; 90.0% sure"] in rows
    assert ["duplicate", "0", "2", "other labels"] in rows
    assert ["near duplicate", "0", "1", ""] in rows  # an unknown label contradicts nothing
    assert "<script>alert(1)</script>" in page.text
    sheets = {attrs["href"] for tag, attrs in page.tags if tag == "a" and "sheets/" in (attrs.get("href") or "")}
    assert len(sheets) == 3


def test_why_nobody_looked_for_mislabelled_images_is_told_without_absolute_paths(tmp_path: Path) -> None:
    page, _ = written(tmp_path, report_of(["cat"], mislabelled=Mislabelled(note="no run 'c' under /home/ann/runs")))
    assert "Not checked: no run 'c' under …/runs." in page.text


def test_equal_problems_and_copies_are_groups(tmp_path: Path) -> None:
    problems = [Problem(f"cat/{n}", "zero bytes", False) for n in range(30)]
    problems += [Problem(f"dog/{n}", f"cut: the image data of {n}% of its rows are missing", True) for n in range(3)]
    copies = [(0, 1), (0, 2), (3, 4)]
    page, _ = written(tmp_path, report_of(["cat"] * 6, problems=problems, duplicates=copies))
    assert page.text.count("zero bytes") == 1
    assert "zero bytes, 30 files, left out" in page.text
    assert page.text.count("rows are missing") == 3
    assert "The same pixels: 2 groups" in page.text
    (group,) = [attrs for tag, attrs in page.tags if tag == "details" and "open" in attrs]
    assert group is not None  # the longer list is closed


def test_data_whose_labels_conflict_is_no_plain_pass(tmp_path: Path) -> None:
    def verdict(report: Report) -> str | None:
        page, _ = written(tmp_path, report)
        return next(attrs["class"] for tag, attrs in page.tags if attrs.get("id") == "verdict")

    assert verdict(report_of(["cat", "cat"], duplicates=[(0, 1)])) == "verdict passed"
    assert verdict(report_of(["cat", "dog"], duplicates=[(0, 1)])) == "verdict doubtful"
    assert verdict(report_of(["cat", "dog"], near=[(0, 1)])) == "verdict doubtful"
    refused = report_of(["cat", "dog"], duplicates=[(0, 1)], refusals=["no"], hints=[""])
    assert verdict(refused) == "verdict failed"


def test_hostile_names_are_text_and_leave_the_folder_alone(tmp_path: Path) -> None:
    labels = [label for label in HOSTILE for _ in range(2)]
    report = report_of(
        labels,
        problems=[Problem(name, name, True) for name in HOSTILE],
        duplicates=[(0, 2)],
        unusual=[4],
        refusals=list(HOSTILE),
        hints=[""] * len(HOSTILE),
        missing={"test": list(HOSTILE)},
        mislabelled=Mislabelled([Suspect(n, name, 0.5, 0.5) for n, name in enumerate(HOSTILE)], HOSTILE[0]),
    )
    page, rows = written(tmp_path / "report", report)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object"}
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    html = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert not set("\x1b\u202e\udce9") & set(html)
    assert not [value for row in rows for value in row if value.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert not [value for row in rows for value in row if any(ord(letter) < 32 for letter in value)]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    names = sorted(path.name for path in (tmp_path / "report" / "sheets").iterdir())
    assert len(names) == len(HOSTILE)
    assert all(name.isascii() and len(name) < 60 for name in names)


def test_a_path_may_be_broken_after_a_slash_and_stays_one_text(tmp_path: Path) -> None:
    page, _ = written(tmp_path, report_of(["cat"], problems=[Problem("cat/<b>/1.png", "zero bytes", False)]))
    assert "cat/<wbr>&lt;b&gt;/<wbr>1.png" in (tmp_path / "index.html").read_text("utf-8")
    assert "cat/<b>/1.png" in page.text


def test_no_absolute_path_leaves_the_machine(tmp_path: Path) -> None:
    told = "data.train: 'x' does not exist (looked for '/home/zebulon/x')"
    report = report_of(["cat"], refusals=[told], hints=[""])
    written(tmp_path, report)
    assert "zebulon" not in (tmp_path / "index.html").read_text() + (tmp_path / "problems.csv").read_text()


@pytest.mark.parametrize(
    "value, expected",
    [
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("  @x", "'  @x"),
        ("\t-1", "\ufffd-1"),
        ("+a,b", '"\'+a,b"'),
        ('say "x"', '"say ""x"""'),
        ("a\nb", "a\ufffdb"),
        (3, "3"),
    ],
)
def test_a_cell_is_never_a_formula_and_always_one_line(value: object, expected: str) -> None:
    assert csv_cell(value) == expected


def test_data_of_which_nothing_could_be_read_has_a_page_that_says_so(tmp_path: Path) -> None:
    report = Report([], [], [], [], [], ["data.train: 'x' does not exist"], ["give a folder"])
    write_page(tmp_path, report, None, "digits", Reporter())
    text = Page((tmp_path / "index.html").read_text("utf-8")).text
    assert "Training would refuse this data" in text
    assert "give a folder" in text


def test_sheets_of_an_earlier_check_go_and_other_files_stay(tmp_path: Path) -> None:
    written(tmp_path, report_of(["cat", "dog"]))
    (tmp_path / "sheets" / "mine.png").write_bytes(b"mine")
    written(tmp_path, report_of(["cat", "cat"]))
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["0000-cat.png", "mine.png"]


def test_a_report_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        written(tmp_path / "file" / "below", report_of(["cat"]))


def test_sheet_names_are_unique_and_harmless() -> None:
    assert sheet_name(3, "cat") == "0003-cat.png"
    assert sheet_name(4, "../猫") == "0004.png"
    assert sheet_name(5, "a/b\\c:d") == "0005-a-b-c-d.png"
