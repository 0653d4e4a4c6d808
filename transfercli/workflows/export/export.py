"""Workflow of `export`: portable artefacts of a run, each checked against the run on its validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.config.schema import ExperimentConfig, FileWeights, HubWeights, RunWeights
from transfercli.config.types import REGRESSION, Task
from transfercli.data.archive_members import archive_of
from transfercli.data.file_formats import HEAD_BYTES, format_of
from transfercli.data.image_notes import CONVERTED, STRETCHED, count_notes
from transfercli.data.sources.folders import absolute
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import base_folder
from transfercli.errors import UsageError
from transfercli.export.version_folders import VERSIONED, Version, add_version, check_base
from transfercli.io.addresses import is_remote
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.runs import record
from transfercli.runs.environment import versions
from transfercli.text import counted
from transfercli.workflows.conformal import scores_of_run
from transfercli.workflows.export.card import write_card
from transfercli.workflows.initial_weights import weight_source
from transfercli.workflows.known_images import known_images
from transfercli.workflows.resolved_config import geometry_of, head_of
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.export.exporter import Reference
    from transfercli.export.spec import ExportSpec, LabelDecisions, Network

PARITY_IMAGES = 500
NUMBER_FORMATS = ("saved_model", "keras", "onnx", "litert")  # for task: regression
SAMPLE_IMAGES = 200  # from which a quantiser measures value ranges
SERVED_FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP"})  # decoded by TensorFlow


@dataclass(frozen=True)
class ExportRunRequest:
    """Options of `export`.

    formats: empty for those of the config. out: None for the exports folder of the run. versions: folder of versions
    for TensorFlow Serving, which gets the SavedModel as its next one. keep_versions: how many stay; None for all.
    """

    run: str
    runs: Path
    formats: tuple[str, ...] = ()
    quantize: str = "none"
    out: Path | None = None
    max_drop: float | None = None
    versions: Path | None = None
    keep_versions: int | None = None


@dataclass(frozen=True)
class ExportResult:
    """Exported artefacts of a run.

    Attributes:
        run: the run folder.
        artefacts: format, path, size, parity, accuracy and latency of each, as its export.json has them.
        card: the path of the model card, or None if it was not written.
        version: the newest version of the folder of versions, or None if none was asked for.
    """

    run: Path
    artefacts: list[dict[str, Any]]
    card: str | None
    version: Version | None = None

    def as_json(self) -> dict[str, Any]:
        version = {"version": self.version.as_json()} if self.version else {}
        return {"run": str(self.run), "artefacts": self.artefacts, "card": self.card, **version}


def export_run(request: ExportRunRequest, reporter: Reporter) -> ExportResult:
    """Export a run and write its model card.

    Raises `ExportRejected`, which carries the result, if an artefact lost too much accuracy.
    """
    from transfercli.export.exporter import ExportRejected, ExportRequest, check_output_folders, export_formats
    from transfercli.export.formats.registry import check_formats

    run = StoredRun.find(request.run, request.runs, reporter)
    config = run.config
    formats = request.formats or tuple(config.export.formats)
    check_formats(formats, request.quantize)
    check_numbers(config.task, formats, request)
    check_output_folders(out := request.out or run.folder.exports, formats)
    check_versions(request, formats)
    split = run.split("validation")
    samples = quantiser_samples(run) if request.quantize == "int8" else None
    network = network_for(run, formats)
    classifier = run.classifier
    from transfercli.models.inference_model import build_inference_model

    spec = spec_of(run)
    try:
        artefacts = export_formats(
            build_inference_model(classifier, run.calibration, run.unknown),
            spec,
            reference_of(run, split),
            ExportRequest(formats, out, request.quantize, request.max_drop, samples, network),
            {"created": record.utc_now(), "versions": versions()},
            reporter,
        )
    except ExportRejected as rejected:
        rejected.result = ExportResult(run.path, rejected.artefacts, write_card(run, spec, out))
        raise
    card = write_card(run, spec, out)
    version = None
    if request.versions is not None:
        version = add_version(request.versions, out / VERSIONED, request.keep_versions, reporter)
    return ExportResult(run.path, artefacts, card, version)


def spec_of(run: StoredRun) -> ExportSpec:
    """Return the card of a run's artefacts: its labels, its geometry, and the decisions that its trust makes."""
    from transfercli.export.spec import ExportSpec

    trust = run.trust
    origin = {
        "run": run.label,
        "data_fingerprint": run.record.fingerprint,
        "weights_licence": licence(run),
    }
    geometry = geometry_of(run.config)
    return ExportSpec(
        run.labels,
        (geometry.height, geometry.width),
        geometry.resize,
        trust.temperature,
        trust.confidence,
        origin,
        geometry.background,
        geometry.levels,
        geometry.profiles,
        geometry.max_megapixels,
        scores.as_json() if not run.has_numbers and (scores := scores_of_run(run)) else None,
        {"score": run.unknown.name, "threshold": run.unknown.threshold} if run.unknown else None,
        label_decisions(run),
        trust.threshold,
        run.config.task,
    )


