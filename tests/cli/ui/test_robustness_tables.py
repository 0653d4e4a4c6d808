"""Tables of `evaluate --corrupt` and `--tta`."""

from __future__ import annotations

import pytest

from transfercli.cli.ui.robustness_tables import show_robustness, show_tta

CORRUPTED = {
    "corruptions": [
        {"corruption": name, "severity": severity, "accuracy": accuracy - 0.1 * severity, "changed": 0.1 * severity}
        for name, accuracy in (("blur", 0.9), ("noise", 0.8))
        for severity in (1, 2)
    ],
    "errors": {"blur": 0.25, "noise": 0.35},
    "mean_corruption_error": 0.3,
    "relative_corruption_error": 0.2,
    "clean_error": 0.1,
}


def test_results_that_were_not_requested_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_robustness(None)
    show_tta(None, {}, ())
    assert capsys.readouterr().out == ""


def test_each_corruption_has_a_row_of_accuracies_its_error_and_the_mean_share_of_changed_labels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_robustness(CORRUPTED)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["corruption", "1", "2", "error", "changed"] in rows
    assert ["blur", "0.8000", "0.7000", "0.2500", "0.1500"] in rows
    assert ["noise", "0.7000", "0.6000", "0.3500", "0.1500"] in rows
    assert rows[-1][:6] == ["mean", "corruption", "error", "0.3000:", "+0.2000", "on"]


@pytest.mark.parametrize("interval, shown", [([-0.01, 0.03], ["-0.0100", "to", "+0.0300"]), (None, ["-"])])
def test_a_gain_has_its_interval_or_a_dash(interval, shown, capsys: pytest.CaptureFixture[str]) -> None:
    gain = {"value": 0.02, "interval": interval}
    found = {"views": 6, "mirrored": False, "metrics": {"accuracy": 0.92}, "gain": {"accuracy": gain}}
    show_tta(found, {"accuracy": 0.9}, ["accuracy"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split() == ["accuracy", "0.9000", "0.9200", "0.0200", *shown]
