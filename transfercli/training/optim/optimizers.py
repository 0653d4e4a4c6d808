"""Table of optimizers; learning rates per variable; L1 and L2 penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from transfercli.config.schema import OptimizerConfig, RegularizationConfig

if TYPE_CHECKING:
    import keras

    from transfercli.training.optim.accumulation import UpdateGroups

Row = Callable[[OptimizerConfig, Any, "UpdateGroups"], Any]


def _keras(name: str, *options: str, no_decay: float | None = None) -> Row:
    """Return a row: a function that builds `keras.optimizers.NAME`.

    options: keys of the config that it takes; no_decay: its value of `weight_decay` if there is none.
    """

    def build(config: OptimizerConfig, learning_rate: Any, groups: UpdateGroups) -> Any:
        import keras

        from transfercli.training.optim.accumulation import counting_updates

        arguments = {option: getattr(config, option) for option in options}
        arguments["weight_decay"] = config.weight_decay or no_decay
        arguments["global_clipnorm"] = config.clip_norm
        kind = getattr(keras.optimizers, name)
        if groups.per_update > 1 or config.ema:
            return counting_updates(kind)(groups, config.ema, learning_rate=learning_rate, **arguments)
        return kind(learning_rate=learning_rate, **arguments)

    return build


OPTIMIZERS: dict[str, Row] = {
    "sgd": _keras("SGD", "momentum"),
    "rmsprop": _keras("RMSprop"),
    "adam": _keras("Adam"),
    "adamw": _keras("AdamW", no_decay=0.0),
}


def build_optimizer(
    config: OptimizerConfig, learning_rate: Any, groups: UpdateGroups | None = None
) -> keras.optimizers.Optimizer:
    """Build the optimizer of a phase; its `iterations` count updates.

    learning_rate: a number or a `LearningRateSchedule`. groups: division of an epoch into updates; None: an epoch of
    one update.

    Weight decay is decoupled from the gradient in every row (Loshchilov & Hutter 2019) and does not apply to biases and
    normalisation, as is usual.
    """
    from transfercli.models.keras_internals import skip_gradient_sum
    from transfercli.training.optim.accumulation import UpdateGroups

    groups = groups or UpdateGroups(config.accumulate, 1, config.accumulate)
    optimizer = OPTIMIZERS[config.name](config, learning_rate, groups)
    skip_gradient_sum(optimizer)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def slots_per_weight(config: OptimizerConfig) -> int:
    """Return the number of optimizer tensors in a checkpoint for each weight that trains, each of the weight's size."""
    import keras

    optimizer, variable = build_optimizer(config, 0.0), keras.Variable([0.0, 0.0, 0.0])
    optimizer.build([variable])
    return sum(slot.shape == variable.shape for slot in optimizer.variables) + bool(config.ema)


def scale_learning_rates(optimizer: keras.optimizers.Optimizer, factors: Sequence[float]) -> None:
    """Multiply the learning rate of each trainable variable (discriminative learning rates, Howard & Ruder 2018).

    factors: one per variable, in the order in which the optimizer was built. Decoupled weight decay is not scaled.
    """
    from transfercli.models.keras_internals import variable_index

    update = optimizer.update_step

    def scaled_update(gradient: Any, variable: Any, learning_rate: Any) -> Any:
        return update(gradient, variable, learning_rate * factors[variable_index(optimizer, variable)])

    optimizer.update_step = scaled_update


def regularize(model: keras.Model, config: RegularizationConfig) -> None:
    """Set the L1 and L2 penalty of the kernels that train, and remove that of all other weights."""
    import keras

    penalty = keras.regularizers.L1L2(config.l1, config.l2) if config.l1 or config.l2 else None
    for variable in model.weights:
        is_kernel = variable.name.endswith("kernel") and len(variable.shape) > 1
        variable.regularizer = penalty if is_kernel and variable.trainable else None
