"""Compiled forward pass of a model, called without waiting for its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from transfercli.models.placement import placed


def compiled(model: keras.Model) -> Callable[[Any], Any]:
    """Return a function of a batch [n, …] that starts the model's forward pass and returns the backend's array.

    An accelerator, and JAX also on a processor, computes on while the caller goes on; `gathered` waits for the result.
    The function is for one pass: it uses the weights that the model has now, and training frees them. It is compiled
    once for a model, in the precision in which it was first called.
    """
    run = _jax_function(model) if keras.backend.backend() == "jax" else _keras_function(model)
    return lambda batch: run(placed(batch))


def _keras_function(model: keras.Model) -> Callable[[Any], Any]:
    """Return the function that `predict_on_batch` calls, whose tensors that method fetches at once."""
    model.make_predict_function()
    return lambda batch: model.predict_function([(batch,)])


def _jax_function(model: keras.Model) -> Callable[[Any], Any]:
    # Keras' own function donates the weights, and copies all of them back into the model after every batch.
    variables = list(model.variables)
    known = tuple(map(id, variables))  # layers may be added, by LoRA for example
    if getattr(model, "_forward_variables", None) != known:
        import jax

        def run(values: list[Any], batch: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return model(batch, training=False)

        model._forward_variables, model._forward_function = known, jax.jit(run)
    function, values = model._forward_function, [variable.value for variable in variables]
    return lambda batch: function(values, batch)
