"""The table of export formats: a writer, a reader and the required modules of each.

Importable without Keras and TensorFlow, because the config schema imports it for the names of the formats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from transfercli.config.types import MULTILABEL, Task
from transfercli.errors import UsageError
from transfercli.export.formats import (
    keras_writer,
    litert,
    onnx,
    openvino,
    readers,
    safetensors,
    snippets,
    torch_safetensors,
)
from transfercli.export.spec import Network, WriteJob
from transfercli.text import did_you_mean

PARITY = 1e-3  # largest probability difference of a float32 artefact on the same uint8 tensor


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table.

    write(job): writes the artefact of a keras.Model, as in `WriteJob`.
    read(path): loads it again with the format's own runtime.
    loads: Python code that loads it without this package; loads_several: if an image may have several labels, unless
    it is the same.
    entry: path to load, relative to `exports/FORMAT`: a file name, or "" if the folder itself is the artefact.
    needs: modules required to write it; extra: the extra of this package that installs them.
    runtime: modules required to read it; if one that is not in `needs` is missing, the artefact is written unproved.
    check: raises `UsageError` for a network that the format cannot represent; None if it can represent all.
    quantize: allowed values of `--quantize`.
    scored: True if the format has an output for the out-of-distribution score. A Keras model does not: its users take
    what it returns for the probabilities.
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
    scored: bool = False
    check: Callable[[Network], None] | None = None
    loads_several: str = ""

    def code(self, task: Task) -> str:
        """Return the Python code that loads an artefact of a model for this task without this package."""
        return self.loads_several or self.loads if task == MULTILABEL else self.loads

    @property
    def missing_runtime(self) -> list[str]:
        """Modules that are required to read an artefact and are not installed."""
        return [module for module in self.runtime if find_spec(module) is None]

    def carries_score(self, quantize: str) -> bool:
        """Return True if an artefact has the score; int8 is too coarse for distances, so it has none."""
        return self.scored and quantize != "int8"


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            "saved_model",
            "TensorFlow SavedModel with the signatures serve (uint8 images) and serve_bytes (encoded images)",
            keras_writer.write_saved_model,
            readers.read_saved_model,
            snippets.SAVED_MODEL,
            scored=True,
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
            "tensors and Keras' config of the network, for Keras on any backend",
            safetensors.write_safetensors,
            safetensors.read_safetensors_model,
            snippets.SAFETENSORS,
            entry="model.safetensors",
            needs=("keras",),
            runtime=("keras",),
        ),
        Format(
            "onnx",
            "ONNX, for onnxruntime and other ONNX runtimes",
            onnx.write_onnx,
            onnx.read_onnx,
            snippets.ONNX,
            scored=True,
            entry="model.onnx",
            needs=("onnx", "onnxruntime"),
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
            scored=True,
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
            scored=True,
            entry="model.xml",
            needs=("tensorflow", "openvino"),
            runtime=("openvino",),
            extra="openvino",
            quantize=("none", "float16"),
        ),
        Format(
            "torch_safetensors",
            "PyTorch's names and layout: load_state_dict of torchvision's or timm's ResNet, VGG or DenseNet reads it",
            torch_safetensors.write_torch_safetensors,
            torch_safetensors.read_torch_safetensors,
            snippets.TORCH_SAFETENSORS,
            entry="model.safetensors",
            needs=("keras",),
            runtime=("torch", "torchvision"),
            extra="torch",
            check=torch_safetensors.check_network,
            loads_several=snippets.TORCH_SAFETENSORS_SEVERAL,
        ),
    )
}


def check_formats(names: tuple[str, ...], quantize: str = "none") -> None:
    """Check that all formats can be written here.

    Raises `UsageError` for an unknown format, a missing module, or a quantisation that a format does not support.
    """
    for name in names:
        if name not in FORMATS:
            guess = did_you_mean(name, tuple(FORMATS))
            raise UsageError(
                f"--format: {name!r} is not a known format: allowed are {', '.join(FORMATS)}{guess and f'; {guess}'}"
            )
        row = FORMATS[name]
        check_installed(row, row.needs, f"--format {name}")
        if quantize not in row.quantize:
            supporting = ", ".join(other.name for other in FORMATS.values() if quantize in other.quantize)
            reason = (
                f"{name} is written as float32 only; formats that support it: {supporting}"
                if supporting
                else f"no format of this version supports it: {', '.join(FORMATS)} are written as float32 only"
            )
            raise UsageError(f"--quantize {quantize}: {reason}", "leave --quantize out")


def check_installed(row: Format, modules: tuple[str, ...], user: str) -> None:
    """Raise `UsageError`, with the command that installs them, if modules that `user` needs are missing."""
    missing = [module for module in modules if find_spec(module) is None]
    if not missing:
        return
    hint = f"pip install 'transfercli[{row.extra}]'" if row.extra else f"pip install {' '.join(missing)}"
    if missing == ["tensorflow"]:
        others = ", ".join(other.name for other in FORMATS.values() if "tensorflow" not in other.needs)
        hint = f"pip install tensorflow, or choose a format that does without: {others}"
    raise UsageError(f"{user} needs {', '.join(missing)}, which is not installed", hint)
