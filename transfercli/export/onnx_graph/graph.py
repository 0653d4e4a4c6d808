"""An ONNX graph that grows node by node, and its tensors in two layouts.

Keras stores images as [N, H, W, C], and ONNX's convolutions read [N, C, H, W]. A tensor remembers the layouts in which
it exists, and is transposed if an operation needs the other one. So transposes stand only between operations that
differ, not around each convolution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

CHANNELS_FIRST = (0, 3, 1, 2)  # axes of [N, H, W, C] as [N, C, H, W]
CHANNELS_LAST = (0, 2, 3, 1)


class UnsupportedError(Exception):
    """Raised if the writer has no rule for an operation, or for its arguments."""


class Layout(Enum):
    """Order of a tensor's axes: as in Keras, or with the channels behind the batch."""

    KERAS = "keras"
    CHANNELS_FIRST = "channels_first"


@dataclass(frozen=True, slots=True)
class Padding:
    """Zeros around the map `source`, as (top, left, bottom, right); a convolution pads its input itself."""

    source: Tensor
    sides: tuple[int, int, int, int]


@dataclass(slots=True)
class Tensor:
    """A value of the graph.

    shape: in Keras's order of axes, with None for the batch. dtype: Keras's name of it. names: the layouts in which it
    exists, each with its name in the graph. padding: how to compute it, if it exists in none yet.
    """

    shape: tuple[int | None, ...]
    dtype: str
    names: dict[Layout, str] = field(default_factory=dict)
    padding: Padding | None = None


Operand = Tensor | np.ndarray | float  # an array is a constant that does not depend on the images


class Graph:
    """Nodes and constants of an ONNX graph.

    input: the images. scope: the name of the operation whose nodes are written.
    """

    def __init__(self, images: str, shape: tuple[int | None, ...], dtype: str) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.scope = ""
        self._names = {images}
        self.input = Tensor(shape, dtype, {Layout.KERAS: images})

    # -- nodes

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name, which is the node's, too."""
        from onnx import helper

        name = self.unique(self.scope)
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def unique(self, name: str) -> str:
        """Return the name, with a number at its end if the graph already has it."""
        number, free = 1, name
        while free in self._names:
            number += 1
            free = f"{name}/{number}"
        self._names.add(free)
        return free

    def constant(self, values: Any, name: str = "constant", dtype: str = "float32") -> str:
        """Add a constant, such as a kernel, and return its name."""
        name = self.unique(f"{self.scope}/{name}")
        self.constants[name] = np.ascontiguousarray(values, dtype)
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Add a constant of integers, such as a shape or axes, and return its name."""
        return self.constant(np.asarray(values), dtype="int64")

    # -- layouts

    def keras(self, x: Tensor) -> str:
        """Return the name of a tensor in Keras's layout."""
        if Layout.KERAS not in x.names:
            x.names[Layout.KERAS] = self._moved(self.channels_first(x), x.shape, CHANNELS_LAST)
        return x.names[Layout.KERAS]

    def channels_first(self, x: Tensor) -> str:
        """Return the name of a map [N, H, W, C] as [N, C, H, W]."""
        if Layout.CHANNELS_FIRST not in x.names:
            if x.padding:
                source, (top, left, bottom, right) = x.padding.source, x.padding.sides
                pads = self.integers([0, 0, top, left, 0, 0, bottom, right])
                x.names[Layout.CHANNELS_FIRST] = self.node("Pad", self.channels_first(source), pads)
            else:
                height, width, channels = x.shape[1:]
                moved = (None, channels, height, width)
                x.names[Layout.CHANNELS_FIRST] = self._moved(self.keras(x), moved, CHANNELS_FIRST)
        return x.names[Layout.CHANNELS_FIRST]

    def _moved(self, name: str, shape: tuple[int | None, ...], axes: tuple[int, ...]) -> str:
        """Return the name of a transposed map; one of a single position is only given another shape."""
        sides = sorted(side or 0 for side in shape[1:])
        if sides[:2] == [1, 1]:
            return self.node("Reshape", name, self.integers([-1, *(side or 0 for side in shape[1:])]))
        return self.node("Transpose", name, perm=axes)

    def common_layout(self, operands: Sequence[Operand]) -> Layout:
        """Return the layout in which operands are combined value by value: with channels first if one map is so."""
        tensors = [x for x in operands if isinstance(x, Tensor)]
        maps = all(len(x.shape) == 4 for x in tensors)
        first = any(Layout.CHANNELS_FIRST in x.names or x.padding for x in tensors)
        return Layout.CHANNELS_FIRST if maps and first else Layout.KERAS

    def operand(self, x: Operand, layout: Layout, dtype: str = "float32") -> str:
        """Return the name of an operand in a layout; a constant gets the axes that broadcasting needs."""
        if isinstance(x, Tensor):
            return self.keras(x) if layout is Layout.KERAS else self.channels_first(x)
        values = np.asarray(x)
        if layout is Layout.CHANNELS_FIRST and values.ndim:
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(CHANNELS_FIRST)
        return self.constant(values, dtype=dtype)

    # -- the finished graph

    def pruned(self, outputs: Mapping[str, str]) -> tuple[list[Any], dict[str, np.ndarray]]:
        """Return the nodes and constants on which the outputs depend. outputs: name in the graph -> name to give it."""
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if node.output[0] in needed:
                needed.update(node.input)
                nodes.append(node)
        for node in nodes:
            for names in (node.input, node.output):
                names[:] = [outputs.get(name, name) for name in names]
        return nodes[::-1], {name: values for name, values in self.constants.items() if name in needed}


def unary(graph: Graph, x: Tensor, kind: str, *inputs: str, **attributes: Any) -> Tensor:
    """Apply an operation to each value of a tensor, in the layout that it has."""
    layout = graph.common_layout([x])
    return Tensor(x.shape, x.dtype, {layout: graph.node(kind, graph.operand(x, layout), *inputs, **attributes)})


def binary(graph: Graph, kind: str, one: Operand, other: Operand) -> Tensor:
    """Combine two operands value by value, with broadcasting; at least one is a tensor, of float32."""
    dtypes = {x.dtype for x in (one, other) if isinstance(x, Tensor)}
    if dtypes != {"float32"}:
        raise UnsupportedError(f"{kind} of {', '.join(sorted(dtypes))}")
    layout = graph.common_layout([one, other])
    names = [graph.operand(x, layout) for x in (one, other)]
    return Tensor(_broadcast(one, other), "float32", {layout: graph.node(kind, *names)})


def _broadcast(*operands: Operand) -> tuple[int | None, ...]:
    shapes = [x.shape if isinstance(x, Tensor) else np.shape(x) for x in operands]
    rank = max(map(len, shapes))
    columns = zip(*((1,) * (rank - len(shape)) + tuple(shape) for shape in shapes), strict=True)
    return tuple(None if None in sides else max(sides) for sides in columns)


def values_of(variable: Any) -> np.ndarray:
    """Return the values of a weight."""
    import keras

    return keras.ops.convert_to_numpy(variable)


def same_padding(side: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return the zeros (before, after) one axis that Keras's padding "same" adds."""
    total = max((math.ceil(side / stride) - 1) * stride + (window - 1) * dilation + 1 - side, 0)
    return total // 2, total - total // 2
