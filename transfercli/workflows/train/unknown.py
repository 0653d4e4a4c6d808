"""Fit of a run's out-of-distribution score at the end of its training, with the weights of its best epoch."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from transfercli.config.types import REGRESSION
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.runs.listing import is_of_fold
from transfercli.workflows.train.job import Job

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.training.phases import HeldOut
    from transfercli.transfer.unknown.fit import Known
    from transfercli.workflows.train.setup import Setup

MOST_IMAGES = 2000  # of a split; bounds the cost of features that are not in the cache


def fit_unknown(job: Job, setup: Setup, reporter: Reporter) -> None:
    """Write `unknown.safetensors`: the score chosen on left-out classes, fitted to features of training images.

    At most `MOST_IMAGES` of each split are used. Features of the training images by a frozen base come from the cache,
    in the precision that the head was solved in; all others take one forward pass in float32, but for a run of a fold,
    which is no final model. If the features or the logits are not finite, nothing is written, with a warning.
    """
    if job.config.task == REGRESSION:  # the scores are of classes
        return
    import scipy.linalg  # noqa: F401 - loads its own BLAS, which can be limited only after that
    from threadpoolctl import threadpool_limits

    from transfercli.models.unknown.file import write_score
    from transfercli.transfer.unknown.choice import choose_score

    started = time.perf_counter()
    setup.trainer.assign_best()
    splits = (setup.builder.inputs.training, setup.builder.inputs.validation)
    exact = not is_of_fold(job.run)
    training = _known(setup, splits[0], job.config.seed, reporter, exact=False)
    validation = _known(setup, splits[1], job.config.seed, reporter, exact=exact, held_out=out_of_fold(setup))
    if not all(
        np.isfinite(known.features).all() and np.isfinite(known.energy).all() for known in (training, validation)
    ):
        reporter.warning("features of the base are not finite: unknown images are found by the energy only")
        return
    with threadpool_limits(1, "blas"):  # more threads gain little, and wait for each other if other programs run too
        score = replace(choose_score(training, validation, job.config.seed), taps=reads_taps(setup))
    write_score(job.run.unknown, score)
    measured = f"; AUROC {score.separation[score.name]:.3f} on left-out classes" if score.separation else ""
    seconds = time.perf_counter() - started
    reporter.debug(f"out-of-distribution score: {score.name}{measured}, fitted in {seconds:.1f} s")


def out_of_fold(setup: Setup) -> HeldOut | None:
    """Return predictions of images by heads that did not learn from them; None if the run's head did not either.

    A run that was stopped after its last epoch computes them again.
    """
    from transfercli.transfer.probe.solved_head import cross_validated

    if "cross_validated" not in setup.trainer.progress.line:
        return None
    return setup.trainer.validated or cross_validated(setup.builder, setup.plan.phases[-1].head)


def reads_taps(setup: Setup) -> bool:
    """Return True if the score's features are those of the taps: the head has some, and the base was not trained.

    The last layers of a base that was trained learnt the classes, and no figures say that its taps are better.
    """
    from transfercli.training.frozen import trained_layers

    return bool(setup.classifier.taps) and not trained_layers(setup.classifier, setup.plan)


def _known(
    setup: Setup, split: Split, seed: int, reporter: Reporter, *, exact: bool, held_out: HeldOut | None = None
) -> Known:
    """Return features, energies and targets of a split, or of a sample of it.

    exact: the features are of a pass in float32, as the threshold is compared with such ones later. Else they are the
    cached ones if there are some: those of training images are references, so that the ones that trained the head do.
    held_out: predictions of validation images that replace those of the run's weights.
    """
    from transfercli.evaluation.confidence.temperature import class_logits
    from transfercli.models.forward import forward
    from transfercli.models.unknown.features import score_features
    from transfercli.models.unknown.score import energies
    from transfercli.training.frozen import trained_layers
    from transfercli.transfer.features.features import features_of
    from transfercli.transfer.features.prefix import Prefix
    from transfercli.transfer.unknown.fit import Known, stratified_sample

    builder = setup.builder
    chosen = stratified_sample(split.targets, MOST_IMAGES, seed)
    sample = split.at(chosen)
    cut = builder.cut_after_base()
    stored = setup.features is not None and not trained_layers(setup.classifier, setup.plan)
    cache = replace(setup.features) if stored and setup.features else None  # a copy: its counts are not the training's
    prefix = Prefix(cut, "float32") if exact or not stored else builder.prefix_of(cut)
    pooled = features_of(sample, prefix, cache, reporter, reporter.debug)
    rows = pooled.read(np.arange(len(sample)))
    logits = forward(cut.top, ArrayRows(rows), len(rows), reporter, "features")
    if held_out is not None and held_out.rows is not None:
        wanted = len(builder.inputs.training) + chosen
        known = np.isin(wanted, held_out.rows)
        logits[known] = held_out.logits[np.searchsorted(held_out.rows, wanted[known])]
    features = score_features(setup.classifier.head, rows, reads_taps(setup))
    return Known(features, energies(class_logits(logits)), sample.targets, sample.groups)
