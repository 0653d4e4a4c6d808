"""Classifier that averages several networks in one graph.

A network shares with the first all layers below the first one whose weights differ: a frozen base is computed once,
whatever the number of heads on it, and copies of a base of which the last block was trained share the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from transfercli.models.architecture import Architecture, Member
from transfercli.models.average.head import Source, average_head, member_prefix
from transfercli.models.bases import BASES
from transfercli.models.batchnorm_folding import fold
from transfercli.models.classifier import (
    Average,
    Classifier,
    build_base,
    normalisation_of,
)
from transfercli.models.keras_internals import Call, graph_calls, producer_of
from transfercli.models.preprocessing import PREPROCESSING, preprocess
from transfercli.models.taps import tap_names, tap_tensors
from transfercli.models.tasks.calibration import IDENTITY, Calibration
from transfercli.models.tasks.outputs import OUTPUTS
from transfercli.models.tensor_names import stable_names

INCLUDED = "included"  # row of `PREPROCESSING` that leaves pixels as they are


def build_average(architecture: Architecture, calibration: Calibration = IDENTITY) -> Classifier:
    """Build the classifier whose probabilities are the mean of those of the architecture's networks.

    The weights are random, and all networks run in inference mode. calibration: as in `build_classifier`.
    """
    members = [Member(architecture.base, architecture.head, set()), *architecture.members]
    modes = {BASES[member.base].preprocessing for member in members}
    mode = modes.pop() if len(modes) == 1 else INCLUDED
    pixels = keras.Input((*architecture.image_size, architecture.channels), name="pixels")
    networks: list[_Network] = []
    for number, member in enumerate(members, start=1):
        networks.append(_Network(architecture, member, mode, number, pixels, networks[0] if networks else None))
    base = keras.Model(pixels, networks[0].output, name=networks[0].built.name)
    sources, indices = _joined(base, [network.sources() for network in networks])
    outputs = [source.tensor for source in sources]
    trunk = keras.Model(pixels, outputs if len(outputs) > 1 else outputs[0], name="trunk")
    heads = [(member.head, index) for member, index in zip(members, indices, strict=True)]
    head = average_head(sources, heads, len(architecture.labels), architecture.task)
    image = keras.Input((*architecture.image_size, 3), dtype="uint8", name="image")
    prepared = preprocess(image, mode, architecture.channels)
    return Classifier(
        architecture.base,
        keras.Model(image, head(fold(trunk)(prepared)), name="classifier"),
        base,
        head,
        keras.Model(
            image, OUTPUTS[architecture.task].layer(calibration.layer(head(trunk(prepared)))), name="predictor"
        ),
        architecture.labels,
        tuple(source.name for source in sources[:-1]),
        normalisation_of(architecture.head, len(indices[0])),
        Average(trunk, mode),
        task=architecture.task,
    )


class _Network:
    """A network of an average, in the graph that begins with `pixels`.

    built: its base as a model of its own, whose layers are copied, or those of the first network are used instead.
    """

    def __init__(
        self,
        architecture: Architecture,
        member: Member,
        mode: str,
        number: int,
        pixels: keras.KerasTensor,
        first: _Network | None,
    ) -> None:
        self.member, self.number, self.row = member, number, BASES[member.base]
        self.built = build_base(member.base, architecture.image_size, architecture.channels)
        self.calls: list[Call] = []
        self._tensors: dict[int, keras.KerasTensor] = {}  # id of a tensor of `built` -> the one in the common graph
        self._shared: set[int] = {id(pixels)}  # ids of tensors in the common graph that the first network computes
        self._twins = iter(first.calls if first and first.member.base == member.base else ())
        if mode == INCLUDED and self.row.preprocessing != INCLUDED:
            raw = keras.Input(pixels.shape[1:])
            own = keras.Model(raw, PREPROCESSING[self.row.preprocessing](raw, architecture.channels))
            pixels = self._copy(own, pixels, f"member{number}_")
        self.output = self._copy(self.built, pixels, member_prefix(number))

    def sources(self) -> list[Source]:
        """Return what the head reads: the layers of its taps, from the input to the top, and the base's output."""
        head, taps = self.member.head, tap_names(self.row, self.built, self.member.head.taps)
        tensors = [*tap_tensors(self.row, self.built, taps), self.built.output]
        pooling = head.pooling or "avg"
        first = self.number == 1
        return [
            Source(
                self._tensors[id(tensor)],
                pooling,
                self.row.prefix_tokens or 0,
                name if first else f"member{self.number} {name} {pooling}",
                first,
            )
            for name, tensor in zip((*taps, "output"), tensors, strict=True)
        ]

    def _copy(self, model: keras.Model, x: keras.KerasTensor, prefix: str) -> keras.KerasTensor:
        """Return what a model computes of `x`, by copies of its layers, or by the first network if these are alike.

        prefix: of the names of the copies.
        """
        stable, copies = stable_names(model.layers), dict[int, Any]()
        self._tensors[id(model.input)] = x
        for call in graph_calls(model):
            args, kwargs = (keras.tree.map_structure(self._placed, values) for values in (call.args, call.kwargs))
            inputs = [value for value in keras.tree.flatten([args, kwargs]) if isinstance(value, keras.KerasTensor)]
            operation, twin = call.operation, next(self._twins, None)
            name = stable.get(operation.name, "")
            if twin and name not in self.member.own and all(id(value) in self._shared for value in inputs):
                results = twin.outputs
                self._shared |= {id(value) for value in results}
            else:
                if id(operation) not in copies:
                    copies[id(operation)] = _renamed(operation, f"{prefix}{name}")
                results = keras.tree.flatten(copies[id(operation)](*args, **kwargs))
            self.calls.append(Call(operation, args, kwargs, results))
            self._tensors |= {id(own): placed for own, placed in zip(call.outputs, results, strict=True)}
        return self._tensors[id(model.output)]

    def _placed(self, value: Any) -> Any:
        """Return the tensor of the common graph that stands for a tensor of `built`; other arguments as they are."""
        return self._tensors[id(value)] if isinstance(value, keras.KerasTensor) else value


def _renamed(operation: Any, name: str) -> Any:
    """Return a copy of a layer under another name; a bare operation, which has no weights, is used again."""
    if not isinstance(operation, keras.layers.Layer):
        return operation
    return type(operation).from_config({**operation.get_config(), "name": name})


def _joined(first: keras.Model, read: Sequence[Sequence[Source]]) -> tuple[list[Source], list[list[int]]]:
    """Return the different sources in the order of the trunk's outputs, and for each network the indices of its own.

    Those outside of the first base come first, then those in it from the input to the top, and last its output.
    """
    different: dict[tuple[int, str], Source] = {}
    for source in (one for sources in read for one in sources):
        different.setdefault((id(source.tensor), source.pooling), source)
    place = {operation.name: index for index, operation in enumerate(first.operations)}
    last = read[0][-1]

    def order(source: Source) -> tuple[bool, int]:
        return source is last, place.get(producer_of(source.tensor).name, -1)

    ordered = sorted(different.values(), key=order)
    index = {(id(source.tensor), source.pooling): number for number, source in enumerate(ordered)}
    return ordered, [[index[id(one.tensor), one.pooling] for one in sources] for sources in read]
