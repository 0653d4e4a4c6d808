"""Watching of the champion: its answers to images that were added since it was trained, and their drift."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.data.label_sets import UNKNOWN
from transfercli.data.load import load_recorded_split
from transfercli.data.sources.folders import absolute
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import base_folder
from transfercli.errors import ArtefactError
from transfercli.evaluation.statistics.shift_tests import sample_indices
from transfercli.io.addresses import is_remote
from transfercli.runs.decisions import RETRAIN_DECISIONS, Decision, last_retrain_decision
from transfercli.runs.folder import RunFolder
from transfercli.workflows.answers import predict_split
from transfercli.workflows.learnt_images import learnt_records
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.retrain.alerts import (
    ALERTS,
    Alert,
    dated_alerts,
    drift_alert,
    held_alerts,
    logged_alerts,
    standing_alerts,
    unknown_classes_alert,
)
from transfercli.workflows.retrain.lost_images import Loss, image_counts, lost_images_alert
from transfercli.workflows.retrain.watched_images import AnsweredImage, Window, champion_fell, labels_contradict
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.config.schema import AlertConfig
    from transfercli.data.dataset import Dataset, Record
    from transfercli.evaluation.scoring import Predicted
    from transfercli.workflows.retrain.comparison import ChallengerResult

MOST_LEARNT = 2000  # new training and validation images that the champion answers: a random sample of more
_NEW = "new"

Content = tuple[str, str]  # SHA-256 and label of an image


@dataclass(frozen=True)
class TestedImages:
    """Test images that no compared model learnt from, and predictions of them.

    challenger: None if none was trained. Both are of the same images in the same order.
    """

    __test__ = False  # no test class, for pytest

    records: Sequence[Record]
    champion: Predicted
    challenger: Predicted | None = None


@dataclass(frozen=True)
class ChampionWatch:
    """The state of a night that alerts depend on.

    Attributes:
        champion: before the decision, None if there was none.
        dataset: the current images.
        log: all earlier decisions.
        loss: images that are gone, or None.
        drift: of the new images, or None if it was not measured.
    """

    champion: StoredRun | None
    dataset: Dataset
    rule: AlertConfig
    log: list[Decision]
    loss: Loss | None
    drift: dict[str, Any] | None

    def measured(self, result: ChallengerResult | None) -> dict[str, Any]:
        """Return the alerts that need the champion's model, as facts of a decision. result: None without a challenger.

        Reads and answers at most `MOST_LEARNT` images beside the test images.
        """
        if self.champion is None:
            return {ALERTS: []}
        if result is not None:
            tested: TestedImages | None = TestedImages(result.records, *result.predictions)
        else:
            tested = answer_tests(self.champion, self.dataset)
        alerts = [] if tested is None else self._of_images(self.champion, tested)
        alerts += filter(None, [drift_alert(self.drift, self.champion.label, self.rule.level)])
        return {ALERTS: [alert.as_json() for alert in alerts]}

    def _of_images(self, champion: StoredRun, tested: TestedImages) -> list[Alert]:
        """Return the alerts about images; those that the config turns off are not looked for.

        Images whose label a person decided take no part: with another label they are no new images, nobody need look
        at them again, and a model chose many of them, so its errors on them say nothing of its usual ones.
        """
        own = _contents(champion.images)
        of_tests = _answered_label_tests if champion.several else _answered_tests
        decided = self.dataset.corrections.contents if self.dataset.corrections else frozenset()
        answered = [
            (content, image)
            for content, image in of_tests(champion, self.dataset.root, tested)
            if content not in decided
        ]
        found: list[Alert | None] = []
        if self.rule.champion_fell:
            found.append(champion_fell(_windows(champion, answered, self.rule.level, self.log), champion.label))
        if self.rule.labels_contradict:
            new = [image for content, image in answered if content not in own]
            earlier = [image for content, image in answered if content in own]
            new += _answered_others(champion, self.dataset, decided)
            found.append(labels_contradict(new, earlier, champion.label, self.rule.level))
        return [alert for alert in found if alert]

    def completed(self, decision: Decision, experiment: Path) -> Decision:
        """Return the decision with all alerts; on an unchanged night, those that need the model are the last one's."""
        champion = RunFolder(experiment / decision.champion) if decision.champion else None
        last = last_retrain_decision(self.log)
        found: list[Alert | None] = [*logged_alerts(decision)]
        if ALERTS not in decision.facts:
            found += standing_alerts(last, champion.label if champion else None)
        elif self.champion is not None:
            images = {(image.path, image.label) for image in self.dataset.records}
            found += held_alerts(last, self.champion.label, images)
        if champion is not None:
            counts = image_counts(self.dataset.records, several=StoredRun(champion).several)
            found.append(unknown_classes_alert(champion.label, StoredRun(champion).labels, counts))
        found.append(lost_images_alert(self.loss))
        alerts = dated_alerts(filter(None, found), self.rule, last, decision.time)
        return replace(decision, facts=decision.facts | {ALERTS: [alert.as_json() for alert in alerts]})


