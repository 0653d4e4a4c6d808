"""Messages of a training about its confidence: calibration, thresholds, and what abstention can promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of

if TYPE_CHECKING:
    from transfercli.config.schema import EvaluationConfig
    from transfercli.evaluation.confidence.temperature import Scaling
    from transfercli.evaluation.confidence.thresholds import Choice
    from transfercli.evaluation.confidence.trust import Trust
    from transfercli.evaluation.multilabel.trust import LabelTrust


def warn_of_abstention(
    config: EvaluationConfig, images: int | None, reporter: Reporter, *, refitted: bool = False
) -> None:
    """Warn before a training if so many held-out images can never promise the accuracy that the config asks for.

    images: validation images, or with `refitted` all labelled ones, whose predictions are out of fold; None if their
    number is not known yet. The default target is not asked for: `report_confidence` says what became of it.
    """
    from transfercli.evaluation.confidence.abstention import fewest_images

    target = config.abstain.accuracy if config.abstain and _is_asked_for(config) else None
    if target is None:
        return
    if target == 1:
        reason = "by any number of images"
    elif images is not None and images < fewest_images(target):
        received = counted(images, "labelled image" if refitted else "validation image")
        reason = f"by {received}: that takes at least {fewest_images(target)} answers without a mistake"
    else:
        return
    reporter.warning(
        f"evaluation.abstain: accuracy {target:g} cannot be promised {reason}; the model will always abstain;"
        f" {_mend(refitted)}.accuracy lower"
    )


def report_confidence(trust: Trust, config: EvaluationConfig, reporter: Reporter, *, refitted: bool = False) -> None:
    """Report the decision about the temperature, and warn if the model always abstains.

    It is no warning if that is the default target, which the config does not ask for. refitted: `trust` is of
    predictions out of fold of all labelled images, not of the validation images.
    """
    if trust.scaling is not None:
        reporter.info(_about_temperature(trust.scaling))
    if trust.choice is not None:
        (reporter.warning if trust.choice.reason else reporter.info)(_about_threshold(trust.choice))
    if reason := why_always_abstaining(trust, refitted=refitted):
        value = "" if trust.possible is None else f".accuracy={trust.possible:g}"
        (reporter.warning if _is_asked_for(config) else reporter.info)(
            f"predict --abstain will always abstain: {reason}; {_mend(refitted)}{value}"
        )


def check_two_classes(config: EvaluationConfig, labels: Sequence[str]) -> None:
    """Raise `ConfigError` if `evaluation.threshold` is set and there are not two classes."""
    if config.threshold is not None and len(labels) != 2:
        raise ConfigError(
            f"evaluation.threshold needs two classes, and the data has {len(labels)}",
            "remove the key: of more classes the most probable one is answered",
        )


def report_label_confidence(trust: LabelTrust, config: EvaluationConfig, reporter: Reporter) -> None:
    """Report calibration and thresholds of the labels; warn of thresholds without evidence and of labels always unsure.

    The latter is no warning if that is the default target, which the config does not ask for.
    """
    for source, text in CALIBRATED.items():
        names = [label for label, one in zip(trust.labels, trust.scalings, strict=False) if one.source == source]
        if names:
            reporter.info(f"calibration: {text}: {first_of(names, SHOWN_LABELS)}")
    _report_thresholds(trust, reporter)
    _warn_of_thresholds(trust, reporter)
    if trust.abstention is None:
        return
    rows = zip(trust.labels, trust.abstention.confidences, trust.abstention.possible, strict=True)
    unsure = {label: possible for label, confidence, possible in rows if confidence is None}
    if unsure:
        most = [f"{label} {possible:g}" for label, possible in unsure.items() if possible is not None]
        (reporter.warning if _is_asked_for(config) else reporter.info)(
            f"predict --abstain will always be unsure of {first_of(list(unsure), SHOWN_LABELS)}: no confidence can"
            f" promise accuracy {trust.abstention.target['accuracy']:g} on new images with 95% certainty"
            f"{'; the most that can be promised: ' + first_of(most, SHOWN_LABELS) if most else ''}; {_mend(False)}"
        )


# Decision about a label's calibration -> its description.
CALIBRATED = {
    "own": "each has a map of its own",
    "common": "these have the map of all labels",
    "none": "probabilities are left as they are, as no map improved those of held-out images",
}
SHOWN_LABELS = 5  # in a message


def _report_thresholds(trust: LabelTrust, reporter: Reporter) -> None:
    """Report the thresholds that a rule chose and what they promise; a label without evidence has a warning instead."""
    from transfercli.evaluation.confidence.thresholds import rule_in_words

    chosen = {
        label: choice for label, choice in zip(trust.labels, trust.choices, strict=False) if choice.recall is not None
    }
    if trust.rule is None or not chosen:
        return
    thresholds = [choice.threshold for choice in chosen.values()]
    listed = [
        f"{label} {choice.threshold:.4f} ({choice.promised_precision or 0.0:.3f}, {choice.promised_recall or 0.0:.3f})"
        for label, choice in chosen.items()
    ]
    reporter.info(
        f"evaluation.thresholds: chosen for {rule_in_words(trust.rule)}, from {min(thresholds):.4f} to"
        f" {max(thresholds):.4f}: {first_of(listed, SHOWN_LABELS)}; in brackets, the precision and recall that new"
        " images have at least, with 95% certainty"
    )


def _warn_of_thresholds(trust: LabelTrust, reporter: Reporter) -> None:
    reasons: dict[str, list[str]] = {}
    for label, choice in zip(trust.labels, trust.choices, strict=False):
        if choice.reason:
            reasons.setdefault(choice.reason, []).append(label)
    for reason, names in reasons.items():
        policy = "the threshold is 0.5" if reason.startswith("no image") else "the threshold is that of the highest"
        reporter.warning(
            f"evaluation.thresholds: {first_of(names, SHOWN_LABELS)}: {reason} among the held-out images; {policy};"
            " label more images, or set evaluation.thresholds"
        )


def why_always_abstaining(trust: Trust, *, refitted: bool = False) -> str:
    """Return the reason why a model abstains from every image, or ""; refitted: as in `report_confidence`."""
    if trust.target is None or trust.confidence is not None:
        return ""
    reason = (
        f"no confidence threshold can promise accuracy {trust.target['accuracy']:g} on new images with 95% certainty"
    )
    evidence = "cross-validation on all labelled images" if refitted else "the validation images"
    if trust.possible is not None:
        reason += f"; by {evidence} accuracy {trust.possible:g} is the most that can be promised"
    elif trust.scaling is not None:  # else the run is of an earlier version, which may not have recorded it
        reason += f"; by {evidence} no accuracy of one half or more can be promised"
    return reason


def without_default_target(config: EvaluationConfig) -> EvaluationConfig:
    """Return the config of a run, which holds every default, so that the default target does not count as asked for."""
    result = config.model_copy()
    if config.abstain == type(config)().abstain:
        result.model_fields_set.discard("abstain")
    return result


def _mend(refitted: bool) -> str:
    more = "label more images" if refitted else "add validation images (data.validation)"
    return f"{more}, or set evaluation.abstain"


def _is_asked_for(config: EvaluationConfig) -> bool:
    return "abstain" in config.model_fields_set


def _about_threshold(choice: Choice) -> str:
    if choice.reason:
        return (
            f"evaluation.threshold: {choice.reason} (of the second class) among the held-out images; the threshold is"
            f" {choice.threshold:.4f}; label more images, or set evaluation.threshold"
        )
    precision, recall = choice.promised_precision or 0.0, choice.promised_recall or 0.0
    return (
        f"evaluation.threshold: the second class is answered from a probability of {choice.threshold:.4f}: precision"
        f" {choice.precision or 0.0:.3f} and recall {choice.recall or 0.0:.3f} on the held-out images; with 95%"
        f" certainty at least {precision:.3f} and {recall:.3f} on new ones"
    )


def _about_temperature(scaling: Scaling) -> str:
    if scaling.standard_error is None:
        return "calibration: probabilities are left as they are, because a single image shows no gain"
    gain = f"{scaling.gain:+.4f} (standard error {scaling.standard_error:.4f})"
    measured = f"its gain in cross-validated log loss is {gain}"
    if scaling.scaled:
        return f"calibration: temperature {scaling.fitted:.3f} is used: {measured}"
    return f"calibration: probabilities are left as they are: of temperature {scaling.fitted:.3f}, {measured}"
