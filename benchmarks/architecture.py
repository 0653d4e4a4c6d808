"""Architecture rules of the source tree, with the number of violations.

Usage: python -m benchmarks.architecture

Each function returns the violations of one rule, so an empty list means that the rule holds. The tests in
`tests/test_architecture.py` assert them; this script prints their number, and the largest value for each limit.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.source_tree import MODULES, PACKAGE, imported, tree_of

MAX_MODULES = 20  # in a folder
MAX_LINES = 60  # of a function
MAX_PARAMETERS = 8  # of a function outside of the command line
QUESTION_WORDS = ("What", "Which", "Whether", "Who", "Where", "How", "Why", "When")

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Allowed imports between the sub-packages of one package; all others are violations.
ALLOWED_SIBLING_IMPORTS = {
    "cli": {"commands": {"ui"}},
    "data": {"sources": {"remote"}, "remote": {"cache"}, "corrections": {"sources"}, "quality": {"corrections"}},
    "evaluation": {
        "statistics": {"metrics"},
        "confidence": {"metrics", "statistics"},
        "robustness": {"metrics", "statistics", "multilabel"},
        "multilabel": {"metrics", "statistics", "confidence"},
        "regression": {"metrics", "statistics"},
        "explain": {"confidence", "multilabel", "regression"},
        "monitoring": {"metrics", "robustness"},
        "report": {"metrics", "statistics", "robustness", "explain", "multilabel", "regression"},
    },
    "export": {"formats": {"tf_graph", "onnx_graph"}, "verify": {"formats"}, "card": {"formats"}},
    "models": {
        "average": {"tasks"},
        "unknown": {"weights"},
        "base_rows": {"networks"},
        "weights": {"base_rows", "networks"},
    },
    "training": {},
    "transfer": {"adapt": {"probe"}, "probe": {"features"}, "unknown": {"probe"}, "labelling": {"probe"}},
    "workflows": {
        "evaluate": {"train"},
        "compare": {"evaluate", "data", "train"},
        "data": {"train", "evaluate", "cluster"},
        "predict": {"cluster"},
        "serve": {"predict"},
        "monitor": {"predict", "data"},
        "ui": {"runs", "compare", "predict", "embed", "data", "evaluate"},
        "export": {"evaluate", "runs"},
        "embed": {"config", "data"},
        "recommend": {"train", "bases", "config"},
        "series": {"train", "evaluate"},
        "retrain": {"train", "evaluate", "export", "data", "monitor"},
        "sweep": {"train", "evaluate", "series"},
        "merge": {"train", "evaluate", "series", "data"},
    },
}


def modules_per_folder() -> Counter[str]:
    """Return the number of modules of each folder, `__init__.py` not counted."""
    paths = [path for path in MODULES.values() if path.name != "__init__.py"]
    return Counter(path.parent.relative_to(PACKAGE.parent).as_posix() for path in paths)


def import_graph() -> dict[str, set[str]]:
    """Return, for each module of the package, the modules of the package that it imports."""
    return {
        name: {target for target in imported(tree_of(path), early=False) if target in MODULES and target != name}
        - ({"transfercli"} if name != "transfercli" else set())
        for name, path in MODULES.items()
    }


def import_cycles() -> list[list[str]]:
    """Return groups of modules with circular imports (strongly connected components; Tarjan 1972)."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, graph = list(MODULES), import_graph()
    index_of = {name: index for index, name in enumerate(names)}
    edges = [(index_of[name], index_of[target]) for name, targets in graph.items() for target in targets]
    rows, columns = np.array(edges).T
    matrix = coo_array((np.ones(len(edges)), (rows, columns)), shape=(len(names), len(names)))
    _, components = connected_components(matrix, connection="strong")
    groups = defaultdict(list)
    for name, component in zip(names, components, strict=True):
        groups[component].append(name)
    return [group for group in groups.values() if len(group) > 1]


def forbidden_sibling_imports() -> list[str]:
    """Return imports between sub-packages of one package that `ALLOWED_SIBLING_IMPORTS` does not list."""
    violations = []
    for name, targets in import_graph().items():
        for target in targets:
            parts, target_parts = name.split("."), target.split(".")
            in_sub_packages = min(len(parts), len(target_parts)) >= 4
            if in_sub_packages and parts[1] == target_parts[1] and parts[2] != target_parts[2]:
                allowed = ALLOWED_SIBLING_IMPORTS[parts[1]].get(parts[2], set())
                violations += [f"{name} -> {target}"] if target_parts[2] not in allowed else []
    return violations


def functions() -> Iterator[tuple[str, Function]]:
    """Yield the module and the syntax tree of every function of the package."""
    for name, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, Function):
                yield name, node


def long_functions() -> list[str]:
    """Return functions of more than `MAX_LINES` lines."""
    return [f"{module}.{node.name}: {lines}" for module, node in functions() if (lines := line_count(node)) > MAX_LINES]


def functions_with_many_parameters() -> list[str]:
    """Return functions with more than `MAX_PARAMETERS` parameters, except the commands of the command line."""
    return [
        f"{module}.{node.name}: {count}"
        for module, node in functions()
        if not module.startswith("transfercli.cli.commands") and (count := parameter_count(node)) > MAX_PARAMETERS
    ]


def line_count(node: Function) -> int:
    """Return the number of lines from `def` to the end, without decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameter_count(node: Function) -> int:
    """Return the number of parameters, `self` and `cls` not counted."""
    arguments = [*node.args.posonlyargs, *node.args.args]
    is_method = bool(arguments) and arguments[0].arg in ("self", "cls")
    return len(arguments) - is_method + len(node.args.kwonlyargs)


def question_docstrings() -> list[str]:
    """Return docstrings that open with a question word instead of a noun or a verb."""
    kinds = (ast.Module, ast.ClassDef, *Function.__args__)
    return [
        f"{module}: {text.splitlines()[0]}"
        for module, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, kinds)
        and (text := ast.get_docstring(node))
        and text.split()[0].rstrip(",:") in QUESTION_WORDS
    ]


def main() -> None:
    folder, modules = modules_per_folder().most_common(1)[0]
    longest = max(functions(), key=lambda entry: line_count(entry[1]))
    print(f"modules: {len(MODULES)}; most in a folder: {modules} ({folder}), at most {MAX_MODULES} allowed")
    print(f"import cycles: {len(import_cycles())}")
    print(f"forbidden imports between sub-packages: {len(forbidden_sibling_imports())}")
    print(f"docstrings that open with a question word: {len(question_docstrings())}")
    print(f"functions of over {MAX_LINES} lines: {len(long_functions())}; longest: {longest[0]}.{longest[1].name}")
    many = len(functions_with_many_parameters())
    print(f"functions of over {MAX_PARAMETERS} parameters outside of the command line: {many}")


if __name__ == "__main__":
    main()
