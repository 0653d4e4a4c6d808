"""The table of optimizers, and the penalties on weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transfercli.config.schema import OptimizerConfig, RegularizationConfig

if TYPE_CHECKING:
    import keras


def _keras(name: str, *options: str) -> Callable[[OptimizerConfig, Any], Any]:
    """A row: the class `keras.optimizers.NAME`, and which keys of the config it takes."""

    def build(config: OptimizerConfig, learning_rate: Any) -> Any:
        import keras

        chosen = {option: getattr(config, option) for option in options}
        chosen["weight_decay"] = config.weight_decay or None
        return getattr(keras.optimizers, name)(learning_rate=learning_rate, **chosen)

    return build


OPTIMIZERS: dict[str, Callable[[OptimizerConfig, Any], Any]] = {
    "sgd": _keras("SGD", "momentum"),
    "rmsprop": _keras("RMSprop"),
    "adam": _keras("Adam"),
    "adamw": _keras("AdamW"),
}


def build_optimizer(config: OptimizerConfig, learning_rate: Any) -> keras.optimizers.Optimizer:
    """The optimizer of a phase; `learning_rate` is a number or a `LearningRateSchedule`.

    Weight decay is decoupled from the gradient for every row (Loshchilov & Hutter 2019) and spares biases and
    normalisation, as is usual.
    """
    optimizer = OPTIMIZERS[config.name](config, learning_rate)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def regularize(model: keras.Model, config: RegularizationConfig) -> None:
    """Put the L1 and L2 penalty on the kernels that train, and on no others."""
    import keras

    wanted = keras.regularizers.L1L2(config.l1, config.l2) if config.l1 or config.l2 else None
    for variable in model.weights:
        is_kernel = variable.name.endswith("kernel") and len(variable.shape) > 1
        variable.regularizer = wanted if is_kernel and variable.trainable else None
