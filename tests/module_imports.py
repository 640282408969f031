"""Reads which modules a source file imports, without running it."""

import ast
import pathlib
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclass(frozen=True, order=True)
class Import:
    """One imported module, by its full dotted name.

    Attributes:
        module: For instance "kure_tf.ops.kurtosis" or "numpy".
        line: Line number of the statement.
        deferred: Whether it stands in a function, and so runs only when that
            function is called.
    """

    module: str
    line: int
    deferred: bool


def module_name(path):
    """Returns the dotted name of a source file inside the repository."""
    parts = path.resolve().relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Returns every `Import` of the source file at `path`, in line order.

    `from package import name` counts as "package.name" where that is a module
    of this repository, and as "package" where `name` is something else.
    """
    found = []
    _visit(ast.parse(path.read_text(encoding="utf-8")), path, False, found)
    return sorted(found)


def _visit(node, path, deferred, found):
    if isinstance(node, ast.Import):
        for alias in node.names:
            found.append(Import(alias.name, node.lineno, deferred))
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, path)
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            name = inner if _is_own_module(inner) else base
            found.append(Import(name, node.lineno, deferred))
    deferred = deferred or isinstance(
        node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    )
    for child in ast.iter_child_nodes(node):
        _visit(child, path, deferred, found)


def _absolute(node, path):
    if not node.level:
        return node.module
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join(package + ([node.module] if node.module else []))


def _is_own_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
