"""The house's rules that no type checker sees: who imports whom, how early, and what is never called."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.source_tree import MODULES, PACKAGE, SOURCES, imported, room_of, tree_of, way_to_heavy
from transfercli.config.registries import TABLES

TOP = {"errors", "redaction", "reporting", "rows", "shards", "text"}  # below all rooms
# Which rooms a room may import, besides itself, the modules on top and the package's version.
LOW = {"config", "runs", "io"}
DATA = LOW | {"data"}
MAY_IMPORT = {
    "io": set(),
    "web": {"io"},
    "config": {"io"},
    "runs": {"config", "io"},
    "data": LOW,
    "models": LOW,
    "training": DATA | {"models"},
    "transfer": DATA | {"models", "training"},
    "evaluation": DATA | {"models", "training"},
    "export": DATA | {"models", "training"},
    "workflows": DATA | {"models", "training", "transfer", "evaluation", "export", "web"},
    "cli": DATA | {"models", "training", "transfer", "evaluation", "export", "web", "workflows"},
}
LIGHT = ("cli", "config", "io", "runs", "workflows")


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_imports_point_one_way(room):
    wrong = []
    for module, path in MODULES.items():
        if room_of(module) != room:
            continue
        targets = {room_of(name) for name in imported(tree_of(path), early=False) if name.startswith("transfercli.")}
        wrong += [f"{module} -> {target}" for target in targets - {room, *TOP} - MAY_IMPORT[room]]
    assert wrong == []


def test_every_room_has_its_place_in_the_order():
    rooms = {path.relative_to(PACKAGE).parts[0] for path in SOURCES if path.parent != PACKAGE}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", LIGHT)
def test_light_rooms_reach_no_heavy_library_when_imported(room):
    ways = [way_to_heavy(module, set()) for module in MODULES if room_of(module) == room]
    assert [" -> ".join(way) for way in ways if way] == []


@pytest.mark.parametrize("table", sorted(TABLES))
def test_tables_that_the_config_asks_reach_no_heavy_library_when_imported(table):
    assert way_to_heavy(TABLES[table][0], set()) == []


@pytest.mark.parametrize("module", ["corruptions", "tta"])
def test_what_changes_images_in_an_evaluation_can_be_looked_up_without_a_heavy_library(module):
    assert way_to_heavy(f"transfercli.evaluation.robustness.{module}", set()) == []


def test_import_chain_is_found_through_other_modules():
    assert way_to_heavy("transfercli.export.tf_graph.decode_images", set()) == [
        "transfercli.export.tf_graph.decode_images",
        "tensorflow",
    ]
    assert way_to_heavy("transfercli.export.exporter", set()) == []


HELP = """
import runpy, sys
sys.argv = ["transfercli", "--help"]
try:
    runpy.run_module("transfercli", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    assert not stop.code, stop.code
heavy = {"keras", "tensorflow", "sklearn", "matplotlib", "pydantic", "scipy", "numpy", "PIL"}
print("LOADED", *sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def test_help_answers_without_a_heavy_library():
    run = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, check=False, cwd=PACKAGE.parent, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert "finetune" in run.stdout
    assert run.stderr.strip().splitlines()[-1] == "LOADED"


# What runs code or writes where an archive says; and the only files that may.
READERS = {"transfercli.export.formats.readers"}
CHILDREN = {
    "transfercli.export.verify.sandbox",
    "transfercli.export.verify.parity",
    "transfercli.workflows.serve.model_process",
}  # processes of their own, which load artefacts
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "marshal",
    "shelve",
    "cloudpickle",
    "joblib",
    "code",
    "tarfile",
    "runpy",
}
# Modules that few may import: who reads archives and HDF5 looks at them first, or is a process of its own.
RESERVED_MODULES = {
    "h5py": {"transfercli.models.weights.h5_reader"},
    "zipfile": {
        "transfercli.export.formats.saved_model_check",
        "transfercli.export.formats.embedded_spec",
        "transfercli.transfer.embeddings.files",
    },
}
# Bare builtins, the last two parts of a dotted call, or ".name" for a function of any module; and who may call it.
FORBIDDEN_CALLS: dict[str, set[str]] = {
    "eval": set(),
    "exec": set(),
    "compile": set(),
    "__import__": set(),
    "yaml.load": set(),
    "yaml.unsafe_load": set(),
    "yaml.full_load": set(),
    "os.system": set(),
    "os.popen": set(),
    "saved_model.load": READERS,
    ".load_model": READERS,
    "row.read": CHILDREN,
    "FORMATS[name].read": CHILDREN,
    "torch.load": set(),
    ".read_pickle": set(),
    ".model_from_json": {"transfercli.export.formats.safetensors"},
    ".model_from_config": set(),
    ".extract": set(),
    ".deserialize_keras_object": set(),
    ".enable_unsafe_deserialization": set(),
    ".extractall": set(),
    ".unpack_archive": set(),
}
NEVER_TRUE = {"allow_pickle", "shell"}


def _unsafe(module: str, tree: ast.AST) -> list[str]:
    tops = {name: name.split(".")[0] for name in imported(tree, early=False)}
    found = [name for name, top in tops.items() if top in FORBIDDEN_MODULES]
    found += [name for name, top in tops.items() if module not in RESERVED_MODULES.get(top, {module})]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        parts = called.split(".")
        spellings = {called, ".".join(parts[-2:]), f".{parts[-1]}"}
        found += [
            f"{called} in line {node.lineno}" for name in spellings if module not in FORBIDDEN_CALLS.get(name, {module})
        ]
        if spellings & {"np.load", "numpy.load"} and "allow_pickle" not in {word.arg for word in node.keywords}:
            found.append(f"{called} without allow_pickle=False in line {node.lineno}")
        found += [
            f"{word.arg}= in line {node.lineno}"
            for word in node.keywords
            if word.arg in NEVER_TRUE and not (isinstance(word.value, ast.Constant) and word.value.value is False)
        ]
    return found


def test_nothing_that_is_loaded_can_run():
    found = {module: _unsafe(module, tree_of(path)) for module, path in MODULES.items()}
    assert {module: calls for module, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "np.load(path, allow_pickle=True)",
        "np.load(path)",
        "import h5py",
        "import tarfile",
        "torch.load(path)",
        "keras.models.model_from_json(text)",
        "FORMATS[name].read(path)",
        "archive.extract(name)",
        "keras.models.load_model(path)",
        "tf.saved_model.load(path)",
        "tarfile.open(path).extractall(folder)",
        "zipfile.ZipFile(path).extractall(folder)",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
    ],
)
def test_unsafe_line_would_be_seen(line):
    assert _unsafe("transfercli.data.anything", ast.parse(line)) != []


@pytest.mark.parametrize("line", ["model.compile(optimizer)", "re.compile(text)", "np.load(p, allow_pickle=False)"])
def test_harmless_line_is_let_through(line):
    assert _unsafe("transfercli.data.anything", ast.parse(line)) == []
