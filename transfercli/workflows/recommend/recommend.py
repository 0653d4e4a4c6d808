"""Workflow of `recommend`: measure bases on a sample of a config's images, and choose one by accuracy and cost.

A multilayer probe reads several layers of each frozen base, so that each image passes through it once. Its
cross-validated log loss orders bases more like their test accuracy than its cross-validated accuracy does
(benchmarks/RESULTS.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from transfercli.config.loader import load
from transfercli.config.schema import ExperimentConfig
from transfercli.config.types import MULTILABEL
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.task import with_task
from transfercli.errors import Interrupted, UsageError
from transfercli.reporting import Reporter
from transfercli.training.keras_import import check_backend
from transfercli.workflows.recommend.candidates import CandidateRequest, candidates_of
from transfercli.workflows.recommend.comparison import Comparison
from transfercli.workflows.recommend.result import ComparisonStopped, Recommendation
from transfercli.workflows.regression import refuse_numbers

PICTURE = ".png"


@dataclass(frozen=True)
class RecommendRequest:
    """Options of `recommend`.

    images: most images to measure on. picture: a PNG file to write, or None.
    """

    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    candidates: CandidateRequest = field(default_factory=CandidateRequest)
    images: int = 500
    picture: Path | None = None


def recommend_base(request: RecommendRequest, reporter: Reporter) -> Recommendation:
    """Compare the bases of a request on training and validation images.

    A base whose weights are missing, or that does not fit the images, has a problem in its row. If all have one, it is
    raised: `WeightsError` if one is that, else that of the first base. Raises `DataError` if the data cannot be used,
    `ComparisonStopped` after a signal.
    """
    _check_picture(request.picture)
    check_backend()
    loaded = load(request.config, request.overrides)
    with loaded.placing():
        task, _ = with_task(loaded.config)
    refuse_numbers(task.task, "recommend")
    if task.task == MULTILABEL:
        raise UsageError(
            "recommend compares bases for one class per image so far, and this config has several labels per image",
            "compare them with a sweep over model.base, and transfer.strategy: linear_probe",
        )
    candidates = candidates_of(request.candidates, loaded, request.runs)
    _report_choices(loaded.config, request.candidates, reporter)
    comparison = Comparison(candidates, request.config, request.overrides, request.runs, reporter)
    comparison.resolve()
    comparison.find_weights()
    if is_keras(loaded.config.data.train):
        comparison.prepare_backend()  # before Keras is imported for its data sets
    comparison.read_images(request.images)
    comparison.prepare_backend()
    try:
        comparison.measure()
    except Interrupted as stop:
        if not comparison.measured:
            raise
        raise ComparisonStopped(stop, comparison.result(complete=False)) from stop
    result = comparison.result()
    if request.picture is not None:
        _draw(result, request.picture)
        result = replace(result, picture=request.picture)
    return result


def _check_picture(path: Path | None) -> None:
    if path is not None and path.suffix.lower() != PICTURE:
        raise UsageError(f"--output {path} must end with {PICTURE}", "the picture is a PNG file: name it so")


def _report_choices(config: ExperimentConfig, request: CandidateRequest, reporter: Reporter) -> None:
    """Report the image size, which counts as much as the base, and keys that a linear head on a base does not have."""
    head = config.model.head
    if request.image_sizes:
        sizes = f"each base at {', '.join(map(str, request.image_sizes))} pixels"
    elif config.data.image_size is None:
        sizes = "each base at the size of its published network"
    else:
        sizes = f"{config.data.image_size} pixels, as in the config"
    more = "" if request.image_sizes else "; it counts as much as the base, and --image-sizes compares several"
    reporter.info(f"image size: {sizes}{more}")
    for key, value in (("hidden", head.hidden), ("dropout", head.dropout), ("taps", head.taps)):
        if value:
            reporter.info(f"model.head.{key} is not used here: bases are compared with a linear head on several layers")
    if config.model.drop_path:
        reporter.info("model.drop_path is not used here: bases are compared frozen")


def _draw(result: Recommendation, path: Path) -> None:
    """Write the picture of accuracy by time."""
    from transfercli.evaluation.report.cost_chart import Point, cost_chart_png

    sizes = {row.image_size for row in result.measured}
    points = [
        Point(
            row.name if len(sizes) == 1 or row.image_size is None else f"{row.name} {row.image_size[0]}",
            1000 * row.cost.seconds,
            row.rank.accuracy,
            row.rank.accuracy_interval,
            row.rank.pareto,
            row.rank.recommended,
        )
        for row in result.measured
        if row.cost and row.rank
    ]
    cost_chart_png(path, points, f"bases compared on {result.images} images")
