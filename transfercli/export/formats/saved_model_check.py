"""Artefacts from elsewhere are asked what they hold before their runtime loads them: nothing that is loaded may run.

ONNX, LiteRT, OpenVINO and safetensors files hold arithmetic only. A Keras config can name any Python class, and a
TensorFlow graph can read and write files; both are taken only where they do neither.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError

MAX_CONFIG = 16 * 2**20
KERAS_ENTRIES = frozenset({"metadata.json", "config.json", "model.weights.h5", "labels.txt", "transfercli.json"})
# Keras classes that hold code, or load more from where they are told.
RUNNING = frozenset({"Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "TorchLayer"})
# TensorFlow operations that reach beyond the graph: files, Python, the network, other processes.
REACHING = (
    "File", "PyFunc", "Print", "Save", "Restore", "MergeV2", "Dataset", "Iterator", "Table", "Reader", "Send", "Recv",
    "Rpc", "Summary", "Queue", "LoadLibrary", "Debug", "Remote",
)  # fmt: skip
SAVER = ("__inference__traced_save", "__inference__traced_restore")  # what the loader itself calls, by no signature
TRUST = "export the run again with this program, or use its onnx, litert, openvino or safetensors artefact"


def check_keras_file(path: Path) -> None:
    """Raise `ArtefactError` unless a `.keras` file holds the usual three entries and names built-in classes alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            others = set(archive.namelist()) - KERAS_ENTRIES
            if others:
                raise ArtefactError(f"{path.name} holds {min(others)!r}, which no Keras file of a network has", TRUST)
            if archive.getinfo("config.json").file_size > MAX_CONFIG:
                raise ArtefactError(f"the config of {path.name} is larger than {MAX_CONFIG >> 20} MiB", TRUST)
            config = json.loads(archive.read("config.json"))
    except (KeyError, ValueError, zipfile.BadZipFile, RecursionError) as error:
        raise ArtefactError(f"{path.name} is no whole Keras file: {error}", TRUST) from error
    check_config(config, path)


def check_config(config: Any, path: Path) -> None:
    """Raise `ArtefactError` unless every class that a Keras config names is one of Keras' own that holds no code."""
    for entry in _entries(config):
        module, name = entry.get("module"), entry["class_name"]
        own = module is None or (isinstance(module, str) and module.split(".")[0] in ("keras", "builtins"))
        registered = entry.get("registered_name") or name
        if not own or name in RUNNING or name == "function" or not isinstance(registered, str) or ">" in registered:
            raise ArtefactError(f"{path.name} names {module}.{name}, and only Keras' own layers are loaded", TRUST)


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def check_saved_model(folder: Path) -> None:
    """Raise `ArtefactError` where a SavedModel's functions reach beyond the graph, or run anything on loading."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        model = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ArtefactError(f"{folder.name} is no whole SavedModel: {error}", TRUST) from error
    for graph in model.meta_graphs:
        for function in graph.graph_def.library.function:
            if not function.signature.name.startswith(SAVER):
                for node in function.node_def:
                    _check_node(node, folder)
        names = graph.object_graph_def.concrete_functions
        if not names or any(name.startswith(SAVER) for name in names):
            raise ArtefactError(f"{folder.name} is no SavedModel of TensorFlow 2", TRUST)
        kinds = {node.WhichOneof("kind") for node in graph.object_graph_def.nodes}
        if kinds & {"resource", "asset"}:
            raise ArtefactError(f"{folder.name} brings files or tables along, which are read on loading", TRUST)


def _check_node(node: Any, folder: Path) -> None:
    called = [value.func.name for value in node.attr.values()]
    called += [one.name for value in node.attr.values() for one in value.list.func]
    if any(word in node.op for word in REACHING) or any(name.startswith(SAVER) for name in called):
        raise ArtefactError(f"{folder.name} holds the operation {node.op}, which reaches beyond the graph", TRUST)
