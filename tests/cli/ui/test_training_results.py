"""Texts on the results of a training."""

from __future__ import annotations

from transfercli.cli.ui.training_results import curve, of_images


def test_a_curve_leaves_out_epochs_without_a_value() -> None:
    assert curve([None, 2.0, 1.0]) == "2.0000 █▁ 1.0000"
    assert curve([None]) == "-"


def test_metrics_of_a_training_say_which_images_they_are_of() -> None:
    other, same = {"case": "another domain", "text": ""}, {"case": "same domain", "text": ""}
    of_all = "cross-validated on 250 training and validation images"
    assert of_images("val_loss", 250, other) == f" ({of_all}, not of the target's domain)"
    assert of_images("accuracy", 250, other) == " (not of the target's domain)"
    assert of_images("val_accuracy", 250, same) == f" ({of_all})"
    related = {"case": "related domains", "text": "", "tried": [{}] * 4}
    assert of_images("val_loss", 250, related) == f" ({of_all}, the best of 4 that were tried on them)"
    assert of_images("val_accuracy", None, None) == of_images("accuracy", 250, None) == ""
