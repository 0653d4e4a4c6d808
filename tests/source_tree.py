"""The source tree as data: modules, their syntax trees, and who imports whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "transfercli"
SOURCES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"keras", "tensorflow", "jax", "sklearn", "matplotlib", "torch"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(tree: ast.AST, early: bool) -> Iterator[ast.AST]:
    """All nodes; with `early` only those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if early and (is_type_checking(node) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            continue
        yield node
        yield from statements(node, early)


def imported(tree: ast.AST, early: bool) -> set[str]:
    """Dotted names of imported modules, of this package as deep as they are modules."""
    found = set()
    for node in statements(tree, early):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {full for alias in node.names if (full := f"{node.module}.{alias.name}") in MODULES}
    return found


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def way_to_heavy(module: str, seen: set[str]) -> list[str]:
    """The chain of module-level imports from `module` to a heavy library, or nothing."""
    seen.add(module)
    for target in sorted(imported(tree_of(MODULES[module]), early=True)):
        if target.split(".")[0] in HEAVY:
            return [module, target]
        if target in MODULES and target not in seen and (rest := way_to_heavy(target, seen)):
            return [module, *rest]
    return []
