from types import SimpleNamespace

import pytest

from transfercli.evaluation.verdict import judge


def compared(low, gain, high):
    return SimpleNamespace(
        metric="accuracy",
        champion=0.8,
        challenger=0.8 + gain,
        gain=gain,
        low=low,
        high=high,
        images=60,
        detectable=0.12,
    )


@pytest.mark.parametrize(
    ("low", "gain", "high", "min_gain", "decision"),
    [
        (0.01, 0.05, 0.09, 0.0, "promoted"),
        (0.01, 0.05, 0.09, 0.05, "promoted"),
        (0.01, 0.05, 0.09, 0.06, "kept"),
        (0.0, 0.05, 0.10, 0.0, "kept"),
        (-0.02, 0.0, 0.02, 0.0, "kept"),
        (-0.10, -0.05, 0.0, 0.0, "kept"),
        (-0.10, -0.05, -0.01, 0.0, "rejected"),
    ],
)
def test_a_gain_must_be_sure_and_large_enough_and_a_loss_sure(low, gain, high, min_gain, decision):
    assert judge(compared(low, gain, high), [], min_gain).decision == decision


def test_without_a_champion_the_first_that_meets_its_gates_is_one():
    assert judge(None, [], 0.0).decision == "first"


@pytest.mark.parametrize("against", [None, compared(0.01, 0.05, 0.09)])
def test_a_gate_that_is_not_met_rejects_whatever_was_gained(against):
    verdict = judge(against, ["accuracy is 0.85, wanted >= 0.9"], 0.0)
    assert verdict.decision == "rejected"
    assert "accuracy is 0.85" in verdict.reason


def test_no_gain_says_what_gain_these_images_could_have_shown():
    assert "0.1200" in judge(compared(-0.02, 0.0, 0.02), [], 0.0).reason
