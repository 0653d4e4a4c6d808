"""`transfercli export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli import completion
from transfercli.cli.options import RUNS, Json, Quiet, Run, Runs, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.tables import print_pairs


class Quantize(StrEnum):
    none = "none"
    float16 = "float16"
    int8 = "int8"


def export(
    run: Run,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="F",
            help="saved_model, keras, safetensors, onnx, litert or openvino; repeatable; else the config's",
            autocompletion=completion.table_names("format"),
        ),
    ] = None,
    quantize: Annotated[
        Quantize, typer.Option("--quantize", help="smaller numbers: onnx and litert both, openvino float16")
    ] = Quantize.none,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="instead of the run's exports folder")
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option("--max-drop", metavar="X", min=0, help="largest loss of accuracy allowed")
    ] = None,
    runs: Runs = RUNS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write portable artefacts, each proved equal to the run.

    An artefact is loaded again by its own runtime and compared with the run before success is reported.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.export.export import ExportCall, export_run

        call = ExportCall(run, runs, tuple(formats or ()), quantize.value, out, max_drop)
        return export_run(call, console)

    run_command(work, _show, as_json=json, quiet=quiet, verbose=verbose)


def _show(result: dict[str, Any]) -> None:
    print_pairs([("run", result["run"])])
    for artefact in result["artefacts"]:
        print()
        drop = artefact["accuracy_original"] - artefact["accuracy_exported"]
        latency = ", ".join(f"{ms:g} ms at {name.replace('_', ' ')}" for name, ms in artefact["latency_ms"].items())
        print_pairs(
            [
                ("format", artefact["format"]),
                ("path", artefact["path"]),
                ("size", f"{artefact['bytes'] / 1e6:.1f} MB"),
                (
                    "largest difference",
                    f"{artefact['max_abs_diff']:.2g} from pixels, {artefact['max_abs_diff_bytes']:.2g} from files",
                ),
                ("same label", f"{artefact['label_agreement']:.2%} of {artefact['examples']} validation images"),
                (
                    "accuracy",
                    f"{artefact['accuracy_exported']:.4f} (run {artefact['accuracy_original']:.4f}, drop {drop:.4f})",
                ),
                ("latency", latency),
            ]
        )
    if result["card"]:
        print()
        print_pairs([("model card", result["card"])])