def answer_tests(champion: StoredRun, dataset: Dataset) -> TestedImages | None:
    """Return the champion's answers to all test images that it did not learn from; None if there are none."""
    learnt = learnt_from(champion, reporter=champion.reporter)
    records = [image for image in dataset.records if image.split == "test" and not learnt.has(image.sha256)]
    if not records:
        return None
    labels = champion.labels + tuple(label for label in dataset.labels if label not in champion.labels)
    root, several = dataset.root, champion.several
    split = load_recorded_split(records, root, "test", labels, champion.reading, several=several)
    return TestedImages(records, predict_split(champion, split))


def _windows(
    champion: StoredRun,
    answered: Sequence[tuple[Content, AnsweredImage]],
    level: float,
    log: list[Decision],
) -> list[Window]:
    """Return the windows to test: images since the champion, and since the last challenger, at half the level each.

    So a slow fall adds up, and a sudden one is not diluted. The window of an alert that was reported on the last night
    is tested again, at the whole level, so that it is not forgotten because a few images arrive.
    """
    trained = next((e.challenger for e in reversed(log) if e.challenger and e.decision in RETRAIN_DECISIONS), None)
    reported = [
        str(alert.figures.get("added_since"))
        for alert in logged_alerts(last_retrain_decision(log))
        if alert.kind == "champion_fell" and alert.figures.get("run") == champion.label
    ]
    contents = {champion.folder.run_id: _contents(champion.images)}
    for run_id in (trained, *reported):
        run = RunFolder(champion.path.parent / str(run_id))
        if run_id and run_id not in contents and run.dataset.is_file():
            try:
                contents[run_id] = contents[champion.folder.run_id] | _contents(StoredRun(run).images)
            except ArtefactError:  # a damaged run only takes its window away
                continue
    starts = [run_id for run_id in contents if run_id not in reported]
    windows = []
    for run_id, known in contents.items():
        new = [image for content, image in answered if content not in known]
        earlier = [image for content, image in answered if content in known]
        windows.append(Window(run_id, new, earlier, level if run_id in reported else level / len(starts)))
    return [window for window in windows if window.new]


def _contents(images: Sequence[Record]) -> frozenset[Content]:
    return frozenset((image.sha256, image.label) for image in images if image.split)


def _answered_tests(champion: StoredRun, root: str, tested: TestedImages) -> Iterator[tuple[Content, AnsweredImage]]:
    """Yield the content of each test image of a class that the champion knows, and the models' errors on it."""
    record_of = {(record.path, record.label): record for record in tested.records}
    labels = tested.champion.labels
    models: tuple[Any, ...] = (tested.champion, tested.challenger)  # of one class per image
    for row, (path, target) in enumerate(zip(tested.champion.paths, tested.champion.targets, strict=True)):
        record = record_of[path, labels[target]]
        if record.label not in champion.labels:
            continue
        wrong = [None if model is None else bool(model.predicted[row] != target) for model in models]
        yield (record.sha256, record.label), _answered(record, root, bool(wrong[0]), wrong[1])


