"""`export`: write portable artefacts of a run, and prove each equal to it on its own validation images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.config.schema import FileWeights, RunWeights
from transfercli.data.sources.folders import absolute
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import base_folder
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.runs import record
from transfercli.runs.environment import versions
from transfercli.workflows.export.card import write_card
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.structure import image_size

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class ExportResult:
    """Exported artefacts of a run.

    Attributes:
        run: the run folder.
        artefacts: format, path, size, parity, accuracy and latency of each, as its export.json has them.
        card: the path of the model card, or None if it was not written.
    """

    run: Path
    artefacts: list[dict[str, Any]]
    card: str | None

    def as_json(self) -> dict[str, Any]:
        return {"run": str(self.run), "artefacts": self.artefacts, "card": self.card}


def export_run(call: ExportCall, reporter: Reporter) -> ExportResult:
    """Export a run and write its model card.

    Raises `ExportRejected`, which carries the result, if an artefact lost too much accuracy.
    """
    from transfercli.export.exporter import ExportRejected, ExportRequest, check_output_folders, export_formats
    from transfercli.export.formats.registry import check_formats
    from transfercli.export.spec import ExportSpec

    run = StoredRun.find(call.run, call.runs, reporter)
    config = run.config
    formats = call.formats or tuple(config.export.formats)
    check_formats(formats, call.quantize)
    check_output_folders(out := call.out or run.folder.exports, formats)
    split = run.split("validation")
    samples = quantiser_samples(run) if call.quantize == "int8" else None
    classifier, trust = run.classifier, run.trust
    from transfercli.models.inference_model import build_inference_model

    origin = {
        "run": run.label,
        "data_fingerprint": run.record.fingerprint,
        "weights_licence": licence(run),
    }
    spec = ExportSpec(run.labels, image_size(config), config.data.resize, trust.temperature, trust.confidence, origin)
    try:
        artefacts = export_formats(
            build_inference_model(classifier, trust.temperature),
            spec,
            reference(run, split),
            ExportRequest(formats, out, call.quantize, call.max_drop, samples),
            {"created": record.utc_now(), "versions": versions()},
            reporter,
        )
    except ExportRejected as rejected:
        rejected.result = ExportResult(run.path, rejected.artefacts, write_card(run, spec, out))
        raise
    return ExportResult(run.path, artefacts, write_card(run, spec, out))


def reference(run: StoredRun, split: Split) -> Reference:
    """Up to 500 validation images, evenly taken, as pixels and as files, and what the run says of them."""
    from transfercli.export.exporter import Reference

    chosen = _evenly(len(split), PROOF_IMAGES)
    pixels = split.images.read(chosen)
    answers = run.probabilities(replace(split, images=ArrayRows(pixels)), "predict")
    files = image_files(run, [split.paths[index] for index in chosen])
    if any(_begins(file) in TIFF for file in files):
        run.reporter.warning("serve_bytes does not decode TIFF: the proof uses PNG files of the same pixels")
        files = ()
    return Reference(pixels, files, answers, split.targets[chosen])


def _begins(file: Path) -> bytes:
    """Its first bytes: a name may say what the file is not."""
    with file.open("rb") as opened:
        return opened.read(len(TIFF[0]))


def _evenly(total: int, most: int) -> np.ndarray:
    """At most so many of the numbers 0 to `total` - 1, evenly spaced."""
    return np.unique(np.linspace(0, total - 1, min(most, total)).astype(int))


def quantiser_samples(run: StoredRun) -> np.ndarray:
    """uint8 [M, H, W, 3]: up to 200 training images, evenly taken."""
    split = run.split("train")
    return split.images.read(_evenly(len(split), SAMPLE_IMAGES))


def licence(run: StoredRun) -> str:
    """Under which terms the weights stand that the run started from, in words."""
    weights = run.config.model.weights
    if weights == "none":
        return "trained from random weights: no licence but that of the images"
    if isinstance(weights, FileWeights):
        return f"started from the file {Path(weights.path).name}: its licence holds on"
    if isinstance(weights, RunWeights):
        return f"started from the run {run.record.parent or weights.run}: its licence holds on"
    return BASES[str(run.config.model.base)].licence


def image_files(run: StoredRun, paths: list[str]) -> tuple[Path, ...]:
    """The files of recorded paths; none for a `keras:` data set, whose images never were files."""
    root = run.config.data.train
    if is_keras(root):
        return ()
    base = base_folder(root)
    return tuple(Path(absolute(path, base)) for path in paths)
