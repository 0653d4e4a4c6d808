"""`export`: write portable artefacts of a run, and prove each equal to it on its own validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.config.schema import FileWeights, RunWeights
from transfercli.data.sources.folders import absolute
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import base_folder
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.environment import versions
from transfercli.runs.folder import RunFolder, read_record
from transfercli.runs.lookup import find_named
from transfercli.workflows.evaluate.evaluate import read_split
from transfercli.workflows.export.card import write_card
from transfercli.workflows.model import TrainedRun, image_size, load_run, read_labels, read_run_config

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig
    from transfercli.data.dataset import Split
    from transfercli.export.exporter import Reference

PROOF_IMAGES = 500
SAMPLE_IMAGES = 200  # that a quantiser learns ranges from
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how a file begins that this program reads and TensorFlow does not


@dataclass(frozen=True)
class ExportCall:
    """formats: none takes the config's; out: None takes the run's own exports folder."""

    run: str
    runs: Path
    formats: tuple[str, ...] = ()
    quantize: str = "none"
    out: Path | None = None
    max_drop: float | None = None


def export_run(call: ExportCall, reporter: Reporter) -> dict[str, Any]:
    """The contract's result of `export`, and its `card`; `ExportRejected`, which carries both, where one lost much."""
    from transfercli.evaluation.confidence.trust import Trust
    from transfercli.export.exporter import ExportRejected, ExportRequest, check_places, export_formats
    from transfercli.export.formats.registry import check_formats
    from transfercli.export.spec import ExportSpec

    run = find_named(call.run, call.runs, reporter)
    config = read_run_config(run)
    formats = call.formats or tuple(config.export.formats)
    check_formats(formats, call.quantize)
    check_places(out := call.out or run.exports, formats)
    labels = read_labels(run)
    split = read_split(run, config, labels, "validation", reporter)
    samples = quantiser_samples(run, config, labels, reporter) if call.quantize == "int8" else None
    trained = load_run(run, reporter)
    from transfercli.models.inference_model import build_inference_model

    trust = trained.trust or Trust()
    facts = read_record(run)
    origin = {
        "run": run.label,
        "data_fingerprint": facts["data"]["fingerprint"],
        "weights_licence": licence(run, config),
    }
    spec = ExportSpec(labels, image_size(config), config.data.resize, trust.temperature, trust.confidence, origin)
    out = call.out or run.exports
    try:
        artefacts = export_formats(
            build_inference_model(trained.classifier, trust.temperature),
            spec,
            reference(trained, split, reporter),
            ExportRequest(formats, out, call.quantize, call.max_drop, samples),
            {"created": record.now(), "versions": versions()},
            reporter,
        )
    except ExportRejected as rejected:
        card = write_card(run, config, spec, out, reporter)
        rejected.result = {"run": str(run.path), "artefacts": rejected.artefacts, "card": card}
        raise
    return {"run": str(run.path), "artefacts": artefacts, "card": write_card(run, config, spec, out, reporter)}


def reference(trained: TrainedRun, split: Split, reporter: Reporter) -> Reference:
    """Up to 500 validation images, evenly taken, as pixels and as files, and what the run says of them."""
    from transfercli.data.batching.batches import ArraySource
    from transfercli.evaluation.confidence.trust import Trust
    from transfercli.export.exporter import Reference
    from transfercli.models.forward import forward

    chosen = _evenly(len(split), PROOF_IMAGES)
    pixels = split.images.read(chosen)
    logits = forward(trained.classifier.model, ArraySource(pixels), trained.config.data.batch_size, reporter, "predict")
    answers = (trained.trust or Trust()).judge(logits).probabilities.astype(np.float32)
    files = image_files(trained, [split.paths[index] for index in chosen])
    if any(_begins(file) in TIFF for file in files):
        reporter.warning("serve_bytes does not decode TIFF: the proof uses PNG files of the same pixels")
        files = ()
    return Reference(pixels, files, answers, split.targets[chosen])


def _begins(file: Path) -> bytes:
    """Its first bytes: a name may say what the file is not."""
    with file.open("rb") as opened:
        return opened.read(len(TIFF[0]))


def _evenly(total: int, most: int) -> np.ndarray:
    """At most so many of the numbers 0 to `total` - 1, evenly spaced."""
    return np.unique(np.linspace(0, total - 1, min(most, total)).astype(int))


def quantiser_samples(
    run: RunFolder, config: ExperimentConfig, labels: Sequence[str], reporter: Reporter
) -> np.ndarray:
    """uint8 [M, H, W, 3]: up to 200 training images, evenly taken."""
    split = read_split(run, config, labels, "train", reporter)
    return split.images.read(_evenly(len(split), SAMPLE_IMAGES))


def licence(run: RunFolder, config: ExperimentConfig) -> str:
    """Under which terms the weights stand that the run started from, in words."""
    weights = config.model.weights
    if weights == "none":
        return "trained from random weights: no licence but that of the images"
    if isinstance(weights, FileWeights):
        return f"started from the file {Path(weights.path).name}: its licence holds on"
    if isinstance(weights, RunWeights):
        return f"started from the run {read_record(run).get('parent') or weights.run}: its licence holds on"
    return BASES[str(config.model.base)].licence


def image_files(trained: TrainedRun, paths: list[str]) -> tuple[Path, ...]:
    """The files of recorded paths; none for a `keras:` data set, whose images never were files."""
    root = trained.config.data.train
    if is_keras(root):
        return ()
    base = base_folder(root, trained.folder)
    return tuple(Path(absolute(path, base)) for path in paths)
