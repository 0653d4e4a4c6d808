"""The table of optimizers, and the penalties on weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from transfercli.config.schema import OptimizerConfig, RegularizationConfig

if TYPE_CHECKING:
    import keras


def _keras(name: str, *options: str, no_decay: float | None = None) -> Callable[[OptimizerConfig, Any], Any]:
    """A row: the class `keras.optimizers.NAME`, which keys of the config it takes, and how it is told of no decay."""

    def build(config: OptimizerConfig, learning_rate: Any) -> Any:
        import keras

        chosen = {option: getattr(config, option) for option in options}
        chosen["weight_decay"] = config.weight_decay or no_decay
        chosen["global_clipnorm"] = config.clip_norm
        chosen["gradient_accumulation_steps"] = config.accumulate if config.accumulate > 1 else None
        if config.ema:
            chosen |= {"use_ema": True, "ema_momentum": config.ema, "ema_overwrite_frequency": None}
        return getattr(keras.optimizers, name)(learning_rate=learning_rate, **chosen)

    return build


OPTIMIZERS: dict[str, Callable[[OptimizerConfig, Any], Any]] = {
    "sgd": _keras("SGD", "momentum"),
    "rmsprop": _keras("RMSprop"),
    "adam": _keras("Adam"),
    "adamw": _keras("AdamW", no_decay=0.0),
}


def build_optimizer(config: OptimizerConfig, learning_rate: Any) -> keras.optimizers.Optimizer:
    """The optimizer of a phase; `learning_rate` is a number or a `LearningRateSchedule`.

    Weight decay is decoupled from the gradient for every row (Loshchilov & Hutter 2019) and spares biases and
    normalisation, as is usual.
    """
    from transfercli.models.keras_internals import skip_gradient_sum

    optimizer = OPTIMIZERS[config.name](config, learning_rate)
    skip_gradient_sum(optimizer)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def slots(config: OptimizerConfig) -> int:
    """How many tensors of its size a checkpoint keeps for each that trains, besides itself."""
    import keras

    optimizer, variable = build_optimizer(config, 0.0), keras.Variable([0.0, 0.0, 0.0])
    optimizer.build([variable])
    return sum(one.shape == variable.shape for one in optimizer.variables) + bool(config.ema)


def slow_down(optimizer: keras.optimizers.Optimizer, factors: Sequence[float]) -> None:
    """Discriminative learning rates (Howard & Ruder 2018): each trainable variable moves at its factor of the rate.

    factors: in the order of the variables that the optimizer was built for. Decoupled weight decay keeps its own pace.
    """
    from transfercli.models.keras_internals import variable_index

    update = optimizer.update_step

    def slower(gradient: Any, variable: Any, learning_rate: Any) -> Any:
        return update(gradient, variable, learning_rate * factors[variable_index(optimizer, variable)])

    optimizer.update_step = slower


def regularize(model: keras.Model, config: RegularizationConfig) -> None:
    """Put the L1 and L2 penalty on the kernels that train, and on no others."""
    import keras

    wanted = keras.regularizers.L1L2(config.l1, config.l2) if config.l1 or config.l2 else None
    for variable in model.weights:
        is_kernel = variable.name.endswith("kernel") and len(variable.shape) > 1
        variable.regularizer = wanted if is_kernel and variable.trainable else None
