"""`export`: write portable artefacts of a run, and prove each equal to it on its own validation images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transfercli.data.keras_sets import is_keras
from transfercli.data.listing import base_folder
from transfercli.data.sources import absolute
from transfercli.events import Events
from transfercli.runs import record
from transfercli.runs.folder import find_run, read_record
from transfercli.runs.surroundings import versions
from transfercli.workflows.evaluate import read_split
from transfercli.workflows.model import TrainedRun, image_size, load_run, read_labels, read_run_config

if TYPE_CHECKING:
    from transfercli.data.dataset import Split
    from transfercli.export.exporter import Reference

PROOF_IMAGES = 500
GRAPH_READS = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif"}  # what TensorFlow's decoders take


@dataclass(frozen=True)
class ExportCall:
    """formats: none takes the config's; out: None takes the run's own exports folder."""

    run: str
    runs: Path
    formats: tuple[str, ...] = ()
    quantize: str = "none"
    out: Path | None = None
    max_drop: float | None = None


def export_run(call: ExportCall, events: Events) -> dict[str, Any]:
    """The contract's result of `export`; `ExportRejected`, which carries the results, where one lost too much."""
    from transfercli.export.exporter import ExportRejected, ExportRequest, export_formats
    from transfercli.export.formats import check_formats
    from transfercli.export.spec import ExportSpec

    run = find_run(call.run, call.runs)
    config = read_run_config(run)
    formats = call.formats or tuple(config.export.formats)
    check_formats(formats, call.quantize)
    split = read_split(run, config, read_labels(run), "validation", events)
    trained = load_run(run, events)
    facts = read_record(run)
    try:
        artefacts = export_formats(
            trained.classifier.predictor,
            ExportSpec(trained.labels, image_size(config), config.data.resize),
            reference(trained, split, events),
            ExportRequest(formats, call.out or run.exports, call.quantize, call.max_drop),
            {
                "run": run.label,
                "data_fingerprint": facts["data"]["fingerprint"],
                "created": record.now(),
                "versions": versions(),
            },
            events,
        )
    except ExportRejected as rejected:
        rejected.result = {"run": str(run.path), "artefacts": rejected.artefacts}
        raise
    return {"run": str(run.path), "artefacts": artefacts}


def reference(trained: TrainedRun, split: Split, events: Events) -> Reference:
    """Up to 500 validation images, evenly taken, as pixels and as files, and what the run says of them."""
    from transfercli.data.batches import ArraySource
    from transfercli.export.exporter import Reference
    from transfercli.models.forward import forward

    chosen = np.unique(np.linspace(0, len(split) - 1, min(PROOF_IMAGES, len(split))).astype(int))
    pixels = split.images.read(chosen)
    answers = forward(
        trained.classifier.predictor, ArraySource(pixels), trained.config.data.batch_size, events, "predict"
    )
    files = image_files(trained, [split.paths[index] for index in chosen])
    unread = sorted({file.suffix.lower() for file in files} - GRAPH_READS)
    if unread:
        events.warn(f"serve_bytes does not decode {', '.join(unread)}: the proof uses PNG files of the same pixels")
        files = ()
    return Reference(pixels, files, answers, split.targets[chosen])


def image_files(trained: TrainedRun, paths: list[str]) -> tuple[Path, ...]:
    """The files of recorded paths; none for a `keras:` data set, whose images never were files."""
    root = trained.config.data.train
    if is_keras(root):
        return ()
    base = base_folder(root, trained.folder)
    return tuple(Path(absolute(path, base)) for path in paths)