def check_versions(request: ExportRunRequest, formats: Sequence[str]) -> None:
    """Raise `UsageError` if the folder of versions cannot get this export."""
    if request.versions is None:
        if request.keep_versions is not None:
            raise UsageError("--keep-versions needs --versions DIR", "name the folder of versions, or leave it out")
        return
    if VERSIONED not in formats:
        raise UsageError(
            f"--versions holds {VERSIONED} artefacts, and this export writes {', '.join(formats)}",
            f"add --format {VERSIONED}",
        )
    check_base(request.versions)


def check_numbers(task: Task, formats: Sequence[str], request: ExportRunRequest) -> None:
    """Raise `UsageError` for a format or an option that a model of one number per image does not have yet."""
    if task != REGRESSION:
        return
    if others := [name for name in formats if name not in NUMBER_FORMATS]:
        raise UsageError(
            f"--format {', '.join(others)}: this format does not hold the number of task: regression yet",
            f"use one of {', '.join(NUMBER_FORMATS)}",
        )
    if request.quantize != "none" or request.max_drop is not None:
        raise UsageError(
            "--quantize and --max-drop limit the loss of accuracy, and task: regression gives an image a number",
            "leave both out",
        )


def label_decisions(run: StoredRun) -> LabelDecisions | None:
    """Return calibration and thresholds of a run with several labels an image; None for any other run."""
    from transfercli.export.spec import LabelDecisions

    if not run.several:
        return None
    trust = run.label_trust
    confidences = trust.abstention.confidences if trust.abstention else ()
    return LabelDecisions.of(trust.scales, trust.offsets, trust.thresholds, confidences)


def check_networks(config: ExperimentConfig, formats: Sequence[str]) -> None:
    """Raise `UsageError` if a format writes the networks of another library, which lacks that of a config."""
    from transfercli.export.formats.registry import FORMATS

    checks = [check for name in formats if (check := FORMATS[name].check)]
    if checks and (further := len(config.model.members)):
        refusing = ", ".join(name for name in formats if FORMATS[name].check)
        raise UsageError(
            f"--format {refusing}: the run is an average of {further + 1} networks, which it cannot represent",
            "choose another format, such as onnx or safetensors, or export a member",
        )
    if checks and isinstance(config.model.base, str) and config.model.base in BASES:
        for check in checks:
            check(_network(config, {}))


def network_for(run: StoredRun, formats: Sequence[str]) -> Network | None:
    """Return the run's network with its own weights if a format writes it as the network of another library.

    Raises `UsageError` if that library has no such network.
    """
    from transfercli.export.formats.registry import FORMATS

    if not any(FORMATS[name].check for name in formats):
        return None
    check_networks(run.config, formats)
    classifier = run.classifier  # sets the backend up, before Keras is imported
    from transfercli.models.tensor_names import read_tensors

    return _network(run.config, read_tensors(classifier))


def _network(config: ExperimentConfig, tensors: Mapping[str, np.ndarray]) -> Network:
    from transfercli.export.spec import Network

    base, head = str(config.model.base), head_of(config)
    row, pooling = BASES[base], head.pooling or BASES[base].pooling
    plain = not head.taps and head.normalisation in (None, "none")
    channels, hidden = config.data.channels, tuple(head.hidden)
    return Network(base, row.preprocessing, channels, pooling, hidden, tensors, plain, config.task)


