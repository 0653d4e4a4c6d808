"""Ledger of the comparisons that each test image took part in."""

import pytest

from transfercli.errors import ArtefactError
from transfercli.runs.test_ledger import LedgerImage, TestLedger, read_test_ledger


def image(number, **more):
    return LedgerImage(f"p{number}", f"f{number}", **more)


def test_a_ledger_is_read_as_it_was_written(tmp_path):
    assert read_test_ledger(tmp_path) is None
    images = [image(1, asked=2, spent=1e-05, run="20260101-000000-abc", level=0.1 + 0.2), image(2)]
    TestLedger(images).write(tmp_path)
    ledger = read_test_ledger(tmp_path)
    assert [ledger.find(f"p{number}", "") for number in (1, 2)] == images
    first = (tmp_path / "test-ledger.csv").read_bytes()
    TestLedger(reversed(images)).write(tmp_path)
    assert (tmp_path / "test-ledger.csv").read_bytes() == first


def test_an_image_whose_decoded_pixels_changed_is_found_by_its_file_and_a_new_one_was_never_asked():
    known = image(1, asked=3, spent=0.01)
    ledger = TestLedger([known])
    assert ledger.find("other pixels", "f1") == known
    assert ledger.find("p1", "saved again") == known
    assert ledger.find("p2", "f2") == image(2)


def test_comparisons_add_up_except_those_of_promoted_runs():
    found = image(1)
    for run, level in (("a", 0.01), ("b", 0.02), ("c", 0.004)):
        found = found.compared(run, level, promoted={"b"})
    assert found.asked == 3
    assert found.total({"b"}) == pytest.approx(0.014)
    assert found.total({"b", "c"}) == pytest.approx(0.01)  # the log has decided about the last one meanwhile


def test_the_same_challenger_again_is_not_one_more_comparison():
    once = image(1).compared("a", 0.01, set())
    assert once.compared("a", 0.02, set()) == once


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pixels,asked\n",
        "pixels,sha256,asked,spent,run,level\np1,f1,1\n",
        "pixels,sha256,asked,spent,run,level\np1,f1,one,0,,0\n",
        "pixels,sha256,asked,spent,run,level\np1,f1,1,-0.1,,0\n",
        "pixels,sha256,asked,spent,run,level\np1,f1,1,nan,,0\n",
        "pixels,sha256,asked,spent,run,level\np1,f1,1,0.1,../x,0\n",
        "pixels,sha256,asked,spent,run,level\np1,f1,1,1e308,,0\n",
        "pixels,sha256,asked,spent,run,level\np1,f1,1,0,,1.5\n",
        f"pixels,sha256,asked,spent,run,level\np1,f1,{'9' * 400},0,,0\n",
    ],
)
def test_a_damaged_ledger_is_an_error_and_not_an_unused_budget(tmp_path, text):
    (tmp_path / "test-ledger.csv").write_text(text)
    with pytest.raises(ArtefactError, match="test-ledger"):
        read_test_ledger(tmp_path)
