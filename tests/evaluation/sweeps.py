"""Sweeps with a known best learning rate, for their page: hostile names, pruned and failed trials."""

from __future__ import annotations

import math
import random
from typing import Any

from transfercli.evaluation.report.search.charts import SearchedTrial
from transfercli.evaluation.report.search.page import Rival, Score, SweepPage, Winner
from transfercli.evaluation.report.search.parallel_coordinates import SearchAxis

HOSTILE = "<script>alert('größe')</script>"
AXES = (
    SearchAxis("training.optimizer.learning_rate", "log", 1e-5, 1e-2),
    SearchAxis("model.head.hidden", "choice", choices=([], [64], [256])),
    SearchAxis("model.head.dropout", "linear", 0.0, 0.5),
    SearchAxis("augmentation", "choice", choices=({"preset": "light", "views": 4}, {"preset": "light", "views": 8})),
    SearchAxis("training.batch_size", "linear", 8, 64),
    SearchAxis("model.base", "choice", choices=("resnet50", HOSTILE, "/home/zebulon/secret/base")),
)


def searched_trials(count: int) -> list[SearchedTrial]:
    """Trials whose score is best at a learning rate of 1e-3; every 10th is pruned, and high rates fail."""
    random_ = random.Random(0)
    trials = []
    for number in range(count):
        values = {axis.key: _value(axis, random_) for axis in AXES}
        rate = values["training.optimizer.learning_rate"]
        state = "failed" if rate > 5e-3 else "pruned" if number % 10 == 9 else "completed"
        score = 0.86 - 0.06 * (math.log10(rate) + 3) ** 2 + random_.gauss(0, 0.01)
        trials.append(
            SearchedTrial(
                number,
                state,
                values,
                score=score if state == "completed" else None,
                epochs=10,
                seconds=3.3,
                run=f"sweep-1-{number:03d}",
                reason="the loss is <nan>, see /home/zebulon/log.txt" if state == "failed" else None,
            )
        )
    return trials


def sweep_page(count: int = 80, **changes: Any) -> SweepPage:
    trials = searched_trials(count)
    scored = sorted((trial for trial in trials if trial.score is not None), key=lambda trial: -(trial.score or 0.0))
    content: dict[str, Any] = {
        "experiment": "<b>x</b> ünï",
        "sweep": "sweep-1",
        "metric": "val_accuracy",
        "lower": False,
        "method": "Values by the sampler tpe.",
        "axes": AXES,
        "trials": trials,
        "winner": winner_of(scored) if scored else None,
        "importances": [],
        "features": {"hits": count - 1, "misses": 1},
        "config": f"model:\n  base: {HOSTILE}\n",
        "command": "transfercli finetune x.yaml --set data.train=/home/zebulon/pictures",
        "reproduce": "transfercli sweep x.yaml",
    }
    return SweepPage(**(content | changes))


def winner_of(scored: list[SearchedTrial]) -> Winner:
    first, *others = scored[:3]
    best = first.score or 0.0
    return Winner(
        trial=first.number,
        naive=Score(best),
        corrected=Score(best - 0.02, (best - 0.06, best)),
        test=Score(best - 0.03),
        test_words="500 images",
        sentences=["2 of the 70 trials are not distinguishable"],
        rivals=[Rival(one.number, one.score or 0.0, (one.score or 0.0) - best, 0.01, 0.5) for one in (first, *others)],
        cheapest=others[-1].number if others else first.number,
    )


def _value(axis: SearchAxis, random_: random.Random) -> Any:
    if axis.scale == "choice":
        return random_.choice(axis.choices)
    if axis.scale == "log":
        return math.exp(random_.uniform(math.log(axis.low), math.log(axis.high)))
    return random_.randint(axis.low, axis.high) if isinstance(axis.low, int) else random_.uniform(axis.low, axis.high)
