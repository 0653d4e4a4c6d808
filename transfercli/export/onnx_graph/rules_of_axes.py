"""Rules for operations that move, cut or join values: shapes, slices, transposes, concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.export.onnx_graph.graph import CHANNELS_FIRST, Graph, Layout, Operand, Tensor, UnsupportedError

LAST = np.iinfo(np.int64).max  # the end of a slice that has none


def reshape(graph: Graph, operation: Any, x: Tensor) -> Tensor:
    """Write the new shape of one input; the batch, or the axis that the batch is part of, is inferred."""
    shape = tuple(operation.output.shape)
    if shape.count(None) > 1:
        raise UnsupportedError(f"shape {shape}")
    if shape[:3] == (None, 1, 1) and len(shape) == 4:  # a map of one position, which a convolution reads
        target, layout = graph.integers([-1, shape[3], 1, 1]), Layout.CHANNELS_FIRST
    else:
        target, layout = graph.integers([-1 if side is None else side for side in shape]), Layout.KERAS
    return Tensor(shape, x.dtype, {layout: graph.node("Reshape", graph.keras(x), target)})


def transpose(graph: Graph, operation: Any, x: Tensor) -> Tensor:
    axes = operation.axes or tuple(reversed(range(len(x.shape))))
    axes = [axis % len(x.shape) for axis in axes]
    name = graph.node("Transpose", graph.keras(x), perm=axes)
    return Tensor(tuple(x.shape[axis] for axis in axes), x.dtype, {Layout.KERAS: name})


def concatenation(graph: Graph, operation: Any, operands: Sequence[Operand]) -> Tensor:
    shape = tuple(operation.output.shape)
    layout = graph.common_layout(operands)
    axis = operation.axis % len(shape)
    names = [_for_each_image(graph, x, shape[0]) for x in operands]
    dtype = next(x.dtype for x in operands if isinstance(x, Tensor))
    place = axis if layout is Layout.KERAS else CHANNELS_FIRST.index(axis)
    parts = [graph.operand(x, layout, dtype) for x in names]
    return Tensor(shape, dtype, {layout: graph.node("Concat", *parts, axis=place)})


def _for_each_image(graph: Graph, x: Operand, batch: int | None) -> Operand:
    """Return a constant [1, …] as many times as there are images."""
    if isinstance(x, Tensor) or batch is not None:
        return x
    values = np.asarray(x)
    count = graph.node("Shape", graph.input.names[Layout.KERAS], start=0, end=1)
    target = graph.node("Concat", count, graph.integers(values.shape[1:]), axis=0)
    name = graph.node("Expand", graph.constant(values, dtype=values.dtype.name), target)
    return Tensor((None, *values.shape[1:]), values.dtype.name, {Layout.KERAS: name})


def flip(graph: Graph, operation: Any, x: Tensor) -> Tensor:
    axis = operation.axis
    if not isinstance(axis, int) or x.shape[axis] is None:
        raise UnsupportedError(f"flip over axis {axis}")
    order = graph.integers(range(x.shape[axis])[::-1])  # type: ignore[arg-type]
    name = graph.node("Gather", graph.keras(x), order, axis=axis % len(x.shape))
    return Tensor(x.shape, x.dtype, {Layout.KERAS: name})


def cropped_tokens(graph: Graph, layer: Any, x: Tensor) -> Tensor:
    start, end = layer.cropping
    return item(graph, layer, x, (slice(None), slice(start, -end if end else None)))


def item(graph: Graph, operation: Any, x: Tensor, key: Any) -> Tensor:
    """Write slices, single positions and new axes: `x[:, 1:]`, `x[:, 0]`, `x[:, None]`."""
    keys = _for_each_axis(key if isinstance(key, tuple) else (key,), len(x.shape))
    axes = [k for k in keys if k is not None]
    cut = {axis: _bounds(k) for axis, k in enumerate(axes) if k != slice(None)}
    layout = graph.common_layout([x]) if all(isinstance(k, slice) for k in keys) else Layout.KERAS
    if layout is Layout.CHANNELS_FIRST:
        cut = {CHANNELS_FIRST.index(axis): bounds for axis, bounds in cut.items()}
    name = graph.operand(x, layout)
    if cut:
        starts, ends, steps = zip(*cut.values(), strict=True)
        name = graph.node("Slice", name, *map(graph.integers, (starts, ends, list(cut), steps)))
    dropped = [axis for axis, k in enumerate(axes) if isinstance(k, int)]
    if dropped:
        name = graph.node("Squeeze", name, graph.integers(dropped))
    kept = [k for k in keys if not isinstance(k, int)]
    added = [place for place, k in enumerate(kept) if k is None]
    if added:
        name = graph.node("Unsqueeze", name, graph.integers(added))
    return Tensor(tuple(operation.output.shape), x.dtype, {layout: name})


def _for_each_axis(key: tuple[Any, ...], rank: int) -> list[Any]:
    """Return the keys with a whole slice for each axis that has none."""
    if any(not (k is None or k is Ellipsis or isinstance(k, int | slice)) for k in key):
        raise UnsupportedError(f"index {key}")
    missing = rank - sum(k is not None and k is not Ellipsis for k in key)
    place = key.index(Ellipsis) if Ellipsis in key else len(key)
    return [*key[:place], *[slice(None)] * missing, *key[place + 1 :]]


def _bounds(key: slice | int) -> tuple[int, int, int]:
    """Return start, end and step of a slice or of one position."""
    if isinstance(key, int):
        return key, LAST if key == -1 else key + 1, 1
    step = 1 if key.step is None else key.step
    if step < 1:
        raise UnsupportedError(f"slice {key}")
    return key.start or 0, LAST if key.stop is None else key.stop, step
