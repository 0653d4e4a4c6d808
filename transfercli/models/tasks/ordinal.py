"""Ordered classes: logits of C classes from C - 1 outputs, each of which says if the class is above one of them.

Output k is the logit of P(y > k | y >= k), as in continuation-ratio models (Fienberg 1980) and CORN (Shi et al. 2021):
one sigmoid for each step, learnt from the images that reach the step, so that the probabilities of being above fall
along the order. The logits of the classes are the logarithms of their probabilities, whose softmax are these
probabilities: everything that reads the logits of classes reads these. Their cross-entropy is CORN's loss, as
-log P(y) is the sum of the losses of the steps that y reaches.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def step_targets(targets: np.ndarray, classes: int) -> np.ndarray:
    """Return targets int32 [N, C - 1] of the steps for classes int [N]: 1 above, 0 not, -1 if it is not reached."""
    steps = np.arange(classes - 1)
    reached, above = targets[:, None] >= steps, targets[:, None] > steps
    return np.where(reached, above, -1).astype(np.int32)


def log_probabilities(steps: np.ndarray) -> np.ndarray:
    """Return log probabilities float32 [N, C] of the logits [N, C - 1] of the steps."""
    values = steps.astype(np.float64)
    passed, stayed = -np.logaddexp(0, -values), -np.logaddexp(0, values)
    first = np.zeros((len(values), 1))
    below = np.concatenate([first, np.cumsum(passed, axis=1)], axis=1)
    return (below + np.concatenate([stayed, first], axis=1)).astype(np.float32)


def class_log_probabilities(steps: Any) -> Any:
    """Return symbolic log probabilities [N, C] of the logits [N, C - 1] of the steps."""
    from keras import ops

    count = steps.shape[-1]
    before = np.triu(np.ones((count, count + 1), "float32"), 1)  # the steps that a class is above
    at = np.eye(count, count + 1, dtype="float32")  # the step that it does not pass; the last class passes all
    return -(ops.matmul(ops.softplus(-steps), before) + ops.matmul(ops.softplus(steps), at))
