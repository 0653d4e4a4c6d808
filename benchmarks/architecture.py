"""Figures of the source tree that the architecture promises: python -m benchmarks.architecture

Each function returns the exceptions from one rule, so an empty list means that the rule holds. They are asserted in
`tests/test_architecture.py`; this script prints their number, and the largest value for each limit.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.source_tree import MODULES, PACKAGE, imported, tree_of

MOST_MODULES = 20  # in a folder
MOST_LINES = 60  # of a function
MOST_PARAMETERS = 8  # of a function outside the command line
OPENINGS = ("What", "Which", "Whether", "Who", "Where", "How", "Why", "When")

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Imports between the sub-packages of one room; all others are refused, and there are no circles.
SIBLINGS = {
    "cli": {"commands": {"ui"}},
    "data": {},
    "evaluation": {
        "statistics": {"metrics"},
        "confidence": {"metrics", "statistics"},
        "robustness": {"metrics", "statistics"},
        "explain": {"confidence"},
        "report": {"metrics", "statistics", "robustness", "explain"},
    },
    "export": {"formats": {"tf_graph"}, "verify": {"formats"}, "card": {"formats"}},
    "models": {},
    "training": {},
    "transfer": {"probe": {"features"}},
    "workflows": {
        "evaluate": {"train"},
        "compare": {"evaluate"},
        "data": {"train", "evaluate"},
        "export": {"evaluate", "runs"},
        "retrain": {"train", "evaluate", "export", "data"},
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


def circles() -> list[list[str]]:
    """Return groups of modules that import each other, directly or not (strongly connected components; Tarjan 1972)."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, graph = list(MODULES), import_graph()
    number = {name: index for index, name in enumerate(names)}
    arrows = [(number[name], number[target]) for name, targets in graph.items() for target in targets]
    rows, columns = np.array(arrows).T
    matrix = coo_array((np.ones(len(arrows)), (rows, columns)), shape=(len(names), len(names)))
    _, component = connected_components(matrix, connection="strong")
    groups = defaultdict(list)
    for name, group in zip(names, component, strict=True):
        groups[group].append(name)
    return [group for group in groups.values() if len(group) > 1]


def sibling_arrows() -> list[str]:
    """Return imports between sub-packages of one room that `SIBLINGS` does not list."""
    wrong = []
    for name, targets in import_graph().items():
        for target in targets:
            one, other = name.split("."), target.split(".")
            if len(one) == len(other) == 4 and one[1] == other[1] and one[2] != other[2]:
                allowed = SIBLINGS[one[1]].get(one[2], set())
                wrong += [f"{name} -> {target}"] if other[2] not in allowed else []
    return wrong


def functions() -> Iterator[tuple[str, Function]]:
    """Yield every function of the package with the module that it stands in."""
    for name, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, Function):
                yield name, node


def long_functions() -> list[str]:
    """Return functions of more than `MOST_LINES` lines."""
    return [f"{module}.{node.name}: {lines}" for module, node in functions() if (lines := lines_of(node)) > MOST_LINES]


def crowded_signatures() -> list[str]:
    """Return functions with more than `MOST_PARAMETERS` parameters, the commands of the command line apart."""
    return [
        f"{module}.{node.name}: {count}"
        for module, node in functions()
        if not module.startswith("transfercli.cli.commands") and (count := parameters_of(node)) > MOST_PARAMETERS
    ]


def lines_of(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters_of(node: Function) -> int:
    """Return the number of parameters, `self` and `cls` not counted."""
    arguments = [*node.args.posonlyargs, *node.args.args]
    bound = bool(arguments) and arguments[0].arg in ("self", "cls")
    return len(arguments) - bound + len(node.args.kwonlyargs)


def question_docstrings() -> list[str]:
    """Return docstrings that open with a question word instead of a noun or a verb."""
    kinds = (ast.Module, ast.ClassDef, *Function.__args__)
    return [
        f"{module}: {text.splitlines()[0]}"
        for module, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, kinds) and (text := ast.get_docstring(node)) and text.split()[0].rstrip(",:") in OPENINGS
    ]


def main() -> None:
    folder, most = modules_per_folder().most_common(1)[0]
    longest = max(functions(), key=lambda entry: lines_of(entry[1]))
    print(f"modules: {len(MODULES)}; most in a folder: {most} ({folder}), at most {MOST_MODULES}")
    print(f"circles: {len(circles())}")
    print(f"imports between sub-packages beyond those drawn: {len(sibling_arrows())}")
    print(f"docstrings that open with a question word: {len(question_docstrings())}")
    print(f"functions over {MOST_LINES} lines: {len(long_functions())}; longest: {longest[0]}.{longest[1].name}")
    print(f"signatures of over {MOST_PARAMETERS} parameters outside the command line: {len(crowded_signatures())}")


if __name__ == "__main__":
    main()
