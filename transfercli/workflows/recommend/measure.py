"""Measurement of one base: its cost, and the predictions of a cross-validated multilayer probe on its features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from transfercli.reporting import Reporter
from transfercli.workflows.bases.bases import WEIGHT_BYTES, seconds_per_image
from transfercli.workflows.recommend.candidates import Candidate
from transfercli.workflows.recommend.ranking import HeldOut
from transfercli.workflows.recommend.sample import ImageSample
from transfercli.workflows.resolved_config import image_size, multiply_adds_of
from transfercli.workflows.train.setup import feature_cache, training_inputs

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig
    from transfercli.data.dataset import Dataset
    from transfercli.models.classifier import Classifier


@dataclass(frozen=True)
class Trial:
    """Candidate that can be measured, with the config of its probe."""

    candidate: Candidate
    config: ExperimentConfig

    @property
    def base(self) -> str:
        """Name of its row in the table of bases."""
        return str(self.config.model.base)

    @property
    def image_size(self) -> tuple[int, int]:
        return image_size(self.config)

    @property
    def title(self) -> str:
        """Name of the candidate, with the size of its images."""
        return f"{self.candidate.name} at {self.image_size[0]} x {self.image_size[1]}"

    @property
    def expected_multiply_adds(self) -> float:
        """Multiply-adds of one image, before the base is built: those of its published size, by the area."""
        return multiply_adds_of(self.config)


@dataclass(frozen=True)
class Cost:
    """Cost of a base without its head. seconds, multiply_adds: of one image; bytes: of its weights as float32."""

    seconds: float
    parameters: int
    bytes: int
    multiply_adds: int


def cost_of(classifier: Classifier) -> Cost:
    """Return the cost of a classifier's base, timed on this machine."""
    from transfercli.models.multiplications import multiplications

    parameters = classifier.base.count_params()
    return Cost(
        seconds_per_image(classifier.base),
        parameters,
        parameters * WEIGHT_BYTES,
        round(multiplications(classifier.base)),
    )


def held_out(
    trial: Trial, classifier: Classifier, dataset: Dataset, sample: ImageSample, reporter: Reporter
) -> HeldOut:
    """Return the predictions of the sample's images by heads that never saw them.

    The features are those that a fine-tuning reads, in the same cache. Raises `DataError` if they are not finite.
    """
    from transfercli.transfer.phase_builder import PhaseBuilder
    from transfercli.transfer.probe.cross_validation import cross_validate
    from transfercli.transfer.probe.normalisation import choose_normalisation
    from transfercli.transfer.probe.solved_head import layers_of, linear_problem

    config, parts = trial.config, sample.parts_in(dataset)
    inputs = replace(training_inputs(config, dataset, sample.labels, Reporter()), training=parts[0])
    builder = PhaseBuilder(classifier, inputs, feature_cache(config, reporter), reporter)
    layers, problem = layers_of(classifier, builder.cut_after_base()), linear_problem(builder, parts)
    layers = replace(layers, normalisation=choose_normalisation(problem, layers, reporter))
    result = cross_validate(problem, layers, reporter)
    return HeldOut(result.losses * problem.image_weights(), result.hits)
