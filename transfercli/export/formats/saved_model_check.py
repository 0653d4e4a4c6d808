"""Checks of untrusted SavedModel and Keras artefacts before they are loaded, so that no code of theirs can run.

ONNX, LiteRT, OpenVINO and safetensors files contain arithmetic only. A Keras config can name any Python class, and a
TensorFlow graph can read and write files; artefacts that do so are refused.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError

MAX_CONFIG = 16 * 2**20
KERAS_ENTRIES = frozenset(
    {"metadata.json", "config.json", "model.weights.h5", "labels.txt", "thresholds.json", "transfercli.json"}
)
# Keras classes that contain code, or load files named in their config.
CODE_CLASSES = frozenset({"Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "TorchLayer"})
# Parts of the names of TensorFlow operations that access files, Python, the network or other processes.
FORBIDDEN_OPERATIONS = (
    "File", "PyFunc", "Print", "Save", "Restore", "MergeV2", "Dataset", "Iterator", "Table", "Reader", "Send", "Recv",
    "Rpc", "Summary", "Queue", "LoadLibrary", "Debug", "Remote",
)  # fmt: skip
SAVER = ("__inference__traced_save", "__inference__traced_restore")  # called by the loader, by no signature
TRUST = "export the run again with this program, or use its onnx, litert, openvino or safetensors artefact"


def check_keras_file(path: Path) -> None:
    """Raise `ArtefactError` if a `.keras` file has unknown entries, or its config has classes that are not built in."""
    try:
        with zipfile.ZipFile(path) as archive:
            others = set(archive.namelist()) - KERAS_ENTRIES
            if others:
                raise ArtefactError(f"{path.name} contains {min(others)!r}, which is not part of a Keras file", TRUST)
            if archive.getinfo("config.json").file_size > MAX_CONFIG:
                raise ArtefactError(f"the config of {path.name} is larger than {MAX_CONFIG >> 20} MiB", TRUST)
            config = json.loads(archive.read("config.json"))
    except (KeyError, ValueError, zipfile.BadZipFile, RecursionError) as error:
        raise ArtefactError(f"{path.name} is not a complete Keras file: {error}", TRUST) from error
    check_config(config, path)


def check_config(config: Any, path: Path) -> None:
    """Raise `ArtefactError` unless every class in a Keras config is one of Keras' own without code."""
    for entry in _class_entries(config):
        module, name = entry.get("module"), entry["class_name"]
        own = module is None or (isinstance(module, str) and module.split(".")[0] in ("keras", "builtins"))
        has_code = name in CODE_CLASSES or name == "function"
        registered = entry.get("registered_name") or name
        if not own or has_code or not isinstance(registered, str) or ">" in registered:
            raise ArtefactError(f"{path.name} names {module}.{name}, and only Keras' own layers are allowed", TRUST)


def _class_entries(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every entry of a Keras config that names a class."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _class_entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _class_entries(inner)


def check_saved_model(folder: Path) -> None:
    """Raise `ArtefactError` if a function of a SavedModel has access outside the graph, or runs on loading."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        model = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ArtefactError(f"{folder.name} is not a complete SavedModel: {error}", TRUST) from error
    for graph in model.meta_graphs:
        for function in graph.graph_def.library.function:
            if not function.signature.name.startswith(SAVER):
                for node in function.node_def:
                    _check_node(node, folder)
        names = graph.object_graph_def.concrete_functions
        if not names or any(name.startswith(SAVER) for name in names):
            raise ArtefactError(f"{folder.name} is not a SavedModel of TensorFlow 2", TRUST)
        kinds = {node.WhichOneof("kind") for node in graph.object_graph_def.nodes}
        if kinds & {"resource", "asset"}:
            raise ArtefactError(f"{folder.name} contains assets or tables, which TensorFlow reads on loading", TRUST)


def _check_node(node: Any, folder: Path) -> None:
    called = [value.func.name for value in node.attr.values()]
    called += [function.name for value in node.attr.values() for function in value.list.func]
    if any(word in node.op for word in FORBIDDEN_OPERATIONS) or any(name.startswith(SAVER) for name in called):
        message = f"{folder.name} contains the operation {node.op}, which has access outside the graph"
        raise ArtefactError(message, TRUST)
