import json
import os
import select
import signal
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from tests.listener import Listener
from transfercli.reporting import Reporter
from transfercli.workflows.retrain import notify
from transfercli.workflows.retrain.notify import run_hook, summary_lines, write_summary
from transfercli.workflows.retrain.results import RetrainResult

COMPARISON = {
    "metric": "accuracy",
    "champion": 0.8,
    "challenger": 0.9,
    "gain": 0.1,
    "interval": [0.02, 0.17],
    "images": 200,
}
RESULT = RetrainResult(
    "promoted",
    "significantly better",
    champion=Path("runs/exp/b"),
    challenger=Path("runs/exp/b"),
    former=Path("runs/exp/a"),
    comparison=COMPARISON,
    gates=[{"metric": "recall[a|b]", "op": ">=", "bound": 0.5, "value": 0.75, "passed": True}],
    changes={"added": 3, "removed": 0, "new_classes": ["<b>cat</b>"]},
)


def python(code):
    return [sys.executable, "-c", code]


def test_a_hook_gets_the_decision_on_its_stdin(tmp_path):
    listener, place = Listener(), tmp_path / "got.json"
    code = f"import sys; open({str(place)!r}, 'w').write(sys.stdin.read())"
    run_hook(python(code), RESULT, listener, allowed=True)
    assert json.loads(place.read_text()) == {"format": 1} | RESULT.as_json()
    assert listener.warnings == []


def test_a_hook_is_not_run_unless_allowed(tmp_path):
    listener, place = Listener(), tmp_path / "ran"
    run_hook(python(f"open({str(place)!r}, 'w')"), RESULT, listener, allowed=False)
    assert not place.exists()
    assert "--allow-hooks" in listener.warnings[0]


def test_a_hook_is_given_to_no_shell(tmp_path):
    listener, place = Listener(), tmp_path / "ran"
    run_hook([f"true; touch {place}"], RESULT, listener, allowed=True)
    assert not place.exists()
    assert "cannot be run" in listener.warnings[0]


def test_a_hook_that_fails_is_told_and_does_no_harm():
    listener = Listener()
    run_hook(python("import sys; sys.exit('no such channel')"), RESULT, listener, allowed=True)
    assert "no such channel" in listener.warnings[0]


def test_a_hook_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(notify, "HOOK_SECONDS", 0.2)
    listener = Listener()
    run_hook(python("import threading; threading.Event().wait()"), RESULT, listener, allowed=True)
    assert "was stopped" in listener.warnings[0]


def gone(process):
    """Whether a process that was killed is no more; it takes the kernel a moment."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    with os.fdopen(handle):
        return bool(select.select([handle], [], [], 60)[0])


def test_what_a_hook_started_is_ended_with_it(monkeypatch, tmp_path):
    monkeypatch.setattr(notify, "HOOK_SECONDS", 0.5)
    begun, listener = tmp_path / "begun", Listener()
    command = ["sh", "-c", f"sleep 300 & echo $! > {begun}; wait"]
    run_hook(command, RESULT, listener, allowed=True)
    assert "was stopped" in listener.warnings[0]
    assert gone(int(begun.read_text()))


def test_what_a_hook_leaves_behind_keeps_nobody_waiting(monkeypatch, tmp_path):
    monkeypatch.setattr(notify, "STDERR_SECONDS", 0.0)
    begun, listener = tmp_path / "begun", Listener()
    run_hook(["sh", "-c", f"sleep 300 & echo $! > {begun}"], RESULT, listener, allowed=True)
    os.kill(int(begun.read_text()), signal.SIGKILL)
    assert listener.warnings == []


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_hook_that_writes_a_lot_takes_no_memory(stream):
    listener = Listener()
    tracemalloc.start()
    try:
        run_hook(
            ["sh", "-c", f"head -c 64000000 /dev/zero >&{stream}; echo the end >&2; exit 3"],
            RESULT,
            listener,
            allowed=True,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert listener.warnings[0].endswith("the end")
    assert peak < 4_000_000


def test_a_hook_need_not_read_a_long_decision():
    listener = Listener()
    run_hook(["true"], replace(RESULT, reason="x" * 2**20), listener, allowed=True)
    assert listener.warnings == []


def test_a_summary_is_added_to_what_the_file_holds(tmp_path):
    place = tmp_path / "summary.md"
    place.write_text("# before\n")
    write_summary(place, "exp", RESULT, Reporter())
    text = place.read_text()
    assert text.startswith("# before\n## exp: promoted\n")
    assert "| 200 test images | 0.8000 | 0.9000 | +0.1000 | +0.0200 to +0.1700 |" in text
    assert "\nImages: 3 images added; 1 new class: '\\<b\\>cat\\</b\\>'\n" in text
    assert "\n- champion `exp/b`\n- former champion `exp/a`\n- challenger `exp/b`\n" in text
    assert "| accuracy | former champion | challenger | gain | interval |" in text
    assert "next:" not in text


def test_alerts_and_what_a_rejected_night_needs_stand_in_the_summary(tmp_path):
    figures = {"metric": "accuracy", "images": 200, "challenger": {"value": 0.9, "interval": [0.85, 0.94]}}
    alert = {"kind": "images_lost", "message": "class 'ro*se' is gone", "since": "2026-11-28T06:40:18Z"}
    runs = {"champion": Path("runs/exp/a"), "challenger": Path("runs/exp/b")}
    result = replace(RESULT, decision="rejected", **runs, figures=figures, alerts=[alert])
    write_summary(tmp_path / "s.md", "exp", result, Reporter())
    text = (tmp_path / "s.md").read_text()
    assert "**Alert images_lost**, since 2026-11-28: class 'ro\\*se' is gone\n" in text
    assert "- accuracy of the challenger 0.9000 (0.8500 to 0.9400), on 200 test images\n" in text
    assert "- next: `transfercli runs compare runs/exp/a runs/exp/b`\n" in text


def test_names_in_a_summary_stay_text(tmp_path):
    write_summary(tmp_path / "s.md", "exp", RESULT, Reporter())
    text = (tmp_path / "s.md").read_text()
    assert "<b>" not in text
    assert r"recall\[a\|b\]" in text


@pytest.mark.parametrize("comparison", [{}, COMPARISON])
def test_a_summary_that_cannot_be_written_is_a_warning(tmp_path, comparison):
    listener = Listener()
    write_summary(tmp_path / "no" / "s.md", "exp", replace(RESULT, comparison=comparison), listener)
    assert "summary" in listener.warnings[0]


def test_a_summary_has_the_audit_and_what_is_left_for_all_nights():
    lifetime = {"asked": 12.0, "p_value": 0.012, "alpha": 0.0005, "spent": 0.02, "left": 0.03}
    audit = {"images": 37, "metric": "accuracy", "champion": 0.9, "interval": [0.8, 0.95], "deciding": 0.93}
    comparison = {**RESULT.comparison, "lifetime": lifetime}
    text = "\n".join(summary_lines("c", replace(RESULT, comparison=comparison, audit=audit)))
    assert (
        "Audit: accuracy of the champion 0.9000 (0.8000 to 0.9500) on 37 test images that never decide, 0.9300 on those"
        " that do" in text
    )
    assert (
        "these test images have decided 12 comparisons; p-value 0.012, a promotion needs at most 0.0005 tonight; 60% of"
        " the error rate of all nights is left" in text
    )
    silent = {"images": 0, "metric": "accuracy", "champion": None, "interval": None, "deciding": None}
    assert "Audit" not in "\n".join(summary_lines("c", replace(RESULT, audit=silent)))