def _answered_label_tests(
    champion: StoredRun, root: str, tested: TestedImages
) -> Iterator[tuple[Content, AnsweredImage]]:
    """Yield the content of each test image with each known label that the champion has, and the models' errors on it.

    The answers to one image are a group.
    """
    record_of = {record.path: record for record in tested.records}
    yield from (
        ((record_of[one.path].sha256, record_of[one.path].label), one)
        for one in _label_answers(champion, root, record_of, tested.champion, tested.challenger)
    )


def _label_answers(
    champion: StoredRun, root: str, record_of: Mapping[str, Record], answers: Predicted, others: Predicted | None
) -> Iterator[AnsweredImage]:
    """Yield the answers about each known label of images. answers: of the champion; others: of the challenger."""
    columns = [index for index, label in enumerate(answers.labels) if label in champion.labels]
    models: tuple[Any, ...] = (answers, others)  # of several labels per image
    for row, path in enumerate(answers.paths):
        record = record_of[path]
        image = replace(
            _answered(record, root, False, None), group=record.group or f"image {path}", labels=record.label
        )
        for column in columns:
            if answers.targets[row, column] == UNKNOWN:
                continue
            has = answers.targets[row, column] == 1
            wrong = [None if model is None else bool(model.answered[row, column] != has) for model in models]
            label = answers.labels[column] if has else f"not {answers.labels[column]}"
            yield replace(image, label=label, champion_wrong=bool(wrong[0]), challenger_wrong=wrong[1])


def _answered_others(champion: StoredRun, dataset: Dataset, decided: frozenset[Content]) -> list[AnsweredImage]:
    """Return the new training and validation images of classes that the champion knows, with its answers.

    decided: images that are left out. A challenger may know them by heart, so only the champion answers.
    """
    known = {image.sha256 for image in champion.images} | {image.sha256 for image in learnt_records(champion, ())}
    new = [
        replace(image, split=_NEW)
        for image in dataset.records
        if image.split in ("train", "validation")
        and image.sha256 not in known
        and (image.sha256, image.label) not in decided
    ]
    if not champion.several:
        new = [image for image in new if image.label in champion.labels]
    chosen = [new[row] for row in sample_indices(len(new), MOST_LEARNT, champion.config.seed)]
    if not chosen:
        return []
    record_of = {record.path: record for record in chosen}
    if champion.several:
        labels = champion.labels + tuple(label for label in dataset.labels if label not in champion.labels)
        split = load_recorded_split(chosen, dataset.root, _NEW, labels, champion.reading, several=True)
        return list(_label_answers(champion, dataset.root, record_of, predict_split(champion, split), None))
    split = load_recorded_split(chosen, dataset.root, _NEW, champion.labels, champion.reading)
    probabilities = champion.probabilities(split)
    answers = champion.trust.answers(probabilities)
    wrong = (probabilities.argmax(axis=1) if answers is None else answers) != split.targets
    return [
        _answered(record_of[path], dataset.root, bool(is_wrong), None)
        for path, is_wrong in zip(split.paths, wrong, strict=True)
    ]


def _answered(record: Record, root: str, champion_wrong: bool, challenger_wrong: bool | None) -> AnsweredImage:
    folder = "" if is_keras(root) else os.path.dirname(record.path)  # noqa: PTH120 - names need not be UTF-8
    source = "" if is_keras(root) else record.source_folder
    day = _day_of_change(record.path, root)
    described = (record.group, record.path, record.sha256, folder, source, day)
    return AnsweredImage(record.label, champion_wrong, challenger_wrong, *described)


def _day_of_change(path: str, root: str) -> str:
    """Return the day of the last change of an image's file, UTC, ISO 8601; "" if it has no file of its own here."""
    if is_keras(root) or is_remote(root) or is_remote(path):
        return ""
    try:
        changed = os.stat(absolute(path, base_folder(root))).st_mtime  # noqa: PTH116 - "" for an impossible name
        return datetime.fromtimestamp(changed, UTC).date().isoformat()
    except (OSError, ValueError, OverflowError):
        return ""
