"""The fields of a dataclass of kure_tf as flags.

Names, types, defaults and help come from the source of the class, which is
read and not imported: TensorFlow takes seconds, and --help should not.
"""

import ast
import importlib
import pathlib
import re

from absl import flags

flags.disclaim_key_flags()  # They belong to the module that makes `Fields`.

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_NUMBERS = {"int": int, "float": float}


class Fields:
    """Flags of the fields of one dataclass.

    A field of numbers, text, `Literal[...]`, bool or a tuple of these becomes
    the flag of its name; what the docstring says of it, under "Attributes:",
    is its help.

    Args:
        name: Of the class, such as "kure_tf.training.recipe.Recipe".
        only: The fields that become flags; None for all of them.
        prefix: What the flags' names begin with.
        renamed: `{field: flag}` where that is not prefix + field.
        repeated: Fields of texts with commas: their flags may be repeated.
        **defaults: Of the flags, where they are not those of the class.
    """

    def __init__(
        self,
        name,
        only=None,
        *,
        prefix="",
        renamed=None,
        repeated=(),
        **defaults,
    ):
        self._module, _, self._class = name.rpartition(".")
        kinds, found, helps = _read(self._module, self._class)
        names = {field: prefix + field for field in kinds} | (renamed or {})
        self._kinds = {field: kinds[field] for field in only or kinds}
        self._flags = {
            field: _define(
                names[field],
                "repeated" if field in repeated else kind,
                {**found, **defaults}.get(field),
                _with_dashes(helps[field], names),
            )
            for field, kind in self._kinds.items()
        }

    def values(self) -> dict:
        """Returns `{field: value}` as the flags say."""
        return {
            field: _value(flag, self._kinds[field])
            for field, flag in self._flags.items()
        }

    def made(self):
        """Returns the dataclass that the flags describe."""
        cls = getattr(importlib.import_module(self._module), self._class)
        return cls(**self.values())


def _read(module, name):
    """Returns `{field: type}`, `{field: default}` and `{field: help}`."""
    path = _ROOT.joinpath(*module.split(".")).with_suffix(".py")
    body = ast.parse(path.read_text(encoding="utf-8")).body
    (found,) = (
        node
        for node in body
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    fields = {
        node.target.id: node
        for node in found.body
        if isinstance(node, ast.AnnAssign) and node.target.id != "_"
    }
    return (
        {f: ast.unparse(node.annotation) for f, node in fields.items()},
        {f: _default(node.value, body) for f, node in fields.items()},
        _attributes(ast.get_docstring(found)),
    )


def _default(node, body):
    """Returns the value of a literal or of a constant of the module."""
    for assignment in body:
        if isinstance(node, ast.Name) and isinstance(assignment, ast.Assign):
            if assignment.targets[0].id == node.id:
                node = assignment.value
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:  # Something that no flag can be.
        return None


def _attributes(docstring):
    """Returns `{field: text}` of the section "Attributes:"."""
    section = docstring.partition("Attributes:\n")[2].partition("\n\n")[0]
    parts = re.split(r"^    (\w+): ", section, flags=re.MULTILINE)
    texts = (" ".join(text.split()) for text in parts[2::2])
    return dict(zip(parts[1::2], texts, strict=True))


def _with_dashes(text, names):
    """Writes the fields in a help text as the flags that they are."""

    def flag(found):
        return f"--{names[found[1]]}" if found[1] in names else found[1]

    return re.sub(r"`([^`]*)`", flag, text)


def _define(name, kind, default, text):
    if kind.startswith("Literal["):
        choices = ast.literal_eval(kind.removeprefix("Literal"))
        choices = [choice for choice in choices if choice is not None]
        return flags.DEFINE_enum(name, default, choices, text)
    if kind.startswith("tuple["):
        if default is not None:
            default = [str(value) for value in default]
        return flags.DEFINE_list(name, default, text)
    define = {
        "bool": flags.DEFINE_bool,
        "float": flags.DEFINE_float,
        "int": flags.DEFINE_integer,
        "str": flags.DEFINE_string,
        "repeated": flags.DEFINE_multi_string,
    }[kind.removesuffix(" | None")]
    return define(name, default, text)


def _value(flag, kind):
    if flag.value is None or not kind.startswith("tuple["):
        return flag.value
    element = kind.removeprefix("tuple[").partition(",")[0]
    return tuple(numbers(flag, _NUMBERS.get(element, str)))


def numbers(flag, kind):
    """Returns the values of a list flag as numbers, `int` or `float`.

    Raises:
        ValueError: If one is no such number.
    """
    try:
        return [kind(text) for text in flag.value]
    except ValueError as error:
        example = "4,3,2" if kind is int else "0.8,1.25"
        raise ValueError(
            f"Expected --{flag.name} to be numbers, such as {example}. "
            f"Received: {flag.value}."
        ) from error
