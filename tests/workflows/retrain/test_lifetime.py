"""The error rate that all nights with the same test images share, by the real program and from its files."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.retrain.nights import Nights, fails_with, write_config
from transfercli.data.dataset import Record
from transfercli.data.manifest import write_manifest, write_pixels
from transfercli.errors import ArtefactError, Interrupted
from transfercli.evaluation.statistics.alpha_spending import NightLimit
from transfercli.runs import decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.test_ledger import LedgerImage, TestLedger, read_test_ledger
from transfercli.workflows.retrain.ledger import fresh_start, ledger_of
from transfercli.workflows.retrain.lifetime import budget_warnings


def charged(nights: Nights) -> list[LedgerImage]:
    """The images in the ledger that took part in a comparison."""
    ledger = read_test_ledger(nights.experiment)
    return [image for image in ledger.images if image.asked] if ledger else []


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def compared(run: str, level: float, decision: str = "kept") -> Decision:
    return Decision(decision, "", "a", run, facts={"comparison": {"lifetime": {"alpha": level}}})


@pytest.mark.slow
def test_each_comparison_is_charged_once_to_its_test_images_also_after_kills(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.workflows.retrain import comparison
    from transfercli.workflows.retrain import retrain as module

    nights.night()
    assert read_test_ledger(nights.experiment) is None  # a first champion is compared with nothing
    nights.add("5", 40, 60)
    with monkeypatch.context() as patched:  # before an answer to a test image is known
        patched.setattr(comparison, "evaluate_split", fails_with(Interrupted(15)))
        with pytest.raises(Interrupted):
            nights.night()
    before = charged(nights)
    with monkeypatch.context() as patched:  # after the decision, before it is logged
        patched.setattr(module.decisions, "append", fails_with(Interrupted(15)))
        patched.setattr(module.champions, "promote_run", fails_with(Interrupted(15)))
        with pytest.raises(Interrupted):
            nights.night()
    assert charged(nights) == before
    result = nights.night()
    assert charged(nights) == before
    lifetime = result["comparison"]["lifetime"]
    assert len(before) == result["comparison"]["images"]
    run = Path(result["challenger"]).name
    assert {(image.asked, image.spent, image.run, image.level) for image in before} == {(1, 0, run, lifetime["alpha"])}
    assert 0 < lifetime["alpha"] <= 0.025
    assert set(lifetime["validation"]) == {"images", "p_value"}
    assert lifetime["spent"] == (0 if result["decision"] == "promoted" else lifetime["alpha"])
    assert lifetime["spent"] + lifetime["left"] == pytest.approx(0.05)
    assert decisions.read(nights.experiment)[-1].facts["comparison"]["lifetime"] == lifetime


@pytest.mark.slow
def test_a_clear_gain_is_promoted_and_spends_nothing_and_new_images_were_never_asked(nights: Nights) -> None:
    first = nights.night()
    for label, name in (("6", "six"), ("7", "seven")):
        (nights.images / label).rename(nights.images / name)
    promoted = nights.night()
    assert promoted["decision"] == "promoted", promoted["reason"]
    assert (promoted["former"], promoted["champion"]) == (first["champion"], promoted["challenger"])
    assert promoted["comparison"]["lifetime"]["p_value"] <= promoted["comparison"]["lifetime"]["alpha"]
    assert promoted["comparison"]["lifetime"]["spent"] == 0
    nights.add("5", 40, 100)
    result = nights.night()
    lifetime = result["comparison"]["lifetime"]
    known = {image.pixels for image in charged(nights) if image.asked == 2}
    assert 0 < len(known) < result["comparison"]["images"]
    assert lifetime["asked"] == pytest.approx(1 + len(known) / result["comparison"]["images"], abs=0.06)
    assert lifetime["left"] == pytest.approx(0.05 - lifetime["spent"])
    audit = result["audit"]
    assert audit["images"] + result["comparison"]["images"] == result["test"]["images"] >= 50
    assert audit["images"] > 0
    assert audit["interval"][0] <= audit["champion"] <= audit["interval"][1]
    assert any("needs at least 50" in text for text in nights.reporter.warnings)  # of the first night


@pytest.mark.slow
def test_every_night_counts_alone_without_a_lifetime_confidence_and_without_an_audit_all_decide(
    nights: Nights, source: Any
) -> None:
    for label in "567":
        nights.add(label, 40, 80)
    write_config(nights, source[1]["run"], retrain={"audit": 0.0, "promote": {"lifetime_confidence": None}})
    assert "audit" not in nights.night()
    nights.add("5", 80, 90)
    result = nights.night()
    assert "lifetime" not in result["comparison"]
    assert result["comparison"]["images"] == result["test"]["images"]
    assert len(charged(nights)) == result["comparison"]["images"]
    assert {(image.asked, image.total(())) for image in charged(nights)} == {(1, 0)}
    write_config(nights, source[1]["run"], retrain={"audit": 0.5})
    nights.add("5", 90, 99)
    later = nights.night()
    assert later["audit"]["images"] <= later["test"]["images"] - result["test"]["images"]


@pytest.mark.slow
def test_the_ledger_outlives_removed_runs(nights: Nights) -> None:
    nights.night()
    for last in (50, 60):
        nights.add("5", 40, last)
        result = nights.night()
    for run in nights.experiment.glob("2*"):
        if run.name not in (Path(result["champion"]).name, Path(result["challenger"]).name):
            shutil.rmtree(run)
    nights.add("5", 60, 70)
    assert nights.night()["comparison"]["lifetime"]["asked"] > 2


def test_a_lost_ledger_counts_every_logged_comparison_for_every_image(tmp_path: Path) -> None:
    log = [Decision("first", "", "a", "a"), compared("b", 0.01), compared("c", 0.02, "promoted"), compared("d", 0.004)]
    images = [LedgerImage("p1", "f1"), LedgerImage("p2", "f2")]
    found = [ledger_of(tmp_path, log, images).find(image.pixels, image.sha256) for image in images]
    assert [(image.asked, image.spent) for image in found] == [(3, pytest.approx(0.014))] * 2
    TestLedger().write(tmp_path)
    assert ledger_of(tmp_path, log, images).find("p1", "f1").asked == 0
    (tmp_path / "test-ledger.csv").write_text("damaged")
    with pytest.raises(ArtefactError):
        ledger_of(tmp_path, log, images)


def test_an_experiment_of_an_earlier_version_starts_afresh_and_says_so_once(tmp_path: Path) -> None:
    old = Decision("kept", "", "a", "b", facts={"comparison": {"metric": "accuracy", "images": 40}})
    log = [Decision("first", "", "a", "a"), old, old]
    assert ledger_of(tmp_path, log, [LedgerImage("p", "f")]).find("p", "f").asked == 0
    (text,) = fresh_start(log)
    assert text.startswith("2 earlier comparisons of this experiment had no limit")
    assert list(fresh_start([*log, compared("c", 0.01)])) == []
    assert list(fresh_start(log[:1])) == []


def test_test_images_of_earlier_comparisons_have_decided_although_there_was_no_ledger(tmp_path: Path) -> None:
    """Runs `a` and `c` are there, `b` was removed, and `d` is damaged; only `a` knows the pixels of its images."""
    for run, tested in (("a", ("1", "2")), ("c", ("2", "3"))):
        folder = RunFolder(tmp_path / run)
        folder.path.mkdir()
        folder.labels.write_text('["rose", "tulip"]')
        records = [Record(name, sha256(f"f{name}"), "rose", "test") for name in tested]
        write_manifest(folder.dataset, [*records, Record("t", sha256("ft"), "rose", "train")])
    write_pixels(RunFolder(tmp_path / "a").pixels, {sha256(f"f{name}"): sha256(f"p{name}") for name in "12t"})
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "dataset.csv").write_text("damaged")
    old = {"comparison": {"metric": "accuracy"}}
    log = [Decision("first", "", "a", "a"), *(Decision("kept", "", "a", run, facts=old) for run in "bcd")]
    ledger = ledger_of(tmp_path, log, [])
    names = ("1", "2", "3", "t", "new")
    assert [ledger.find(sha256(f"p{name}"), sha256(f"f{name}")).asked for name in names] == [3, 3, 3, 0, 0]
    assert {image.spent for image in ledger.images} == {0}
    assert ledger.find(sha256("p1"), "saved again").asked == 3
    assert ledger_of(tmp_path, log[:1], []).images == []


def test_a_damaged_ledger_is_found_before_the_training(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.workflows.retrain import retrain as module

    monkeypatch.setattr(module, "train_and_compare", fails_with(AssertionError("trained")))
    nights.experiment.mkdir(parents=True)
    (nights.experiment / "test-ledger.csv").write_text("damaged")
    with pytest.raises(ArtefactError, match="test-ledger"):
        nights.night()


@pytest.mark.parametrize("facts", [{"comparison": []}, {"comparison": {"lifetime": 3}}, {"comparison": {}}])
def test_damaged_facts_in_the_log_are_no_comparison(tmp_path: Path, facts: dict[str, Any]) -> None:
    log = [Decision("kept", "", "a", "b", facts=facts)]
    assert ledger_of(tmp_path, log, [LedgerImage("p", "f")]).find("p", "f").asked == 0


def test_when_little_is_left_a_warning_says_what_is_needed_and_what_renews_it() -> None:
    assert list(budget_warnings(NightLimit(0.95, 0.001, 300, 0.0439, 320), promoted=False)) == []
    (text,) = budget_warnings(NightLimit(0.95, 0.001, 300, 0.045, 320), promoted=False)
    assert text == (
        "the 320 deciding test images have decided 300 comparisons: 8.0% of the error rate of all nights"
        " (1 - lifetime_confidence) is left; a challenger must now be right on at least 9 more of them (2.8%) and wrong"
        " on none besides; 269 new test images would renew half of it"
    )
    (text,) = budget_warnings(NightLimit(0.95, 0.0, 300, 0.05, 320), promoted=False)
    assert "no challenger can be promoted; 320 new test images" in text
