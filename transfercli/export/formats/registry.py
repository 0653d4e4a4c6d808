"""The table of export formats; a row is a writer, a reader and what both need.

Importable without Keras and TensorFlow: the config's schema asks for the row names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from transfercli.errors import UsageError
from transfercli.export.formats import keras_writer, litert, onnx, openvino, readers, safetensors, snippets
from transfercli.export.spec import WriteJob
from transfercli.text import did_you_mean

PARITY = 1e-3  # largest probability difference of a float32 artefact on the same uint8 tensor


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    write(job): writes the artefact of a keras.Model, uint8 [N, H, W, 3] -> float32 [N, C].
    read(path): loads it again, by the format's own runtime and nothing of the program that wrote it.
    loads: the lines of Python that load it where this package is not.
    entry: what is loaded, relative to `exports/FORMAT`: a file's name, or "" where the folder itself is the artefact.
    needs: modules that must be installed to write it, and `extra`, the extra of this package that brings them.
    runtime: those of them that reading it takes.
    quantize: what `--quantize` may say for it.
    """

    name: str
    doc: str
    write: Callable[[WriteJob], None]
    read: Callable[[Path], readers.Artefact]
    loads: str
    entry: str = ""
    needs: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    extra: str | None = None
    quantize: tuple[str, ...] = ("none",)


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            "saved_model",
            "TensorFlow SavedModel with the signatures serve (uint8 images) and serve_bytes (encoded images)",
            keras_writer.write_saved_model,
            readers.read_saved_model,
            snippets.SAVED_MODEL,
            needs=("tensorflow",),
            runtime=("tensorflow",),
        ),
        Format(
            "keras",
            "Keras' own file; plain Keras loads it, on any backend, without this package",
            keras_writer.write_keras,
            readers.read_keras,
            snippets.KERAS,
            entry="model.keras",
            needs=("keras",),
            runtime=("keras",),
        ),
        Format(
            "safetensors",
            "plain tensors and Keras' config of the network, for Keras on any backend",
            safetensors.write_safetensors,
            safetensors.read_safetensors_model,
            snippets.SAFETENSORS,
            entry="model.safetensors",
            needs=("keras",),
            runtime=("keras",),
        ),
        Format(
            "onnx",
            "ONNX, for onnxruntime and what else reads it",
            onnx.write_onnx,
            onnx.read_onnx,
            snippets.ONNX,
            entry="model.onnx",
            needs=("tensorflow", "onnx", "tf2onnx", "onnxruntime"),
            runtime=("onnxruntime",),
            extra="onnx",
            quantize=("none", "float16", "int8"),
        ),
        Format(
            "litert",
            "LiteRT (TensorFlow Lite), builtin operators only, for phones and small computers",
            litert.write_litert,
            litert.read_litert,
            snippets.LITERT,
            entry="model.tflite",
            needs=("tensorflow", "ai_edge_litert"),
            runtime=("ai_edge_litert",),
            extra="litert",
            quantize=("none", "float16", "int8"),
        ),
        Format(
            "openvino",
            "OpenVINO, for Intel's processors",
            openvino.write_openvino,
            openvino.read_openvino,
            snippets.OPENVINO,
            entry="model.xml",
            needs=("tensorflow", "openvino"),
            runtime=("openvino",),
            extra="openvino",
            quantize=("none", "float16"),
        ),
    )
}


def check_formats(names: tuple[str, ...], quantize: str = "none") -> None:
    """Refuse, before any work, what cannot be written here.

    Raises `UsageError` for an unknown format, a missing extra, or a quantisation that a format cannot do.
    """
    for name in names:
        if name not in FORMATS:
            raise UsageError(
                f"--format: {name!r} is not a known format: allowed are {', '.join(FORMATS)}",
                did_you_mean(name, tuple(FORMATS)) or None,
            )
        row = FORMATS[name]
        check_installed(row, row.needs, f"--format {name}")
        if quantize not in row.quantize:
            able = ", ".join(other.name for other in FORMATS.values() if quantize in other.quantize)
            reason = (
                f"{name} is written as float32 only; formats that can: {able}"
                if able
                else f"no format of this version can: {', '.join(FORMATS)} are written as float32 only"
            )
            raise UsageError(f"--quantize {quantize}: {reason}", "leave --quantize out")


def check_installed(row: Format, modules: tuple[str, ...], who: str) -> None:
    """Raise `UsageError` with the line that installs what is missing; `who` needs it."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"{who} needs {', '.join(missing)}, which is not installed",
            f"pip install 'transfercli[{row.extra}]'" if row.extra else f"pip install {' '.join(missing)}",
        )
