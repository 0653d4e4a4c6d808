"""Out-of-memory errors, with the batch size that would fit."""

from __future__ import annotations

from collections.abc import Callable

from transfercli.errors import OutOfSpaceError, is_out_of_space


def largest_fitting(step: Callable[[int], None], below: int) -> int | None:
    """Return the largest batch size of below/2, below/4, … that fits into memory; None if not even 1 does.

    step: runs a training step with a given number of images. An error other than out of memory ends the search: None.
    """
    size = below // 2
    while size:
        try:
            step(size)
        except Exception as error:
            if not is_out_of_space(error):
                return None
            size //= 2
        else:
            return size
    return None


def out_of_memory_error(context: str, batch_size: int, step: Callable[[int], None] | None) -> OutOfSpaceError:
    """Return the error of a training that ran out of memory; its hint gives the batch size that would fit.

    context: the place in the training, such as "in epoch 3". step: as in `largest_fitting`; None if other processes
    take part in a step, so that this one cannot try any alone.
    """
    fitting = largest_fitting(step, batch_size) if step else None
    if step is None:
        hint = "lower data.batch_size, or use more devices"
    else:
        hint = f"set data.batch_size to {fitting}" if fitting else "lower data.image_size, or use a smaller model.base"
    return OutOfSpaceError(
        f"out of memory {context} with batches of {batch_size} images", f"{hint}; finished epochs are kept"
    )
