"""TensorBoard logs of a run: scalars per epoch, the training batch, the network, and evaluations.

The folder has one sub-folder per curve, as in Keras's own callback: `train` and `validation` both have `epoch_loss` and
`epoch_accuracy`, so TensorBoard shows them in one chart. Each evaluation has its own sub-folder.
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
    """Event files of one training. A resumed run starts new ones, which replace events after its checkpoint."""

    def __init__(self, run: RunFolder, classifier: Classifier) -> None:
        self._run, self._classifier = run, classifier
        self._files: dict[str, Path] = {}

    def epoch(self, line: Mapping[str, Any]) -> None:
        """Write a line of metrics.jsonl, after its checkpoint is kept."""
        step = int(line["epoch"])
        for folder, tags in SCALARS.items():
            events = b"".join(event_files.scalar(tag, line[key], step) for tag, key in tags.items() if key in line)
            if folder not in self._files:
                self._files[folder] = event_files.next_file(self._run.tensorboard / folder)
                events = event_files.file_start(step) + self._first_events(folder, step) + events
            event_files.append(self._files[folder], events)

    def _first_events(self, folder: str, step: int) -> bytes:
        """Return the events before the first scalars of `train`: the network and an augmented batch."""
        if folder != "train":
            return b""
        batch = event_files.image("batch", self._run.batch.read_bytes(), step) if self._run.batch.exists() else b""
        return event_files.graph(graph_nodes_of(self._classifier)) + batch

    def end(self, status: str) -> None:
        """Do nothing: every event is in its file already."""


def write_evaluation(run: RunFolder, name: str, metrics: Mapping[str, float | None], matrix: bytes, step: int) -> None:
    """Write the metrics of an evaluation, and its confusion matrix (PNG bytes); replace an earlier one of that name."""
    defined = {f"evaluation_{metric}": value for metric, value in metrics.items() if value is not None}
    events = [event_files.scalar(tag, value, step) for tag, value in defined.items()]
    events = [event_files.file_start(step), *events, event_files.image("confusion_matrix", matrix, step)]
    folder = run.evaluation_events(name)
    atomic.make_folder(folder)
    atomic.write_bytes(folder / f"{event_files.PREFIX}{1:010d}", b"".join(events))


def graph_nodes_of(classifier: Classifier) -> Iterator[GraphNode]:
    """Yield the classifier's layers as graph nodes, those of the base and of the head each in one group."""
    yield GraphNode("image", "Input")
    yield GraphNode("preprocess", "Preprocess", ("image",))
    last = "preprocess"
    for model in (classifier.base, classifier.head):
        names = {id(tensor): last for tensor in model.inputs}
        for node, name in _named(model):
            inputs = tuple(dict.fromkeys(names[id(tensor)] for tensor in node.input_tensors))
            names |= {id(tensor): name for tensor in node.outputs}
            yield GraphNode(name, type(node.operation).__name__, inputs)
        last = names[id(model.outputs[0])]


def _named(model: keras.Model) -> Iterator[tuple[Any, str]]:
    """Yield (call, name) of a functional model, each call after those whose outputs it reads."""
    from transfercli.models.keras_internals import graph_nodes

    position = {operation.name: index for index, operation in enumerate(model.operations)}
    nodes = [node for node in graph_nodes(model) if not node.is_input]
    for node in sorted(nodes, key=lambda node: position[node.operation.name]):
        yield node, f"{model.name}/{node.operation.name}"
