"""Writer of an ONNX model: it walks the calls of a functional Keras model and applies the rule of each.

What does not depend on the images, such as the positions of a vision transformer, is computed by Keras itself and
stored as a constant.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from transfercli.export.onnx_graph.graph import Graph, Tensor, UnsupportedError
from transfercli.export.onnx_graph.rules import rule_of
from transfercli.models.keras_internals import graph_calls
from transfercli.models.tensor_names import stable_names

OPSET = 20  # the first with Gelu; onnxruntime has read it since 1.17
PRODUCER = "transfercli"


def write_graph(model: Any, image: str, outputs: tuple[str, ...]) -> Any:
    """Return a functional model as an `onnx.ModelProto`, with a free batch size and names that are always the same.

    image, outputs: names of the input and of the outputs, of which the model may have fewer. Raises `UnsupportedError`,
    with the kind of operation, if there is no rule for one.
    """
    from onnx import helper, numpy_helper

    graph = Graph(image, tuple(model.input.shape), model.input.dtype)
    results = _walk(graph, model, [graph.input], "")
    named = {graph.keras(x): name for x, name in zip(results, outputs, strict=False)}
    nodes, constants = graph.pruned(named)
    written = helper.make_graph(
        nodes,
        model.name,
        [_described(graph.input, image)],
        [_described(x, name) for x, name in zip(results, named.values(), strict=True)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    proto = helper.make_model(written, producer_name=PRODUCER, opset_imports=[opset])
    proto.ir_version = helper.find_min_ir_version_for([opset])
    return proto


def _described(x: Tensor, name: str) -> Any:
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(x.dtype))
    return helper.make_tensor_value_info(name, kind, ["batch", *x.shape[1:]])


def _walk(graph: Graph, model: Any, inputs: list[Any], prefix: str) -> list[Any]:
    """Write all calls of a model, and return its outputs. prefix: of the names of its operations."""
    import keras

    calls = graph_calls(model)
    names = stable_names(call.operation for call in calls)
    values = {id(x): value for x, value in zip(model.inputs, inputs, strict=True)}
    for call in calls:
        args, kwargs = keras.tree.map_structure(partial(_swapped, values), (call.args, dict(call.kwargs)))
        outer, graph.scope = graph.scope, prefix + names[call.operation.name]
        result = _written(graph, call, args, kwargs)
        graph.scope = outer
        values |= {id(x): value for x, value in zip(call.outputs, result, strict=True)}
    return [values[id(x)] for x in model.outputs]


def _swapped(values: dict[int, Any], x: Any) -> Any:
    """Return the value of one of Keras's symbolic tensors, and any other argument as it is."""
    return values.get(id(x), x)


def _written(graph: Graph, call: Any, args: Any, kwargs: Any) -> list[Any]:
    import keras

    operation = call.operation
    given = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Tensor)]
    if type(operation).__name__ == "OnesLike":
        shape, dtype = call.outputs[0].shape, call.outputs[0].dtype
        return [np.ones([side or 1 for side in shape], dtype)]  # the same for each image
    if not given:
        return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(operation(*args, **kwargs))]
    if isinstance(operation, keras.Model):
        return _walk(graph, _as_function(operation), given, f"{graph.scope}/")
    if len(call.outputs) != 1:
        raise UnsupportedError(f"{type(operation).__name__} with several outputs")
    for option in ("training", "mask"):
        if kwargs.pop(option, None):
            raise UnsupportedError(f"{type(operation).__name__} with {option}")
    return [rule_of(operation)(graph, operation, *args, **kwargs)]


def _as_function(model: Any) -> Any:
    """Return a functional model of the same layers."""
    import keras

    return model if isinstance(model, keras.Function) else keras.Model(model.inputs, model.outputs, name=model.name)
