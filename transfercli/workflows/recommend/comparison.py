"""Comparison of candidates in steps: resolve each, find its weights, read the images, measure the cheapest first.

An error of one candidate is its problem, and the others go on.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from transfercli.config.loader import load
from transfercli.config.schema import ExperimentConfig, RunWeights
from transfercli.data.clusters import cluster_indices, count_clusters
from transfercli.data.dataset import Dataset, Split
from transfercli.data.image import Geometry
from transfercli.data.load import load_dataset
from transfercli.errors import ArtefactError, ConfigError, DataError, TransferError, WeightsError
from transfercli.reporting import Forwarding, Reporter
from transfercli.text import counted, duration
from transfercli.workflows.held_out_images import FEWEST
from transfercli.workflows.initial_weights import check_weights, source_name, weight_source
from transfercli.workflows.lineage import base_learnt_from
from transfercli.workflows.new_model import find_parent, new_classifier
from transfercli.workflows.recommend.candidates import Candidate
from transfercli.workflows.recommend.measure import Cost, Trial, cost_of, held_out
from transfercli.workflows.recommend.ranking import HeldOut, Rank, on_common_images, rank
from transfercli.workflows.recommend.result import BaseRow, Recommendation
from transfercli.workflows.recommend.sample import ImageSample, draw_sample
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import load_for_new_run
from transfercli.workflows.train.training_data import data_request

OF_ONE_BASE = (WeightsError, ArtefactError, ConfigError, DataError)
NOT_REACHED = "not measured: the command was stopped before"


class Comparison:
    """Candidates, and what is known of each by its number.

    trials: those whose config could be resolved. problems: errors, after which a candidate is left out. measured: cost
    and predictions.
    """

    def __init__(
        self, candidates: Sequence[Candidate], config: Path, overrides: tuple[str, ...], runs: Path, reporter: Reporter
    ) -> None:
        self.candidates, self.runs, self.reporter = candidates, runs, reporter
        self.config, self.overrides = config, overrides
        self.trials: dict[int, Trial] = {}
        self.problems: dict[int, TransferError] = {}
        self.measured: dict[int, tuple[Cost, HeldOut]] = {}
        self._datasets: dict[Geometry, Dataset] = {}
        self._sample: ImageSample

    # -- steps, in this order

    def resolve(self) -> None:
        """Resolve the config of each candidate, with the head of a probe."""
        probe = probe_settings(load(self.config, self.overrides).config)
        for number, candidate in enumerate(self.candidates):
            with self._leaving_out(number):
                if candidate.problem:
                    raise candidate.problem
                overrides = (*self.overrides, *candidate.settings, *probe)
                config = load_for_new_run(self.config, overrides, "finetune", self.runs).config
                self.trials[number] = Trial(candidate, config)
        self._check_some_left()

    def find_weights(self) -> None:
        """Find the weights of each candidate; published ones that are not here are downloaded."""
        for number, trial in self._left():
            with self._leaving_out(number):
                find_parent(trial.config, self.runs)
                check_weights(trial.config, _Named(self.reporter, trial.title))
        self._check_some_left()

    def read_images(self, most: int) -> None:
        """Read the images at every size, and draw the sample of at most so many. Raises `DataError` as a training."""
        for number, (_, trial) in enumerate(self._left()):
            geometry, config = geometry_of(trial.config), trial.config
            if geometry not in self._datasets:
                self._datasets[geometry] = load_dataset(data_request(config, self.runs / config.name), self.reporter)
            if number == 0:
                self._sample = draw_sample(self._datasets[geometry], most, config.seed)

    def prepare_backend(self) -> None:
        from transfercli.training.backend import prepare

        config = self._left()[0][1].config
        prepare(config.compute, config.seed)

    def measure(self) -> None:
        """Measure the cost and the accuracy of each candidate; one line reports each."""
        trials = sorted(self._left(), key=lambda pair: pair[1].expected_multiply_adds)
        for place, (number, trial) in enumerate(trials):
            self.reporter.progress(f"{trial.title}: building", place, len(trials), "bases")
            with self._leaving_out(number):
                self._measure(number, trial, [other for _, other in trials[place:]])
        self._check_some_left()

    def result(self, *, complete: bool = True) -> Recommendation:
        """Return the rows of all candidates: measured ones by log loss, then the others."""
        groups, numbers = self._sample.groups, list(self.measured)
        predictions = on_common_images([self.measured[number][1] for number in numbers], FEWEST)
        seconds = [self.measured[number][0].seconds for number in numbers]
        ranks = dict(zip(numbers, rank(predictions, seconds, cluster_indices(groups)), strict=True))
        numbers.sort(key=lambda number: ranks[number].log_loss)
        others = [number for number in range(len(self.candidates)) if number not in ranks]
        rows = [self._row(number, self.measured[number][0], ranks[number]) for number in numbers]
        rows += [self._row(number) for number in others]
        return Recommendation(
            rows, len(self._sample.paths), count_clusters(groups), complete, left_out=self._sample.left_out
        )

    # -- one candidate

    def _measure(self, number: int, trial: Trial, left: Sequence[Trial]) -> None:
        import keras

        reporter = _Named(self.reporter, trial.title)
        dataset = self._datasets[geometry_of(trial.config)]
        try:
            parent = find_parent(trial.config, self.runs)
            classifier, _ = new_classifier(trial.config, parent, self._sample.labels, reporter)
            counting = _not_learnt(parent.run, self._sample.parts_in(dataset), reporter) if parent.run else None
            cost = cost_of(classifier)
            if not self.measured:
                self._report_time(cost.seconds, left)
            predictions = held_out(trial, classifier, dataset, self._sample, reporter)
            predictions = predictions if counting is None else predictions.of(counting)
        finally:
            keras.backend.clear_session()  # frees the network
            gc.collect()
        self.measured[number] = cost, predictions
        accuracy = predictions.hits[predictions.known].mean()
        self.reporter.info(f"{trial.title}: accuracy {accuracy:.3f}, {1000 * cost.seconds:.1f} ms an image")

    def _report_time(self, seconds: float, left: Sequence[Trial]) -> None:
        """Report the expected time of all candidates, from the time of one image of the first."""
        images, first = len(self._sample.paths), left[0]
        work = sum(trial.expected_multiply_adds for trial in left) / first.expected_multiply_adds
        self.reporter.info(
            f"{counted(len(left), 'base')}, {images} images: about {duration(work * seconds * images)}, less if their"
            " features are in the cache"
        )

    def _row(self, number: int, cost: Cost | None = None, place: Rank | None = None) -> BaseRow:
        candidate, trial, problem = self.candidates[number], self.trials.get(number), self.problems.get(number)
        text = None if place else problem.message if problem else NOT_REACHED
        if trial is None:
            return BaseRow(candidate.name, None, None, None, candidate.settings, problem=text)
        weights = weights_name(trial.config, self.runs)
        return BaseRow(
            candidate.name, trial.base, weights, trial.image_size, candidate.settings, cost, place, problem=text
        )

    def _left(self) -> list[tuple[int, Trial]]:
        return [(number, trial) for number, trial in self.trials.items() if number not in self.problems]

    @contextmanager
    def _leaving_out(self, number: int) -> Iterator[None]:
        """Make an error of one base its problem, and report it."""
        try:
            yield
        except OF_ONE_BASE as error:
            self.problems[number] = error
            if len(self.candidates) > 1:
                self.reporter.warning(f"{self.candidates[number].name} is left out: {error.message}")

    def _check_some_left(self) -> None:
        """Raise an error with those of all candidates if none is left: `WeightsError` if weights are missing."""
        if self._left():
            return
        errors = list(self.problems.values())
        if len(errors) == 1:
            raise errors[0]
        lines = [f"{self.candidates[number].name}: {error.message}" for number, error in self.problems.items()]
        first = next((error for error in errors if isinstance(error, WeightsError)), errors[0])
        raise type(first)("\n  ".join(("no base can be compared", *lines)), first.hint)


def _not_learnt(run: StoredRun, parts: Sequence[Split], reporter: Reporter) -> npt.NDArray[np.bool_]:
    """Return bool [N], False for each image of the sample that the base of a run was trained on.

    Any head on the base predicts such images too well. Raises `DataError` if too few others are left.
    """
    learnt = base_learnt_from(run)
    kept = np.array(
        [
            learnt.use_of(*hashes) != "train"
            for part in parts
            for hashes in zip(part.sha256s, part.pixel_hashes or ("",) * len(part), strict=True)
        ]
    )
    if kept.all():
        return kept
    text = f"{run.label} was trained on {int((~kept).sum())} of these {counted(len(kept), 'image')}"
    if kept.sum() < FEWEST:
        raise DataError(f"{text}, so they do not show what its base is worth", "compare it on other images")
    reporter.warning(f"{text}: they do not count, for it and in comparisons with it")
    return kept


def probe_settings(config: ExperimentConfig) -> tuple[str, ...]:
    """Return the settings, `KEY=VALUE`, of a multilayer probe on any base: the config's pooling, no other layers."""
    pooling = config.model.head.pooling
    head = {} if pooling in (None, "flatten") else {"pooling": pooling}
    text = yaml.safe_dump(head, default_flow_style=True).strip()
    return ("transfer={strategy: multilayer_probe}", f"model.head={text}", "model.drop_path=0")


def weights_name(config: ExperimentConfig, runs: Path) -> str:
    """Return the source of a base's weights, without folders of this machine: imagenet, a run, file or repository."""
    if isinstance(config.model.weights, RunWeights):
        parent = find_parent(config, runs)
        assert parent.run is not None
        return parent.run.label
    if isinstance(config.model.weights, str):
        return config.model.weights
    source = weight_source(config)
    assert source is not None
    return source_name(source)


class _Named(Forwarding):
    """Reporter whose lines begin with the name of a candidate; information is for `--verbose`."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        super().__init__(reporter)
        self._name = name

    def info(self, text: str) -> None:
        self.reporter.debug(f"{self._name}: {text}")

    def debug(self, text: str) -> None:
        self.reporter.debug(f"{self._name}: {text}")

    def warning(self, text: str) -> None:
        self.reporter.warning(f"{self._name}: {text}")

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.reporter.progress(f"{self._name}: {stage}", done, total, unit)
