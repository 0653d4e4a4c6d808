"""Tables on a terminal that is too narrow for them, and where there is none."""

from __future__ import annotations

import pytest

from transfercli.cli.ui.tables import print_pairs, print_table, print_text

HEADER = ("run", "created", "val accuracy", "note")
ROWS = [
    ("digits-target/20261124-205533-22a521", "2026-11-24", 0.5, "a rather long note/on this.png"),
    ("b", "", 1, "-"),
]


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int | None) -> list[str]:
    monkeypatch.setattr("sys.stdout.isatty", lambda: columns is not None, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns or 40))
    print_table(HEADER, ROWS, droppable=("created", "note"))
    return capsys.readouterr().out.splitlines()


def test_a_table_is_whole_where_it_is_not_for_a_terminal_and_where_there_is_room(capsys, monkeypatch) -> None:
    whole = printed(capsys, monkeypatch, None)
    assert whole[0] == f"{'run':<36}  created     val accuracy  note"
    assert whole[2].endswith("22a521  2026-11-24        0.5000  a rather long note/on this.png")
    assert printed(capsys, monkeypatch, len(whole[2])) == whole


def test_a_narrow_terminal_first_gets_names_on_several_lines(capsys, monkeypatch) -> None:
    told = printed(capsys, monkeypatch, 90)
    assert told[:2] == [f"{'':<36}{'':<12}       val", f"{'run':<36}  created     accuracy  note"]
    assert told[3].endswith("22a521  2026-11-24    0.5000  a rather long note/on this.png")


def test_then_columns_go_in_their_order_as_few_as_do(capsys, monkeypatch) -> None:
    told = printed(capsys, monkeypatch, 80)
    assert told[3] == f"{ROWS[0][0]}    0.5000  a rather long note/on this.png"
    assert printed(capsys, monkeypatch, 50)[3] == f"{ROWS[0][0]}    0.5000"


def test_then_texts_lose_their_middle_but_numbers_and_the_rows_names_never(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for columns, note in ((62, "a rather l…n this.png"), (10, "a ra…png")):
        monkeypatch.setenv("COLUMNS", str(columns))
        print_table(("run", "note", "n"), [(ROWS[0][0], ROWS[0][3], 1)])
        *_, row = capsys.readouterr().out.splitlines()
        assert row == f"{ROWS[0][0]}  {note}  1"


def test_a_matrix_cuts_names_of_classes_above_numbers(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "24")
    print_table(("true class", "chrysanthemum", "dandelion"), [("rose", 12, 3)])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 24


def test_a_class_name_with_a_newline_stays_in_its_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("", "a\nb"), [("a\nb", 3)])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_sentences_and_values_are_broken_at_words_but_commands_and_paths_never(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    sentence = "the labelled images get the means and variances of the unlabelled ones"
    command, path = "transfercli evaluate runs/flowers/20261124-205533-22a521", "runs/" + "a" * 60
    print_pairs([("adaptation", sentence), ("next", command), ("report", path)])
    print_text(f"\n{sentence}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "adaptation  the labelled images get the",
        "            means and variances of the",
        "            unlabelled ones",
    ]
    assert lines[3:5] == [f"next        {command}", f"report      {path}"]
    assert lines[5:] == ["", "the labelled images get the means and", "variances of the unlabelled ones"]


def test_sentences_stay_whole_without_a_terminal(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    print_pairs([("adaptation", "many words " * 30)])
    assert len(capsys.readouterr().out.splitlines()) == 1