def reference_of(run: StoredRun, split: Split) -> Reference:
    """Return up to 500 evenly spaced images as pixels and as files, and the run's probabilities for them.

    They are images that the run was not trained on and no ancestor learnt from, if there are any.
    """
    from transfercli.export.exporter import Reference
    from transfercli.models.forward import forward

    left_out = known_images(run, split, run.reporter, own=True).left_out
    honest, known = np.flatnonzero(~left_out), 0
    if not len(honest):
        honest = np.arange(len(split))
        known = min(len(split), PARITY_IMAGES)
        learnt = f"learnt from each of the {counted(len(split), f'{split.name} image')}"
        optimistic = "the accuracies before and after the export are too optimistic, and show only their difference"
        if run.record.refitted:  # as the config asked for
            run.reporter.info(f"the run {learnt} in the end: {optimistic}")
        else:
            run.reporter.warning(f"an ancestor {learnt}: {optimistic}")
    indices = honest[_evenly_spaced(len(honest), PARITY_IMAGES)]
    pixels = split.images.read(indices)
    outputs = forward(run.scored_model, ArrayRows(pixels), run.config.data.batch_size, run.reporter)
    logits, unknown = run.logits_and_scores(outputs)
    files = image_files(run, [split.paths[index] for index in indices])
    if reason := _reason_for_png(files, [split.notes[index] for index in indices]):
        run.reporter.warning(f"{reason}: the parity check uses PNG files of the same pixels")
        files = ()
    return Reference(pixels, files, run.calibrate(logits), split.targets[indices], known, unknown)


def _reason_for_png(files: Sequence[Path], notes: Sequence[str]) -> str:
    """Return why serve_bytes would not read files as the run does; "" if it would."""
    others = sorted({name for file in files if (name := _format(file)) not in SERVED_FORMATS})
    if others:
        return f"serve_bytes does not decode {' and '.join(others)}"
    counts = count_notes(notes)
    if profiles := files and counts[CONVERTED]:
        return f"serve_bytes ignores colour profiles, which {counted(profiles, 'image')} of the check have"
    if files and counts[STRETCHED]:
        return "serve_bytes does not stretch 16-bit samples (data.levels)"
    return ""


def _format(file: Path) -> str:
    """Return the format of a file by its first bytes: its name may have the wrong suffix."""
    with file.open("rb") as stream:
        return format_of(stream.read(HEAD_BYTES))


def _evenly_spaced(total: int, limit: int) -> np.ndarray:
    """Return at most `limit` evenly spaced numbers from 0 to `total` - 1."""
    return np.unique(np.linspace(0, total - 1, min(limit, total)).astype(int))


def quantiser_samples(run: StoredRun) -> np.ndarray:
    """Return up to 200 evenly spaced training images, uint8 [M, H, W, 3]."""
    split = run.split("train")
    return split.images.read(_evenly_spaced(len(split), SAMPLE_IMAGES))


def licence(run: StoredRun) -> str:
    """Return a description of the licence of the weights that the run started from."""
    weights = run.config.model.weights
    if members := run.record.members:
        return f"merged from {', '.join(member['run'] for member in members)}: their licences still apply"
    if weights == "none":
        return "trained from random weights: only the licence of the images applies"
    source = weight_source(run.config)
    if isinstance(source, FileWeights):
        return f"started from the file {Path(source.path).name}: its licence still applies"
    if isinstance(source, HubWeights):
        return hub_licence(source, run)
    if isinstance(weights, RunWeights):
        return f"started from the run {run.record.parent or weights.run}: its licence still applies"
    return BASES[str(run.config.model.base)].licence


def hub_licence(source: HubWeights, run: StoredRun) -> str:
    """Return the licence of a repository's weights, as its card had it when the run started, as text for a person."""
    recorded = run.record.weights
    revision = recorded.get("revision") or source.revision
    name = f"{source.hub}{f'@{str(revision)[:12]}' if revision else ''}"
    if isinstance(licence := recorded.get("licence"), str):
        return f"started from {name}, whose model card says {licence}: that licence still applies"
    return f"started from {name}: the licence on its page, https://huggingface.co/{source.hub}, still applies"


def image_files(run: StoredRun, paths: list[str]) -> tuple[Path, ...]:
    """Return the files of recorded paths; empty if some are no files here: of `keras:`, remote, or in archives."""
    root = run.config.data.train
    if is_keras(root) or is_remote(root):
        return ()
    base = base_folder(root)
    files = tuple(absolute(path, base) for path in paths)
    inside = any(is_remote(path) or archive_of(file) for path, file in zip(paths, files, strict=True))
    return () if inside else tuple(map(Path, files))
