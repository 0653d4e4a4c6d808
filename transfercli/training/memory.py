"""Out of memory: what would have fitted."""

from __future__ import annotations

from collections.abc import Callable

from transfercli.errors import OutOfSpaceError, is_out_of_space


def largest_fitting(step: Callable[[int], None], below: int) -> int | None:
    """The largest halving of `below` images that a step has room for; None where not even one has.

    step: takes a training step of so many images. Any other error ends the search, as there is nothing to learn then.
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


def no_memory(where: str, batch_size: int, step: Callable[[int], None]) -> OutOfSpaceError:
    """The error of a training that ran out of memory, with the batch size that would fit."""
    fitting = largest_fitting(step, batch_size)
    hint = f"set data.batch_size to {fitting}" if fitting else "lower data.image_size, or take a smaller model.base"
    return OutOfSpaceError(
        f"out of memory {where} with batches of {batch_size} images", f"{hint}; finished epochs are kept"
    )
