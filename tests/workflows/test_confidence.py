"""Messages of a training about its temperature and its abstention."""

from __future__ import annotations

from typing import Any

import pytest

from transfercli.config.schema import EvaluationConfig
from transfercli.evaluation.confidence.temperature import Scaling
from transfercli.evaluation.confidence.trust import Trust
from transfercli.reporting import Reporter
from transfercli.workflows.confidence import report_confidence, warn_of_abstention


class Told(Reporter):
    """A reporter that keeps its messages."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, message: str) -> None:
        self.lines.append(("info", message))

    def warning(self, message: str) -> None:
        self.lines.append(("warning", message))


def _config(**abstain: Any) -> EvaluationConfig:
    return EvaluationConfig.model_validate({"abstain": abstain} if abstain else {})


@pytest.mark.parametrize(
    "config, images, told",
    [
        (_config(accuracy=0.99), 298, "at least 299 answers without a mistake"),
        (_config(accuracy=1.0), 10_000, "by any number of images"),
        (_config(accuracy=1.0), None, "by any number of images"),
        (_config(accuracy=0.99), None, None),
        (_config(accuracy=0.99), 299, None),
        (_config(coverage=0.9), 3, None),
        (_config(), 90, None),  # the default target is not asked for
        (EvaluationConfig.model_validate({"abstain": None}), 90, None),
    ],
)
def test_an_accuracy_that_so_few_images_can_never_promise_is_warned_of(
    config: EvaluationConfig, images: int | None, told: str | None
) -> None:
    reporter = Told()
    warn_of_abstention(config, images, reporter)
    assert [kind for kind, _ in reporter.lines] == ["warning"] * bool(told)
    assert told is None or told in reporter.lines[0][1]


def test_a_training_says_what_became_of_the_temperature_and_of_the_promise() -> None:
    reporter = Told()
    used, unused = Scaling(1.5, 0.02, 0.005), Scaling(1.1, 0.001, 0.005)
    report_confidence(Trust(1.5, {"accuracy": 0.9}, 0.7, scaling=used), _config(accuracy=0.9), reporter)
    report_confidence(Trust(1.0, {"accuracy": 0.9}, None, None, 0.85, unused), _config(accuracy=0.9), reporter)
    report_confidence(Trust(1.0, {"accuracy": 0.99}, None, scaling=unused), _config(), reporter)
    kinds, texts = zip(*reporter.lines, strict=True)
    assert kinds == ("info", "info", "warning", "info", "info")
    assert "temperature 1.500 is used: its gain in cross-validated log loss is +0.0200" in texts[0]
    assert "probabilities are left as they are: of temperature 1.100, its gain" in texts[1]
    assert "accuracy 0.85 is the most that can be promised" in texts[2]
    assert "evaluation.abstain.accuracy=0.85" in texts[2]
    assert "no accuracy of one half or more can be promised" in texts[4]


def test_after_a_refit_the_evidence_is_cross_validation_and_any_labelled_image_helps() -> None:
    reporter, trust = Told(), Trust(1.0, {"accuracy": 0.99}, None, None, 0.92, Scaling(1.1, 0.001, 0.005))
    report_confidence(trust, _config(accuracy=0.99), reporter, refitted=True)
    warn_of_abstention(_config(accuracy=0.99), 250, reporter, refitted=True)
    promised, before = (text for kind, text in reporter.lines if kind == "warning")
    assert "by cross-validation on all labelled images accuracy 0.92 is the most that can be promised" in promised
    assert "label more images, or set evaluation.abstain.accuracy=0.92" in promised
    assert "by 250 labelled images: that takes at least 299 answers" in before
    assert not any("validation images" in text or "data.validation" in text for text in (promised, before))


def test_labels_without_a_threshold_of_their_own_are_named() -> None:
    import numpy as np

    from transfercli.evaluation.multilabel.trust import fit_label_trust
    from transfercli.workflows.confidence import report_label_confidence

    rng, reporter = np.random.default_rng(0), Told()
    targets = (rng.random((80, 3)) < [0.4, 0.3, 0.0]).astype(int)
    logits = rng.normal(size=(80, 3)) + 2 * targets
    config = EvaluationConfig.model_validate({"thresholds": {"precision": 0.9}, "abstain": {"accuracy": 0.99}})
    report_label_confidence(fit_label_trust(logits, targets, ("dog", "cat", "yeti"), config), config, reporter)
    warnings = [text for kind, text in reporter.lines if kind == "warning"]
    assert warnings[0].startswith("evaluation.thresholds: yeti: no image with the label among the held-out images")
    assert "always be unsure of dog, cat, yeti: no confidence can promise accuracy 0.99" in warnings[-1]
    assert any(kind == "info" and text.startswith("calibration: ") for kind, text in reporter.lines)


def test_thresholds_of_labels_are_reported_with_their_range_and_promises() -> None:
    import numpy as np

    from transfercli.evaluation.multilabel.trust import LabelTrust, fit_label_trust
    from transfercli.workflows.confidence import report_label_confidence

    rng, reporter = np.random.default_rng(0), Told()
    labels = ("a", "b", "c", "d", "e", "f", "yeti")
    targets = (rng.random((80, 7)) < [*[0.4] * 6, 0.0]).astype(int)
    config = EvaluationConfig.model_validate({"thresholds": {"recall": 0.9}, "abstain": None})
    trust = fit_label_trust(rng.normal(size=(80, 7)) + 2 * targets, targets, labels, config)
    report_label_confidence(trust, config, reporter)
    (said,) = (text for kind, text in reporter.lines if kind == "info" and "evaluation.thresholds" in text)
    lowest, highest, first = trust.thresholds[:6].min(), trust.thresholds[:6].max(), trust.choices[0]
    assert said.startswith(
        f"evaluation.thresholds: chosen for recall 0.9, from {lowest:.4f} to {highest:.4f}: a {first.threshold:.4f}"
        f" ({first.promised_precision:.3f}, {first.promised_recall:.3f}), b "
    )
    assert "and 1 more; in brackets, the precision and recall that new images have at least" in said
    assert "yeti" not in said  # has a warning
    plain = Told()
    report_label_confidence(LabelTrust.without_fit(labels), config, plain)
    assert plain.lines == []


def test_the_threshold_of_two_classes_is_reported_with_its_promise() -> None:
    import numpy as np

    from transfercli.evaluation.confidence.trust import fit_trust

    rng, reporter = np.random.default_rng(0), Told()
    targets = (rng.random(200) < 0.3).astype(int)
    logits = np.column_stack([np.zeros(200), rng.normal(size=200) + 3 * targets - 2])
    trust = fit_trust(logits, targets, None, rule={"recall": 0.95})
    report_confidence(trust, _config(), reporter)
    assert reporter.lines[-1][0] == "info"
    assert "the second class is answered from a probability of" in reporter.lines[-1][1]
    without = fit_trust(logits, np.zeros(200, int), None, rule="f1")
    report_confidence(without, _config(), reporter)
    kind, text = reporter.lines[-1]
    assert kind == "warning"
    assert text.startswith("evaluation.threshold: no image with the label (of the second class) among the held-out")
    assert "the threshold is 0.5000" in text
