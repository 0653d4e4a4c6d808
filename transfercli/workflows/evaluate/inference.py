"""One pass of a run's whole model over images, in float32, and what it says in calibrated probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transfercli.reporting import Reporter

if TYPE_CHECKING:
    import numpy as np

    from transfercli.data.dataset import Split
    from transfercli.workflows.model import TrainedRun


def split_logits(trained: TrainedRun, split: Split, reporter: Reporter, stage: str = "evaluate") -> np.ndarray:
    """float32 [N, C], or [N, 1] of a sigmoid head."""
    from transfercli.models.forward import forward

    return forward(trained.classifier.model, split.images, trained.config.data.batch_size, reporter, stage)


def probabilities_of(trained: TrainedRun, split: Split, reporter: Reporter, stage: str = "evaluate") -> np.ndarray:
    """float32 [N, C], calibrated, by the run's own labels, whatever the targets of the split are indices of."""
    return calibrated(trained, split_logits(trained, split, reporter, stage))


def calibrated(trained: TrainedRun, logits: np.ndarray) -> np.ndarray:
    """Logits [N, C], or [N, 1] of a sigmoid head, to float32 probabilities [N, C] at the run's temperature."""
    from transfercli.evaluation.confidence.trust import Trust

    return (trained.trust or Trust()).assess(logits).probabilities.astype("float32")
