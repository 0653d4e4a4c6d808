"""Rules for activation functions, by the name that Keras gives a function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from transfercli.export.onnx_graph.graph import Graph, Layout, Tensor, UnsupportedError, binary, unary


def activated(graph: Graph, function: Any, x: Tensor) -> Tensor:
    """Apply an activation function of Keras to a tensor."""
    name = getattr(function, "__name__", str(function))
    rule = ACTIVATIONS.get(name)
    if rule is None or not getattr(function, "__module__", "").startswith("keras."):
        raise UnsupportedError(f"activation {name}")
    return rule(graph, x)


def _node(kind: str, **attributes: Any) -> Callable[[Graph, Tensor], Tensor]:
    return lambda graph, x: unary(graph, x, kind, **attributes)


def _linear(graph: Graph, x: Tensor) -> Tensor:
    return x


def clipped(graph: Graph, x: Tensor, top: float) -> Tensor:
    return unary(graph, x, "Clip", graph.constant(0.0), graph.constant(top))


def silu(graph: Graph, x: Tensor) -> Tensor:
    return binary(graph, "Mul", x, unary(graph, x, "Sigmoid"))


def softmax(graph: Graph, x: Tensor, axis: int = -1) -> Tensor:
    return Tensor(x.shape, x.dtype, {Layout.KERAS: graph.node("Softmax", graph.keras(x), axis=axis)})


ACTIVATIONS: dict[str, Callable[[Graph, Tensor], Tensor]] = {
    "linear": _linear,
    "relu": _node("Relu"),
    "relu6": partial(clipped, top=6.0),
    "sigmoid": _node("Sigmoid"),
    "tanh": _node("Tanh"),
    "softplus": _node("Softplus"),
    "hard_sigmoid": _node("HardSigmoid", alpha=1 / 6),
    "hard_silu": _node("HardSwish"),
    "silu": silu,
    "gelu": _node("Gelu"),
    "softmax": softmax,
}
