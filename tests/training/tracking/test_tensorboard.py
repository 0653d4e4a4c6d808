from __future__ import annotations

import numpy as np
import pytest

from tests.training.event_reading import events_of, png
from transfercli.config.schema import HeadConfig
from transfercli.runs.folder import RunFolder, remove_results
from transfercli.training.tracking.tensorboard import TensorBoard, graph_nodes_of, write_evaluation

LINE = {"phase": 1, "epoch": 1, "loss": 0.5, "accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.7}
LINE |= {"learning_rate": 1e-3, "seconds": 1.5, "images_per_second": 100.0, "val_recall": {"a": 1.0}}


def built(base: str = "small_cnn"):
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    return build_classifier(Architecture(base, (32, 32), 3, HeadConfig(hidden=[4]), ("a", "b", "c")))


def scalars(path) -> list[tuple[str, int, float]]:
    values = [(event.step, value) for event in events_of(path) for value in event.summary.value]
    return [(value.tag, step, value.simple_value) for step, value in values if value.HasField("simple_value")]


def test_epochs_are_curves_of_training_and_validation(tmp_path) -> None:
    run = RunFolder(tmp_path)
    run.batch.write_bytes(png(4, 6))
    told = TensorBoard(run, built())
    told.epoch(LINE)
    told.epoch(LINE | {"epoch": 2, "loss": 0.25})
    told.end("FINISHED")
    name = "events.out.tfevents.0000000001"
    train, validation = (run.tensorboard / part / name for part in ("train", "validation"))
    losses = [(step, value) for tag, step, value in scalars(train) if tag == "epoch_loss"]
    assert losses == [(1, 0.5), (2, 0.25)]
    assert {tag for tag, _, _ in scalars(train)} >= {"epoch_accuracy", "epoch_learning_rate"}
    assert scalars(validation)[:2] == [("epoch_loss", 1, pytest.approx(0.6)), ("epoch_accuracy", 1, pytest.approx(0.7))]
    events = events_of(train)
    assert [value.tag for event in events for value in event.summary.value if value.HasField("image")] == ["batch"]
    assert sum(bool(event.graph_def) for event in events) == 1


def test_a_training_that_goes_on_overrules_what_was_said_after_its_checkpoint(tmp_path) -> None:
    run, classifier = RunFolder(tmp_path), built()
    first = TensorBoard(run, classifier)
    for epoch in (1, 2, 3):
        first.epoch(LINE | {"epoch": epoch})
    TensorBoard(run, classifier).epoch(LINE | {"epoch": 3})
    files = sorted((run.tensorboard / "train").iterdir())
    assert len(files) == 2
    start = events_of(files[1])[1]
    assert (start.step, start.session_log.status) == (3, 1)


@pytest.mark.parametrize("base", ["small_cnn", "resnet18"])
def test_the_graph_is_connected_from_the_image_to_the_logits(base: str) -> None:
    nodes = list(graph_nodes_of(built(base)))
    known: set[str] = set()
    for node in nodes:
        assert set(node.inputs) <= known
        assert bool(node.inputs) == (node.name != "image")
        known.add(node.name)
    assert len(known) == len(nodes)
    assert nodes[-1].name == "head/logits"
    assert nodes[-1].kind == "Dense"


def test_an_evaluation_takes_the_place_of_an_earlier_one_and_goes_with_the_model(tmp_path) -> None:
    run = RunFolder(tmp_path)
    for accuracy in (0.5, 0.75):
        write_evaluation(run, "test", {"accuracy": accuracy, "roc_auc": None}, png(2, 2), step=4)
    (path,) = (run.tensorboard / "evaluation-test").iterdir()
    assert scalars(path) == [("evaluation_accuracy", 4, 0.75)]
    assert np.any([value.tag == "confusion_matrix" for event in events_of(path) for value in event.summary.value])
    remove_results(run)
    assert not path.parent.exists()
