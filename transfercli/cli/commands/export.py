"""Command `transfercli export`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli.choices import Quantize, table_option
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_export
from transfercli.cli.options import RUNS, Run, Runs
from transfercli.cli.ui.tables import print_pairs
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.export.export import ExportResult

Formats = Annotated[
    list[str] | None,
    table_option(
        "--format",
        "format",
        metavar="F",
        help="saved_model, keras, safetensors, onnx, litert, openvino or torch_safetensors; repeatable; without it the"
        " config's",
    ),
]
QuantizeOption = Annotated[
    Quantize, typer.Option("--quantize", help="store weights in fewer bits: onnx and litert both, openvino float16")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="folder to write to, instead of the run's exports folder")
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        metavar="X",
        min=0,
        help="largest loss of accuracy allowed; of mAP, if an image may have several labels",
    ),
]

Versions = Annotated[
    Path | None,
    typer.Option(
        "--versions",
        metavar="DIR",
        help="add the SavedModel to DIR as its next version 1, 2, 3 …: the --model_base_path of TensorFlow Serving",
    ),
]
KeepVersions = Annotated[
    int | None, typer.Option("--keep-versions", metavar="N", min=1, help="remove all but the newest N versions of DIR")
]


def _show(result: ExportResult) -> None:
    print_pairs([("run", result.run)])
    for artefact in result.artefacts:
        print()
        print_pairs(_pairs(artefact))
    if result.card:
        print()
        print_pairs([("model card", result.card)])
    if result.version:
        print()
        print_pairs([("version", f"{result.version.path}" + ("" if result.version.new else ", which has it already"))])


def _pairs(artefact: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "format", artefact["format"]
    yield "path", artefact["path"]
    yield "size", f"{artefact['bytes'] / 1e6:.1f} MB"
    if not artefact["proved"]:
        yield "not proved", "its runtime is not installed, so the artefact was not run"
        return
    difference = f"{artefact['max_abs_diff']:.2g} from pixels, {artefact['max_abs_diff_bytes']:.2g} from files"
    yield "largest difference", difference
    several = "map_original" in artefact
    same = "same labels" if several else "same label"
    yield same, f"{artefact['label_agreement']:.2%} of {artefact['examples']} validation images"
    if several:
        near = f"{artefact['near_threshold']:.2%} of the images have a probability as near to a threshold as that"
        yield "near a threshold", near
    yield from _scores(artefact)
    yield "latency", ", ".join(f"{ms:g} ms at {name.replace('_', ' ')}" for name, ms in artefact["latency_ms"].items())


def _scores(artefact: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the scores of the artefact beside those of the run."""
    for name in ("accuracy", "map"):
        original, exported = (artefact.get(f"{name}_{which}") for which in ("original", "exported"))
        if original is not None and exported is not None:
            yield name, f"{exported:.4f} (run {original:.4f}, drop {original - exported:.4f})"


@reports(_show, after_export)
def export(
    reporter: Reporter,
    run: Run,
    formats: Formats = None,
    quantize: QuantizeOption = "none",
    out: Out = None,
    max_drop: MaxDrop = None,
    versions: Versions = None,
    keep_versions: KeepVersions = None,
    runs: Runs = RUNS,
) -> ExportResult:
    """Export a run to portable formats, and verify each of them.

    Each artefact is loaded again by its own runtime and compared with the run before success is reported.

    Example: transfercli export flowers --format onnx --quantize float16
    """
    from transfercli.workflows.export.export import ExportRunRequest, export_run

    request = ExportRunRequest(run, runs, tuple(formats or ()), quantize, out, max_drop, versions, keep_versions)
    return export_run(request, reporter)
