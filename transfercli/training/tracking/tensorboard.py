"""What TensorBoard shows of a run: scalars by epoch, the training batch, the network, and its evaluations.

The folder has one part a curve, as Keras's own callback has it: `train` and `validation` hold `epoch_loss` and
`epoch_accuracy`, so that TensorBoard lays the two over each other. Each evaluation is a part of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.io import atomic
from transfercli.runs.folder import RunFolder
from transfercli.training.tracking import event_files
from transfercli.training.tracking.event_files import GraphNode

if TYPE_CHECKING:
    import keras

    from transfercli.models.classifier import Classifier

# Folder -> tag -> the key of a line of metrics.jsonl.
SCALARS: Mapping[str, Mapping[str, str]] = {
    "train": {
        "epoch_loss": "loss",
        "epoch_accuracy": "accuracy",
        "epoch_learning_rate": "learning_rate",
        "images_per_second": "images_per_second",
    },
    "validation": {"epoch_loss": "val_loss", "epoch_accuracy": "val_accuracy"},
}


class TensorBoard:
    """Event files of one training. Each time it goes on it opens new ones, which overrule what was said too early."""

    def __init__(self, run: RunFolder, classifier: Classifier) -> None:
        self._run, self._classifier = run, classifier
        self._files: dict[str, Path] = {}

    def epoch(self, line: Mapping[str, Any]) -> None:
        """A line of metrics.jsonl, once its checkpoint is kept."""
        step = int(line["epoch"])
        for part, tags in SCALARS.items():
            events = b"".join(event_files.scalar(tag, line[key], step) for tag, key in tags.items())
            if part not in self._files:
                self._files[part] = event_files.next_file(self._run.tensorboard / part)
                events = event_files.opening(step) + self._setting(part, step) + events
            event_files.append(self._files[part], events)

    def _setting(self, part: str, step: int) -> bytes:
        """The network, and a batch as it sees it, beside the first of the training's scalars."""
        if part != "train":
            return b""
        batch = event_files.image("batch", self._run.batch.read_bytes(), step) if self._run.batch.exists() else b""
        return event_files.graph(nodes_of(self._classifier)) + batch

    def end(self, status: str) -> None:
        """Nothing: every event is in its file already."""


def write_evaluation(run: RunFolder, name: str, metrics: Mapping[str, float | None], matrix: bytes, step: int) -> None:
    """One evaluation in place of an earlier one of that name: its metrics, and the confusion matrix's PNG bytes."""
    known = {f"evaluation_{metric}": value for metric, value in metrics.items() if value is not None}
    events = [event_files.scalar(tag, value, step) for tag, value in known.items()]
    events = [event_files.opening(step), *events, event_files.image("confusion_matrix", matrix, step)]
    place = run.evaluation_events(name)
    atomic.make_folder(place)
    atomic.write_bytes(place / f"{event_files.PREFIX}{1:010d}", b"".join(events))


def nodes_of(classifier: Classifier) -> Iterator[GraphNode]:
    """The classifier's layers, the base's and the head's each in a box of their own."""
    yield GraphNode("image", "Input")
    yield GraphNode("preprocess", "Preprocess", ("image",))
    below = "preprocess"
    for model in (classifier.base, classifier.head):
        names = {id(tensor): below for tensor in model.inputs}
        for node, name in _named(model):
            inputs = tuple(dict.fromkeys(names[id(tensor)] for tensor in node.input_tensors))
            names |= {id(tensor): name for tensor in node.outputs}
            yield GraphNode(name, type(node.operation).__name__, inputs)
        below = names[id(model.outputs[0])]


def _named(model: keras.Model) -> Iterator[tuple[Any, str]]:
    """Each call in a functional model, in an order in which its inputs come before it, and its name."""
    from transfercli.models.keras_internals import graph_nodes

    number = {operation.name: place for place, operation in enumerate(model.operations)}
    nodes = [node for node in graph_nodes(model) if not node.is_input]
    for node in sorted(nodes, key=lambda node: number[node.operation.name]):
        yield node, f"{model.name}/{node.operation.name}"
