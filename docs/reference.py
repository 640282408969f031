"""Pages of the API: the public names of each package, with their docstrings."""

import ast
import pathlib

_ROOT = pathlib.Path(__file__).parents[1]
# Not meant for programs: the tools' own halves, and what only compat may know.
_LEFT_OUT = ("compat", "paper")


def pages():
    """Returns `{path: Markdown}`, one page for each package."""
    packages = {"kure_tf": _ROOT / "kure_tf" / "__init__.py"}
    for path in sorted(_ROOT.glob("kure_tf/*/__init__.py")):
        if path.parent.name not in _LEFT_OUT:
            packages[f"kure_tf.{path.parent.name}"] = path
    found = {name: _names(name, path) for name, path in packages.items()}
    return {
        "reference/index.md": _index(found, packages),
        **{
            f"reference/{name}.md": _page(name, names, packages[name])
            for name, names in found.items()
            if names
        },
    }


def _index(found, packages):
    rows = "".join(
        f"| [`{name}`]({name}.md) | {_summary(packages[name])} |\n"
        for name, names in found.items()
        if names
    )
    return (
        "# Reference\n\nAll public names, with formulas, shapes, units and "
        f"errors.\n\n| Package | Holds |\n|---|---|\n{rows}"
    )


def _page(name, names, path):
    entries = "".join(
        f"\n::: {target(home, one)}\n" for one, home in names.items()
    )
    return f"# {name}\n\n{_summary(path)}\n{entries}"


def target(package, name):
    """Returns where griffe finds a public name of a package.

    `ptq.minmax` is a function to Python, and to griffe the module that it is
    in.
    """
    module = _ROOT / package.replace(".", "/") / f"{name}.py"
    return (
        f"{package}.{name}.{name}" if module.is_file() else f"{package}.{name}"
    )


def _summary(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return ast.get_docstring(tree).partition("\n\n")[0]


def _names(package, path):
    """Returns `{public name: the module that knows it}` of a package.

    The names of `kure_tf` that are imported when they are first asked for
    are in its `_HEAVIER`.
    """
    values = _values(path)
    heavier = values.get("_HEAVIER", {})
    return {
        one: heavier.get(one, package)
        for one in values.get("__all__", ())
        if one[0] != "_"
    }


def _values(path):
    """Returns `{name: value}` of what a module spells out."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:  # Computed, or a name.
                continue
    return found
